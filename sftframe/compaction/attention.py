"""Attention over compact positions whose queries, keys and values lie side by side, as many heads of each.

`blocks` computes the same for any heads. This way goes over the numbers fewer times: it reads one tensor, and writes
one gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sftframe.compaction.layout import CompactBatch
from sftframe.compaction.padded import PaddedAttention
from sftframe.compaction.scoring import Scoring

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
        self._way: RowAttention | PaddedAttention | None = None

    def __call__(self, joined: Tensor) -> Tensor:
        """Queries, keys and values side by side, (N, 3 C), to what each position gathers, (N, C)."""
        if self._way is None:
            self._way = self._way_for(joined)
        if isinstance(self._way, RowAttention):
            return self._way(joined)
        width = joined.shape[1] // (3 * self._num_heads)  # D
        query, key, value = joined.view(len(joined), 3, self._num_heads, width).unbind(1)
        return self._way(query, key, value, Scoring(scale=1 / math.sqrt(width)))

    def _way_for(self, joined: Tensor) -> RowAttention | PaddedAttention:
        layout = self._layout
        # without MKL torch multiplies the heads one after the other
        is_batched = joined.is_cpu and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        if is_batched and not self._dropout and not layout.is_even:
            dtype = torch.promote_types(joined.dtype, torch.float32)
            return RowAttention(layout.num_shared, layout.rest_lengths, self._num_heads, dtype)
        return PaddedAttention(layout, dropout=self._dropout)
