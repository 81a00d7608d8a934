"""One weight as embedding and as head, with one gradient.

Shapes: C width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def tied_embedding(weight: Tensor, ids: Tensor, padding_idx: int | None = None) -> tuple[Tensor, Tensor]:
    """The embedding's rows, (…, C), and the same weight to be used as the head, (V, C).

    On a CPU the few rows that were looked up are added to the head's gradient in place. Autograd alone would add two
    gradients of the weight's size; one of them has nearly only zeros.

    Args:
        weight: (V, C).
        ids: int64, of any shape.
        padding_idx: an id that gives the embedding no gradient, as in `torch.nn.Embedding`.
    """
    if weight.is_cpu and weight.requires_grad and torch.is_grad_enabled():
        tokens, head = _Tied.apply(weight, ids, padding_idx)  # type: ignore[no-untyped-call]
        return tokens, head
    return F.embedding(ids, weight, padding_idx), weight


class _Tied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding_idx: int | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight, ids)
        ctx.padding_idx = padding_idx
        ctx.set_materialize_grads(False)
        return F.embedding(ids, weight), weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        weight, ids = ctx.saved_tensors
        of_tokens, of_head = grads
        if of_tokens is None:
            return of_head, None, None
        if ctx.padding_idx is not None:
            of_tokens = of_tokens.masked_fill((ids == ctx.padding_idx)[..., None], 0)
        # a product's gradient has its own memory; other gradients are copied first
        grad = torch.zeros_like(weight) if of_head is None else of_head.contiguous()
        return grad.index_add_(0, ids.flatten(), of_tokens.flatten(0, -2).to(grad.dtype)), None, None
