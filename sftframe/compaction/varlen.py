"""Attention over compact positions by a GPU's kernel for rows of different lengths: nothing is padded.

Shapes: N positions, P of them shared by all rows, L keys when every row has the shared ones before its own, H heads of
queries in G groups, D width of a head.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sftframe.compaction.layout import CompactBatch
from sftframe.compaction.scoring import Scoring

Kernel = Callable[..., Any]
"""As `torch.nn.attention.varlen.varlen_attn`."""

LARGEST_HEAD = 256
"""Width of a head up to which flash attention has kernels."""


@cache
def flash_kernel() -> Kernel | None:
    """torch's kernel, if this version has it with windows and groups."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    needed = {"scale", "window_size", "enable_gqa"}
    return varlen_attn if needed <= set(inspect.signature(varlen_attn).parameters) else None


class VarlenAttention:
    """Causal attention over N positions laid flat, in one call: the shared beginning is the first row, and the others
    have its keys before their own.

    Args:
        kernel: torch's own by default.
    """

    def __init__(self, layout: CompactBatch, kernel: Kernel | None = None) -> None:
        shared, device = layout.num_shared, layout.ids.device
        rests = [length for length in layout.rest_lengths if length]
        own = [shared, *rests] if shared else rests
        before = [0, *[shared] * len(rests)] if shared else [0] * len(rests)
        self._seen = [a + b for a, b in zip(before, own, strict=True)]
        self._kernel = kernel or flash_kernel()
        self._most = max(own, default=0), max(self._seen, default=0)
        self._borders = tuple(_borders(lengths).to(device) for lengths in (own, self._seen))
        self._places = tuple(x.to(device) for x in _places(before, own)) if shared else None

    @staticmethod
    def is_for(query: Tensor, value: Tensor) -> bool:
        """Whether the kernel takes these, (N, H, D) and (N, G, E): half precision on an NVIDIA GPU from Ampere on."""
        width = query.shape[2]
        return (
            query.is_cuda
            and query.dtype in (torch.float16, torch.bfloat16)
            and torch.version.hip is None
            and torch.cuda.get_device_capability(query.device) >= (8, 0)
            and width == value.shape[2] <= LARGEST_HEAD
            and width % 8 == 0
            and flash_kernel() is not None
        )

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, sinks: Tensor | None = None
    ) -> Tensor:
        """Queries (N, H, D), keys and values (N, G, D) to (N, H * D), with gradient."""
        assert sinks is None, "the kernel knows no sinks"
        assert scoring.softcap is None, "the kernel knows no soft cap"
        assert self._kernel is not None
        if self._places is not None:
            key, value = (_Repeated.apply(x, *self._places) for x in (key, value))  # type: ignore[no-untyped-call]
        window = (-1 if scoring.window is None else scoring.window - 1, 0)
        options: dict[str, Any] = {"scale": scoring.scale, "window_size": window, "enable_gqa": True}
        mixed: Tensor = self._kernel(query, key, value, *self._borders, *self._most, **options)
        return mixed.flatten(1)


class _Repeated(torch.autograd.Function):
    """(N, G, D) to (L, G, D): the shared positions before every row's own. Gradients are copied, and added up over the
    rows, without scattered additions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sources: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        ctx.save_for_backward(own, shared)
        return x.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        own, shared = ctx.saved_tensors  # (N,), (rows, P)
        grad = grads[0].index_select(0, own)
        of_shared = grads[0].index_select(0, shared.flatten()).view(*shared.shape, *grad.shape[1:])
        grad[: shared.shape[1]] += of_shared.sum(dim=0)
        return grad, None, None, None


def _borders(lengths: list[int]) -> Tensor:
    """int32 (rows + 1,): where each row begins, and where the last ends."""
    return torch.tensor([0, *lengths]).cumsum(0).int()


def _places(before: list[int], own: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Among N where each of L keys comes from; among L each position's own key, (N,), and the shared keys of the rows
    after the first, (rows - 1, P)."""
    positions = torch.arange(sum(own)).split_with_sizes(own)
    sources = torch.cat([x for num, row in zip(before, positions, strict=True) for x in (positions[0][:num], row)])
    keys = torch.arange(len(sources)).split_with_sizes([x for pair in zip(before, own, strict=True) for x in pair])
    shared = torch.cat(keys[2::2]) if len(own) > 1 else keys[0]
    return sources, torch.cat(keys[1::2]), shared.view(len(own) - 1, own[0])
