"""Causal attention over the positions of a `CompactBatch` by torch's fused kernels, over rows that are padded for them.

Shapes: N positions that matter, P of them shared by all rows, R rows with something left after those, S the longest
such rest, C width, H heads, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.compaction.layout import CompactBatch
from sftframe.compaction.selection import scattered


class PaddedAttention:
    """Causal attention over N positions by torch's fused kernels: (N, 3 C) queries, keys and values to (N, C)."""

    def __init__(self, layout: CompactBatch, num_heads: int, *, dropout: float = 0.0) -> None:
        self._num_heads = num_heads
        self._dropout = dropout
        self._num_shared = layout.num_shared
        self._num_rows = sum(length > 0 for length in layout.rest_lengths)
        self._longest = max(layout.rest_lengths, default=0)
        self._is_even = layout.is_even
        self._places = self._whole_rows(layout)
        self._mask = self._causal_mask(layout.ids.device)

    def __call__(self, joined: Tensor) -> Tensor:
        """Queries, keys and values side by side, (N, 3 C), to (N, C), with gradient."""
        flat = joined.chunk(3, dim=1)  # each (N, C)
        if self._is_even:
            return self._attend(flat, num_rows=self._num_rows or 1)
        parts = _Rows.apply(*flat, *self._places, self._num_shared, self._num_rows)  # type: ignore[no-untyped-call]
        shared = parts[0]  # (0, C) where nothing is shared
        if self._num_shared:
            shared = self._attend(parts[:3], num_rows=1)
        rows = self._attend(parts[3:], num_rows=self._num_rows, mask=self._mask if self._num_shared else None)
        mixed: Tensor = _Flat.apply(shared, rows, self._places[2])  # type: ignore[no-untyped-call]
        return mixed

    def _attend(self, flat: tuple[Tensor, ...], *, num_rows: int, mask: Tensor | None = None) -> Tensor:
        """Rows below each other, (R * S, C) queries and (R * (P + S), C) keys and values, to (R * S, C)."""
        heads = [x.view(num_rows, -1, self._num_heads, x.shape[1] // self._num_heads) for x in flat]
        query, key, value = (x.transpose(1, 2) for x in heads)  # (R, H, S or P + S, D)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, dropout_p=self._dropout
        )
        return mixed.transpose(1, 2).reshape(flat[0].shape)

    def _whole_rows(self, layout: CompactBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where among N the slots of queries, (R * S,), and of keys, (R * (P + S),), come from, and where the rests
        are among the slots of each, (N - P,)."""
        shared = torch.arange(self._num_shared, device=layout.ids.device).expand(self._num_rows, -1)
        sources = layout.sources + self._num_shared
        of_keys = torch.cat([shared, sources.view(self._num_rows, self._longest)], dim=1).flatten()
        rows = layout.slots // max(self._longest, 1)
        return sources, of_keys, layout.slots, layout.slots + (rows + 1) * self._num_shared

    def _causal_mask(self, device: torch.device) -> Tensor:
        """bool (S, P + S), True = seen: all of the shared beginning, and the own rest up to oneself."""
        own = torch.ones(self._longest, self._longest, dtype=torch.bool, device=device).tril()
        return torch.cat([own.new_ones(self._longest, self._num_shared), own], dim=1)


class _Rows(torch.autograd.Function):
    """Queries, keys and values laid flat, (N, C) each, to those of the shared beginning, (P, C) each, and of the rows:
    (R * S, C) queries of the rests, (R * (P + S), C) keys and values that repeat the shared ones in every row.

    Padding slots hold some position's values. Nothing of them comes back: real positions do not see them under the
    causal mask, and `_Flat` gives their results no gradient. So a rest's gradient is that of its one slot, a shared
    position's the sum over the rows: copies, no scattered additions.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_sources: Tensor,
        key_sources: Tensor,
        query_slots: Tensor,
        key_slots: Tensor,
        num_shared: int,
        num_rows: int,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(query_slots, key_slots)
        ctx.sizes = num_shared, num_rows
        shared = (x[:num_shared] for x in (query, key, value))
        return (
            *shared,
            query.index_select(0, query_sources),
            key.index_select(0, key_sources),
            value.index_select(0, key_sources),
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query_slots, key_slots = ctx.saved_tensors
        num_shared, num_rows = ctx.sizes
        flat = []
        for of_shared, of_rows, slots in zip(grads[:3], grads[3:], (query_slots, key_slots, key_slots), strict=True):
            grad = of_rows.new_empty(num_shared + len(slots), of_rows.shape[1])
            grad[:num_shared] = of_shared
            torch.index_select(of_rows, 0, slots, out=grad[num_shared:])
            flat.append(grad)
        for grad, of_rows in zip(flat[1:], grads[4:], strict=True):
            grad[:num_shared] += of_rows.view(num_rows, -1, of_rows.shape[1])[:, :num_shared].sum(dim=0)
        return *flat, None, None, None, None, None, None


class _Flat(torch.autograd.Function):
    """What attention made of the shared beginning, (P, C), and of the padded rests, (R * S, C), laid flat: (N, C)."""

    @staticmethod
    def forward(ctx: Any, shared: Tensor, rows: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.sizes = len(shared), len(rows)
        return torch.cat([shared, rows.index_select(0, slots)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (slots,) = ctx.saved_tensors
        num_shared, num_slots = ctx.sizes
        return grads[0][:num_shared], scattered(grads[0][num_shared:], slots, num_slots), None
