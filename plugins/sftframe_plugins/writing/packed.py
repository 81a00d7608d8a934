"""Linear maps with their weights in the order that oneDNN's kernels need, for inference on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_ROWS = 4
"""Fewer rows are multiplied without packing: then only reading the weights takes time."""

LAID_OUT_FOR = 64
"""The number of rows that oneDNN prepares for; layouts for 32, 64 and 110 rows were equally fast for 4 to 110 rows."""


def has_kernels() -> bool:
    """Whether torch has the operators here."""
    return bool(torch._C._has_mkldnn) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class PackedLinear(nn.Module):
    """A linear map with its weights in oneDNN's order, and GELU after it if wanted.

    Args:
        weight: (outputs, inputs), float32, on the CPU.
        bias: (outputs,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, has_gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.out_features, self.in_features = weight.shape
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), LAID_OUT_FOR)
        self.has_gelu = has_gelu

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        if x[..., 0].numel() < MIN_ROWS:
            x = F.linear(x, self.weight, self.bias)
            return F.gelu(x, approximate="tanh") if self.has_gelu else x
        after = ("gelu", "tanh") if self.has_gelu else ("none", "")
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, after[0], [], after[1])
        return mapped
