"""Converts the tensors of an export to the wanted dtype; a weight that would become infinite is an error."""

from __future__ import annotations

import torch
from torch import Tensor

from sftframe import ModelError


def cast(tensor: Tensor, dtype: str, name: str) -> Tensor:
    """The tensor on the CPU in another precision; the same tensor, if nothing changes.

    Args:
        dtype: torch's name, `float32` or `float16`.
        name: of the tensor, for messages.

    Raises:
        ModelError: a number is too large for the dtype.
    """
    made = tensor.detach().to("cpu", getattr(torch, dtype))
    if not made.isfinite().all():
        largest = tensor.abs().max().item()
        raise ModelError(
            f"tensor {name!r} has a weight of size {largest:g}, too large for {dtype}; export with --dtype float32"
            if dtype != "float32"
            else f"tensor {name!r} has weights that are not finite; the model is damaged, train it again"
        )
    return made
