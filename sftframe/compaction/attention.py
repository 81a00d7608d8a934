"""Attention over compact positions: one row's own positions, and the beginning that all rows share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.compaction.layout import CompactBatch, scattered

QUERIES = 128
"""Queries of a row that are taken together: what lies above is not computed, and the shares stay in the cache."""

KEPT_KEYS = 256
"""With up to this many keys the shares are kept for the backward pass: H * k values a query, 4 C of them at most with
heads of 64, where a layer keeps about 17 C of other values. With more keys they are computed again."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Queries of one row that are taken together, and the keys that they may see."""

    queries: slice
    """Among the row's own positions."""
    keys: slice
    """Among the row's keys: all up to the last query."""
    later: Tensor
    """(q, k): 0 where a query may see a key, minus infinity where the key comes later."""


class RowAttention:
    """Causal attention over N positions laid flat: the shared beginning, then each row's rest.

    Args:
        num_shared: P.
        rest_lengths: positions of each row after the shared beginning.
        dtype: float32 or float64; half precision that comes in is computed in it, and goes out as it came.
    """

    def __init__(self, num_shared: int, rest_lengths: Sequence[int], num_heads: int, dtype: torch.dtype) -> None:
        rests = [length for length in rest_lengths if length]
        self._num_heads = num_heads
        self.dtype = dtype
        # the shared beginning is a row of its own, before which nothing is shared
        self._shared = [0, *[num_shared] * len(rests)] if num_shared else [0] * len(rests)
        self._own = [num_shared, *rests] if num_shared else rests
        self._seen = [shared + own for shared, own in zip(self._shared, self._own, strict=True)]
        self._parts = [length for row in zip(self._shared, self._own, strict=True) for length in row]
        later = _later(max(self._seen, default=0), dtype)
        self._pieces = [tuple(_pieces(*row, later)) for row in zip(self._shared, self._own, strict=True)]
        self._gathered = self._rows_of_heads()

    def __call__(self, joined: Tensor) -> Tensor:
        """Queries, keys and values side by side, (N, 3 C), to (N, C), with gradient."""
        mixed: Tensor = _RowAttention.apply(self, joined)  # type: ignore[no-untyped-call]
        return mixed

    def forward(self, joined: Tensor, *, keep: bool) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """(N, 3 C) to (N, C), and what `backward` wants: all heads, and with `keep` the shares where they are few."""
        width = joined.shape[1] // (3 * self._num_heads)  # D
        heads = joined.reshape(-1, width).index_select(0, self._gathered).view(3, self._num_heads, -1, width)
        heads[0].mul_(1 / math.sqrt(width))
        mixed = joined.new_empty(len(joined), joined.shape[1] // 3)
        own_mixed = mixed.view(len(mixed), self._num_heads, width).split_with_sizes(self._own)
        kept: list[Tensor | None] = []
        rows = zip(*self._split(heads), own_mixed, self._pieces, strict=True)
        for query, key, value, own, pieces in rows:  # (H, …, D) each, but for (own, H, D)
            for piece in pieces:
                shares = _shares(piece, query, key)
                own[piece.queries] = torch.bmm(shares, value[:, piece.keys]).transpose(0, 1)
                kept.append(shares if keep and shares.shape[2] <= KEPT_KEYS else None)
        return mixed, heads, kept

    def backward(self, grad: Tensor, heads: Tensor, mixed: Tensor, kept: Sequence[Tensor | None]) -> Tensor:
        """The gradient of what came in, (N, 3 C), from that of what was mixed, contiguous (N, C)."""
        shape = len(grad), self._num_heads, heads.shape[3]
        of_mixed = grad.view(shape).transpose(0, 1).contiguous()  # (H, N, D)
        # what the gradients of a query's shares are lowered by, because the shares add up to one
        lowered = (grad * mixed).view(shape).sum(dim=2).t()[..., None].contiguous()  # (H, N, 1)
        of_joined = grad.new_empty(len(grad), 3, *shape[1:])
        of_query, of_key, of_value = of_joined.unbind(1)  # (N, H, D) each
        waiting = iter(kept)
        rows = zip(
            *self._split(heads),
            *(x.split_with_sizes(self._own, dim=1) for x in (of_mixed, lowered)),
            *(x.split_with_sizes(self._own) for x in (of_query, of_key, of_value)),
            self._shared,
            self._pieces,
            strict=True,
        )
        for query, key, value, own_mixed, lower, own_query, own_key, own_value, num_shared, pieces in rows:
            key_grad, value_grad = None, None
            for piece in pieces:
                shares = next(waiting)
                if shares is None:
                    shares = _shares(piece, query, key)
                grad, keys = own_mixed[:, piece.queries], key[:, piece.keys]
                value_grad = _plus(value_grad, torch.bmm(shares.mT, grad))
                of_scores = torch.bmm(grad, value[:, piece.keys].mT)  # (H, q, k)
                of_scores.sub_(lower[:, piece.queries]).mul_(shares)
                own_query[piece.queries] = torch.bmm(of_scores, keys).transpose(0, 1)
                key_grad = _plus(key_grad, torch.bmm(of_scores.mT, query[:, piece.queries]))
            # the shared beginning is the first row: what the others have to say of it is added to its own
            for total, own, part in ((of_key, own_key, key_grad), (of_value, own_value, value_grad)):
                assert part is not None
                if num_shared:
                    total[:num_shared].add_(part[:, :num_shared].transpose(0, 1))
                    part = part[:, num_shared:]
                own.copy_(part.transpose(0, 1))
        of_query.mul_(1 / math.sqrt(shape[2]))
        return of_joined.flatten(1)

    def _split(self, heads: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        """Each row's own queries, (H, own, D), and its keys and values, (H, k, D)."""
        query, key, value = heads.unbind()
        own = query.split_with_sizes(self._parts, dim=1)[1::2]
        return own, key.split_with_sizes(self._seen, dim=1), value.split_with_sizes(self._seen, dim=1)

    def _rows_of_heads(self) -> Tensor:
        """int64 (3 * H * L,): every head's queries, keys and values, among the (N * 3 * H, D) that come in."""
        beginning = torch.arange(self._shared[-1]) if self._shared else torch.arange(0)
        own = torch.arange(sum(self._own)).split_with_sizes(self._own)
        parts = [part for shared, rest in zip(self._shared, own, strict=True) for part in (beginning[:shared], rest)]
        positions = torch.cat(parts) if parts else beginning  # (L,)
        return (positions * 3 * self._num_heads + torch.arange(3 * self._num_heads)[:, None]).flatten()


class _RowAttention(torch.autograd.Function):
    """In float32 also where half precision comes in: its products are small, and casting both ways costs less."""

    @staticmethod
    def forward(ctx: Any, attention: RowAttention, joined: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            mixed, heads, kept = attention.forward(joined.to(attention.dtype), keep=any(ctx.needs_input_grad))
        ctx.attention = attention
        ctx.save_for_backward(heads, mixed, *kept)
        return mixed.to(joined.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        heads, mixed, *kept = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False):
            grad = ctx.attention.backward(grads[0].to(heads.dtype).contiguous(), heads, mixed, kept)
        return None, grad.to(grads[0].dtype)


def _shares(piece: _Piece, query: Tensor, key: Tensor) -> Tensor:
    """What each query gives to each key that it may see, (H, q, k); all of a query's add up to one."""
    scores = torch.bmm(query[:, piece.queries], key[:, piece.keys].mT).add_(piece.later)
    return torch.softmax(scores, dim=-1, out=scores)


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    """A sum over pieces, (H, k, D): the first reaches furthest, others are added to its beginning in place."""
    if total is None:
        return part
    total[:, : part.shape[1]] += part
    return total


def _later(most: int, dtype: torch.dtype) -> Tensor:
    """(QUERIES, most + QUERIES): minus infinity where a key lies more than `most` places after its query."""
    return torch.full((QUERIES, most + QUERIES), -math.inf, dtype=dtype).triu(most + 1)


def _pieces(num_shared: int, num_own: int, later: Tensor) -> Iterator[_Piece]:
    """A row's queries from the last to the first, so that the first sum over its keys is the longest."""
    most = later.shape[1] - QUERIES
    for start in reversed(range(0, num_own, QUERIES)):
        stop = min(start + QUERIES, num_own)
        before = most - (num_shared + start)  # the mask's column of the first key
        mask = later[: stop - start, before : before + num_shared + stop]
        yield _Piece(slice(start, stop), slice(0, num_shared + stop), mask)


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


class CompactAttention:
    """Causal attention over the positions of a `CompactBatch`: each sees itself and those before it in its row, the
    shared beginning included.

    All layers of a model can share one. On a CPU rows of different lengths are taken one by one, without dropout;
    elsewhere, and where nothing is padded, by torch's fused kernels.
    """

    def __init__(self, layout: CompactBatch, num_heads: int, *, dropout: float = 0.0) -> None:
        self._layout = layout
        self._num_heads = num_heads
        self._dropout = dropout
        self._way: Callable[[Tensor], Tensor] | None = None

    def __call__(self, joined: Tensor) -> Tensor:
        """Queries, keys and values side by side, (N, 3 C), to what each position gathers, (N, C)."""
        if self._way is None:
            self._way = self._way_for(joined)
        return self._way(joined)

    def _way_for(self, joined: Tensor) -> Callable[[Tensor], Tensor]:
        layout = self._layout
        # without MKL torch multiplies the heads one after the other
        is_batched = joined.is_cpu and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        if is_batched and not self._dropout and not layout.is_even:
            dtype = torch.promote_types(joined.dtype, torch.float32)
            return RowAttention(layout.num_shared, layout.rest_lengths, self._num_heads, dtype)
        return PaddedAttention(layout, self._num_heads, dropout=self._dropout)
