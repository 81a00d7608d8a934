"""A copy of the network for faster writing on a CPU: the linear maps are stored for few rows at a time.

A step of writing multiplies tens of rows by all weights. Matrix libraries then spend much time on reordering the
weights for their kernels, in every step. oneDNN, which comes with torch, takes weights that were reordered once; it
also adds the bias and applies GELU. GPT-2 124M, two cores with AVX-512: a step of 8 rows takes 40 ms instead of 51, of
32 rows 71 instead of 78, of 110 rows 149 instead of 171. The copies need as much memory as the linear maps.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sftframe_plugins.gpt2.network import GPT2, Attention, Block, FeedForward

MIN_ROWS = 4
"""Fewer rows are multiplied without packing: then only reading the weights takes time."""

LAID_OUT_FOR = 64
"""The number of rows that oneDNN prepares for; layouts for 32, 64 and 110 rows were equally fast for 4 to 110 rows."""


def packed(network: GPT2) -> GPT2:
    """A copy for inference. It shares the network's embeddings and norms; later changes of other weights do not reach
    it.

    Adapters and other layers that are not plain linear maps stay as they are.
    """
    own = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    twin = copy.deepcopy(network, own)  # the structure alone
    with torch.no_grad():
        for layer in list(twin.modules()):
            if type(layer) is Attention:
                for name in ("c_attn", "c_proj"):
                    layer.add_module(name, _packed_linear(getattr(layer, name)))
            elif type(layer) is Block and _is_plain(layer.mlp):
                layer.add_module("mlp", PackedFeedForward(layer.mlp))
        twin.head = PackedLinear(twin.wte.weight)
    return twin


def packed_bytes(network: GPT2) -> int | None:
    """Memory of the copy, in addition to the network; None = the network cannot be packed here."""
    weight = network.wte.weight
    if network.training or weight.device.type != "cpu" or weight.dtype != torch.float32 or not _has_kernels():
        return None
    num_weights = 12 * network.config.num_layers * network.config.width**2 + weight.numel()
    return num_weights * weight.element_size()


class PackedLinear(nn.Module):
    """A linear map with its weights in oneDNN's order, and GELU after it if wanted."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, has_gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
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


class PackedFeedForward(nn.Module):
    """`FeedForward` without dropout."""

    def __init__(self, plain: FeedForward) -> None:
        super().__init__()
        self.c_fc = PackedLinear(plain.c_fc.weight, plain.c_fc.bias, has_gelu=True)
        self.c_proj = PackedLinear(plain.c_proj.weight, plain.c_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) to (…, C)."""
        mapped: Tensor = self.c_proj(self.c_fc(x))
        return mapped


def _has_kernels() -> bool:
    return bool(torch._C._has_mkldnn) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _packed_linear(linear: nn.Module) -> nn.Module:
    return PackedLinear(linear.weight, linear.bias) if type(linear) is nn.Linear else linear


def _is_plain(layer: nn.Module) -> bool:
    return type(layer) is FeedForward and type(layer.c_fc) is type(layer.c_proj) is nn.Linear
