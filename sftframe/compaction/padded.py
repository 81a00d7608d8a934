"""Attention over compact positions by torch's fused kernels, over rows padded to the same length.

Shapes: N positions, P of them shared by all rows, R rows with a rest, S the longest rest, H heads of queries in G
groups of r = H / G that use the same keys and values, D width of queries and keys, E of values, K keys of a row (P + S,
or P in the shared beginning).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.compaction.layout import CompactBatch, scattered
from sftframe.compaction.scoring import Scoring


class PaddedAttention:
    """Causal attention over N positions laid flat: the shared beginning by itself, then all rests together.

    Soft caps and sinks, which the fused kernels do not know, are computed step by step, in float32 at least.
    """

    def __init__(self, layout: CompactBatch, *, dropout: float = 0.0) -> None:
        self._dropout = dropout
        self._num_shared = layout.num_shared
        self._num_rows = sum(length > 0 for length in layout.rest_lengths)
        self._longest = max(layout.rest_lengths, default=0)
        self._is_even = layout.is_even
        self._places = self._whole_rows(layout)
        self._masks: dict[tuple[int, int, int | None], Tensor] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, sinks: Tensor | None = None
    ) -> Tensor:
        """Queries (N, H, D), keys (N, G, D), values (N, G, E) and sinks (H,) to (N, H * E), with gradient."""
        if self._is_even:
            return self._attend((query, key, value), self._num_rows or 1, scoring, sinks)
        sizes = [x.shape[1:] for x in (query, key, value)]
        flat = [x.flatten(1) for x in (query, key, value)]
        parts = _Rows.apply(*flat, *self._places, self._num_shared, self._num_rows)  # type: ignore[no-untyped-call]
        parts = [part.view(len(part), *size) for part, size in zip(parts, [*sizes, *sizes], strict=True)]
        shared = value.new_empty(0, query.shape[1] * value.shape[2])
        if self._num_shared:
            shared = self._attend(parts[:3], 1, scoring, sinks)
        rows = self._attend(parts[3:], self._num_rows, scoring, sinks)
        mixed: Tensor = _Flat.apply(shared, rows, self._places[2])  # type: ignore[no-untyped-call]
        return mixed

    def _attend(self, parts: Sequence[Tensor], num_rows: int, scoring: Scoring, sinks: Tensor | None) -> Tensor:
        """Rows below each other, queries (R * S, H, D), keys (R * K, G, D), values (R * K, G, E), to (R * S, H * E)."""
        rows = (x.view(num_rows, len(x) // num_rows, *x.shape[1:]) for x in parts)
        query, key, value = (x.transpose(1, 2) for x in rows)  # (R, H, S, D), (R, G, K, D), (R, G, K, E)
        if scoring.softcap is not None or sinks is not None:
            mixed = self._explicit(query, key, value, scoring, sinks)
        else:
            is_square = query.shape[2] == key.shape[2] and scoring.window is None
            mixed = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=None if is_square else self._seen(query, key, scoring.window),
                is_causal=is_square,
                dropout_p=self._dropout,
                scale=scoring.scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        return mixed.transpose(1, 2).reshape(len(parts[0]), mixed.shape[1] * mixed.shape[3])

    def _explicit(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, sinks: Tensor | None) -> Tensor:
        """The definition, (R, H, S, E): all scores exist at once."""
        dtype = torch.promote_types(query.dtype, torch.float32)
        num_rows, num_heads, *shape = query.shape
        num_groups = key.shape[1]
        grouped = query.to(dtype).reshape(num_rows, num_groups, num_heads // num_groups, *shape)  # (R, G, r, S, D)
        scores = (grouped * scoring.factor) @ key.to(dtype)[:, :, None].mT  # (R, G, r, S, K)
        if scoring.softcap is not None:
            scores = scores.tanh() * scoring.softcap
        scores = scores.masked_fill(~self._seen(query, key, scoring.window), -math.inf)
        if sinks is not None:
            last = sinks.to(dtype).view(num_groups, -1, 1, 1).expand(*scores.shape[:-1], 1)
            scores = torch.cat([scores, last], dim=-1)
        shares = F.dropout(scores.softmax(dim=-1)[..., : key.shape[2]], self._dropout)
        return (shares @ value.to(dtype)[:, :, None]).flatten(1, 2).to(query.dtype)

    def _seen(self, query: Tensor, key: Tensor, window: int | None) -> Tensor:
        """bool (S, K), True = seen: the last query stands at the last key, and each sees itself and those before it,
        all or so many that they are `window` together."""
        which = num_queries, num_keys, _ = query.shape[2], key.shape[2], window
        if which not in self._masks:
            seen = torch.ones(num_queries, num_keys, dtype=torch.bool, device=query.device).tril(num_keys - num_queries)
            self._masks[which] = seen if window is None else seen.triu(num_keys - num_queries - window + 1)
        return self._masks[which]

    def _whole_rows(self, layout: CompactBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where among N the slots of queries, (R * S,), and of keys, (R * (P + S),), come from, and where the rests
        are among the slots of each, (N - P,)."""
        shared = torch.arange(self._num_shared, device=layout.ids.device).expand(self._num_rows, -1)
        sources = layout.sources + self._num_shared
        of_keys = torch.cat([shared, sources.view(self._num_rows, self._longest)], dim=1).flatten()
        rows = layout.slots // max(self._longest, 1)
        return sources, of_keys, layout.slots, layout.slots + (rows + 1) * self._num_shared


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
