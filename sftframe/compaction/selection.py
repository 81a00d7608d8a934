"""The choice of some positions among all.

Shapes: N positions, M of them chosen, C width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def select_states(x: Tensor, states: Tensor) -> Tensor:
    """(N, C) to (M, C) at increasing, distinct indices; its gradient is a copy, not a scattered addition."""
    if len(states) == len(x):
        return x
    selected: Tensor = _Select.apply(x, states)  # type: ignore[no-untyped-call]
    return selected


class _Select(torch.autograd.Function):
    """Some positions of all; those that were not chosen get a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, chosen: Tensor) -> Tensor:
        ctx.save_for_backward(chosen)
        ctx.num_all = len(x)
        return x.index_select(0, chosen)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (chosen,) = ctx.saved_tensors
        return scattered(grads[0], chosen, ctx.num_all), None


def scattered(grad: Tensor, places: Tensor, num_all: int) -> Tensor:
    """Rows at their places among others of zero."""
    return grad.new_zeros(num_all, grad.shape[1]).index_copy_(0, places, grad)
