"""Causal attention over the positions of a `CompactBatch`, and the choice among them.

Shapes: N positions that matter, P of them shared by all rows, R rows with something left behind those, S the longest
such rest, M positions with a counted target, C width, H heads, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.compaction.layout import CompactBatch


class CompactAttention:
    """Causal attention over the positions of a `CompactBatch`: (N, C) queries, keys and values to (N, C)."""

    def __init__(self, layout: CompactBatch, num_heads: int, *, dropout: float = 0.0) -> None:
        self._num_heads = num_heads
        self._dropout = dropout
        self._num_shared = layout.num_shared
        self._num_rows = sum(length > 0 for length in layout.rest_lengths)
        self._longest = max(layout.rest_lengths, default=0)
        self._slots, self._sources = layout.slots, layout.sources
        self._is_padded = len(self._slots) < len(self._sources)
        self._mask = self._causal_mask(layout.ids.device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each position sees itself and those before it in its row, the shared beginning included."""
        shared = slice(0, self._num_shared)
        rest = slice(self._num_shared, None)
        parts = []
        if self._num_shared:
            heads = [self._split(x[shared][None]) for x in (query, key, value)]  # each (1, H, P, D)
            parts.append(self._join(self._attend(*heads, is_causal=True)))
        if self._num_rows:
            rows = [self._split(self._padded(x[rest])) for x in (query, key, value)]  # each (R, H, S, D)
            if self._num_shared:
                seen = [
                    torch.cat([first.expand(self._num_rows, -1, -1, -1), own], dim=2)
                    for first, own in zip(heads[1:], rows[1:], strict=True)
                ]  # each (R, H, P + S, D)
                mixed = self._attend(rows[0], *seen, mask=self._mask)
            else:
                mixed = self._attend(*rows, is_causal=True)
            parts.append(self._unpadded(self._join(mixed)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool = False, mask: Any = None
    ) -> Tensor:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=is_causal, dropout_p=self._dropout
        )

    def _causal_mask(self, device: torch.device) -> Tensor:
        """bool (S, P + S), True = seen: all of the shared beginning, and the own rest up to oneself."""
        own = torch.ones(self._longest, self._longest, dtype=torch.bool, device=device).tril()
        return torch.cat([own.new_ones(self._longest, self._num_shared), own], dim=1)

    def _padded(self, x: Tensor) -> Tensor:
        """(N - P, C) to (R, S, C)."""
        if self._is_padded:
            x = _Pad.apply(x, self._sources, self._slots)  # type: ignore[no-untyped-call]
        return x.reshape(self._num_rows, self._longest, -1)

    def _unpadded(self, x: Tensor) -> Tensor:
        """(R * S, C) to (N - P, C)."""
        return select_states(x, self._slots) if self._is_padded else x

    def _split(self, x: Tensor) -> Tensor:
        """(R, S, C) to (R, H, S, D)."""
        return x.view(*x.shape[:2], self._num_heads, -1).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        """(R, H, S, D) to (R * S, C)."""
        return x.transpose(1, 2).flatten(2).flatten(0, 1)


def select_states(x: Tensor, states: Tensor) -> Tensor:
    """(N, C) to (M, C) at increasing, distinct indices; its gradient is a copy, not a scattered addition."""
    if len(states) == len(x):
        return x
    selected: Tensor = _Unpad.apply(x, states)  # type: ignore[no-untyped-call]
    return selected


class _Pad(torch.autograd.Function):
    """Rows to slots. Every row has one slot of its own, so its gradient is that slot's: no scattered additions.

    Padding slots hold some row's values. Nothing of them comes back: real positions do not see them under the causal
    mask, and `_Unpad` gives their results no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sources: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        return x.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slots,) = ctx.saved_tensors
        return grads[0].index_select(0, slots), None, None


class _Unpad(torch.autograd.Function):
    """Slots to rows; padding slots get a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.num_slots = x.shape[0]
        return x.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (slots,) = ctx.saved_tensors
        padded = grads[0].new_zeros(ctx.num_slots, grads[0].shape[1])
        return padded.index_copy_(0, slots, grads[0]), None
