"""Attention over compact positions on a CPU: rows of about the same length together, as few batched products.

Shapes: N positions, P of them shared by all rows, H heads of queries in G groups of r = H / G that use the same keys
and values, D width of queries and keys, E of values. A block has R rows, with q own positions and k keys each after
padding; X is the number of queries of all blocks and heads, Y that of keys of all blocks and groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sftframe.compaction.scoring import Scoring

QUERIES = 128
"""Positions of a row that are taken together: what lies above is not computed, and the shares stay in the cache."""

KEPT_KEYS = 256
"""With up to this many keys the shares are kept for the backward pass: H * k values a position, 4 C of them at most
with heads of 64, where a layer keeps about 17 C of other values. With more keys they are computed again."""

SPARE_SCORES = 4096
"""Scores of padding in a block, for each head, that cost about as much as one block more."""

TOGETHER = 512
"""Positions of a block of several rows: with more, its scores leave the cache."""


class BlockAttention:
    """Causal attention over N positions laid flat: the shared beginning, then each row's rest.

    Args:
        num_shared: P.
        rest_lengths: positions of each row after the shared beginning.
        dtype: float32 or float64; half precision that comes in is computed in it, and goes out as it came.
    """

    def __init__(self, num_shared: int, rest_lengths: Sequence[int], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._num_shared = num_shared
        self._blocks = tuple(_blocks(num_shared, rest_lengths))
        self._places: dict[tuple[int, int], _Places] = {}
        self._pieces: dict[int | None, tuple[tuple[_Piece, ...], ...]] = {}

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, sinks: Tensor | None = None
    ) -> Tensor:
        """Queries (N, H, D), keys (N, G, D), values (N, G, E) and sinks (H,) to (N, H * E), with gradient."""
        mixed: Tensor = _Blocks.apply(self, scoring, query, key, value, sinks)  # type: ignore[no-untyped-call]
        return mixed

    def forward(self, saved: _Saved, scoring: Scoring, *, keep: bool) -> None:
        """Fill in `saved.mixed`, and with `keep` the shares of pieces with few keys."""
        num_groups, num_together = saved.num_groups, saved.num_together
        blocks = zip(
            *(self._queries(x, num_groups, num_together) for x in (saved.query, saved.mixed)),
            *(self._keys(x, num_groups) for x in (saved.key, saved.value)),
            self._pieces_under(scoring.window),
            strict=True,
        )
        for query, mixed, key, value, pieces in blocks:
            for piece in pieces:
                own, keys = piece.queries(num_together), piece.keys
                shares, _ = _shares(piece, query[:, own], key[:, keys], saved.sinks, scoring)
                of_keys = shares if saved.sinks is None else shares[..., :-1]
                torch.bmm(of_keys, value[:, keys], out=mixed[:, own])
                is_kept = keep and of_keys.shape[2] <= KEPT_KEYS and scoring.softcap is None
                saved.shares.append(shares if is_kept else None)

    def backward(self, grad: Tensor, saved: _Saved, scoring: Scoring) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The gradients of what was saved (queries, keys, values, sinks), from that of what was mixed, (X, E)."""
        num_groups, num_together = saved.num_groups, saved.num_together
        # what the gradients of a query's shares are lowered by, because the shares add up to one
        lowered = (grad * saved.mixed).sum(dim=1, keepdim=True)  # (X, 1)
        of_query, of_key, of_value = (torch.empty_like(x) for x in (saved.query, saved.key, saved.value))
        of_sinks = None if saved.sinks is None else torch.zeros_like(saved.sinks)
        waiting = iter(saved.shares)
        blocks = zip(
            *(self._queries(x, num_groups, num_together) for x in (saved.query, of_query, grad, lowered)),
            *(self._keys(x, num_groups) for x in (saved.key, of_key, saved.value, of_value)),
            self._pieces_under(scoring.window),
            strict=True,
        )
        for query, query_grad, mixed_grad, lower, key, key_grad, value, value_grad, pieces in blocks:
            is_whole = len(pieces) == 1 and pieces[0].keys.start == 0
            if not is_whole:
                key_grad.zero_()
                value_grad.zero_()
            for piece in pieces:
                own, keys = piece.queries(num_together), piece.keys
                shares, slopes = next(waiting), None
                if shares is None:
                    shares, slopes = _shares(piece, query[:, own], key[:, keys], saved.sinks, scoring)
                if of_sinks is not None:
                    of_sinks -= _by_heads(shares[..., -1] * lower[:, own, 0], num_groups, num_together).sum(dim=(0, 2))
                    shares = shares[..., :-1]
                of_scores = torch.bmm(mixed_grad[:, own], value[:, keys].mT)  # (R * G, q * r, k)
                of_scores.sub_(lower[:, own]).mul_(shares)
                if slopes is not None:
                    of_scores.mul_(slopes)
                torch.bmm(of_scores, key[:, keys], out=query_grad[:, own])
                _add(key_grad[:, keys], of_scores.mT, query[:, own], is_first=is_whole)
                _add(value_grad[:, keys], shares.mT, mixed_grad[:, own], is_first=is_whole)
        return of_query, of_key, of_value, of_sinks

    def places(self, num_heads: int, num_groups: int) -> _Places:
        """Where the numbers of so many heads are."""
        if (num_heads, num_groups) not in self._places:
            self._places[num_heads, num_groups] = _Places(self._blocks, self._num_shared, num_heads, num_groups)
        return self._places[num_heads, num_groups]

    def _pieces_under(self, window: int | None) -> tuple[tuple[_Piece, ...], ...]:
        if window not in self._pieces:
            self._pieces[window] = tuple(_pieces(self._blocks, window, self.dtype))
        return self._pieces[window]

    def _queries(self, x: Tensor, num_groups: int, num_together: int) -> Iterator[Tensor]:
        """Numbers of queries, (X, …), block by block: (R * G, q * r, …)."""
        sizes = [len(one.rows) * num_groups * one.num_own * num_together for one in self._blocks]
        for one, part in zip(self._blocks, x.split_with_sizes(sizes), strict=True):
            yield part.view(len(one.rows) * num_groups, one.num_own * num_together, x.shape[1])

    def _keys(self, x: Tensor, num_groups: int) -> Iterator[Tensor]:
        """Numbers of keys, (Y, …), block by block: (R * G, k, …)."""
        sizes = [len(one.rows) * num_groups * one.num_keys for one in self._blocks]
        for one, part in zip(self._blocks, x.split_with_sizes(sizes), strict=True):
            yield part.view(len(one.rows) * num_groups, one.num_keys, x.shape[1])


@dataclass(slots=True)
class _Saved:
    """What the backward pass needs."""

    query: Tensor
    """(X, D), times the factor of `Scoring`."""
    key: Tensor
    """(Y, D)."""
    value: Tensor
    """(Y, E)."""
    mixed: Tensor
    """(X, E)."""
    sinks: Tensor | None
    """(G, r)."""
    shares: list[Tensor | None]
    """Of every piece, (R * G, q * r, k), or k + 1 with sinks; None where they have to be computed again."""
    num_groups: int
    num_together: int
    """r."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows that are taken together, padded to the longest."""

    rows: tuple[tuple[int, int], ...]
    """First position among N, and number of own positions, of each row; the longest first."""
    num_shared: int
    """Keys before a row's own."""

    @property
    def num_own(self) -> int:
        return self.rows[0][1]

    @property
    def num_keys(self) -> int:
        return self.num_shared + self.num_own


def _blocks(num_shared: int, rest_lengths: Sequence[int]) -> Iterator[_Block]:
    """The shared beginning, which is a row of its own; then the rests, those of about the same length together."""
    if num_shared:
        yield _Block(((0, num_shared),), 0)
    rows, first = [], num_shared
    for length in rest_lengths:
        rows.append((first, length))
        first += length
    together: list[tuple[int, int]] = []
    spare = 0
    for first, length in sorted(rows, key=lambda row: -row[1]):
        longest = together[0][1] if together else length
        spare += longest * (num_shared + longest) - length * (num_shared + length)
        if together and (spare > SPARE_SCORES or longest > QUERIES or (len(together) + 1) * longest > TOGETHER):
            yield _Block(tuple(together), num_shared)
            together, spare = [], 0
        if length:
            together.append((first, length))
    if together:
        yield _Block(tuple(together), num_shared)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Positions of all rows of a block that are taken together, and the keys that they may see."""

    start: int
    stop: int
    """Among the q own positions."""
    keys: slice
    """Among the k keys."""
    hidden: Tensor
    """(positions, 1, keys): 0 where a position sees a key, minus infinity where it does not."""

    def queries(self, num_together: int) -> slice:
        """Among q * r, the heads of a group at one position side by side."""
        return slice(self.start * num_together, self.stop * num_together)


def _pieces(blocks: Sequence[_Block], window: int | None, dtype: torch.dtype) -> Iterator[tuple[_Piece, ...]]:
    """The pieces of every block; keys that no position of a piece sees are not in it."""
    most = max((one.num_keys for one in blocks), default=0)
    hidden = torch.full((min(QUERIES, most), most + QUERIES), -math.inf, dtype=dtype)
    hidden = hidden.triu(most + 1) if window is None else hidden.triu(most + 1) + hidden.tril(most - window)
    for one in blocks:
        pieces = []
        for start in range(0, one.num_own, QUERIES):
            stop, before = min(start + QUERIES, one.num_own), one.num_shared + start
            keys = slice(0 if window is None else max(0, before - window + 1), one.num_shared + stop)
            columns = slice(most - before + keys.start, most - before + keys.stop)
            pieces.append(_Piece(start, stop, keys, hidden[: stop - start, None, columns]))
        yield tuple(pieces)


class _Places:
    """Where the numbers of every head come from, and where their gradients and results go.

    Padding repeats a row's last position. Nothing of it comes back: real positions do not see it under the causal mask,
    and its own results get no gradient.
    """

    def __init__(self, blocks: Sequence[_Block], num_shared: int, num_heads: int, num_groups: int) -> None:
        self._num_shared, self._num_heads, self._num_groups = num_shared, num_heads, num_groups
        queries, are_real, keys, are_own, shared = [], [], [], [], []
        num_before = 0
        for one in blocks:
            positions, is_real = _padded(one)  # (R, q)
            together = torch.arange(num_heads).view(num_groups, 1, -1)  # (G, 1, r)
            queries.append((positions[:, None, :, None] * num_heads + together).flatten())
            are_real.append(is_real[:, None, :, None].expand(-1, num_groups, -1, together.shape[2]).flatten())
            repeated = torch.arange(one.num_shared).expand(len(one.rows), -1)  # (R, P)
            groups = torch.arange(num_groups)[:, None]  # (G, 1)
            keys.append((torch.cat([repeated, positions], dim=1)[:, None] * num_groups + groups).flatten())
            is_own = torch.cat([repeated < 0, is_real], dim=1)  # (R, k)
            are_own.append(is_own[:, None].expand(-1, num_groups, -1).flatten())
            among = torch.arange(len(keys[-1])).view(len(one.rows), num_groups, -1) + num_before  # (R, G, k)
            shared.append(among[..., : one.num_shared].transpose(1, 2).flatten())
            num_before += among.numel()
        nothing = torch.arange(0)
        self._queries, self._keys = torch.cat([nothing, *queries]), torch.cat([nothing, *keys])
        is_real, is_own = torch.cat([nothing > 0, *are_real]), torch.cat([nothing > 0, *are_own])
        self._padding = (~is_real).nonzero().squeeze(1)
        self._results, self._own = _inverse(self._queries, is_real), _inverse(self._keys, is_own)
        self._shared = torch.cat([nothing, *shared])
        self._sources: dict[tuple[bool, int, int], Tensor] = {}

    def queries(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(N, H, …), however it lies, to a new (X, …)."""
        flat, *steps = _flat(x)
        return flat.index_select(0, self._lying(is_query=True, steps=steps)).to(dtype)

    def keys(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(N, G, …), however it lies, to a new (Y, …): before every row's own keys the shared ones."""
        flat, *steps = _flat(x)
        return flat.index_select(0, self._lying(is_query=False, steps=steps)).to(dtype)

    def gradients(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """As `queries`, and 0 at padding."""
        found = self.queries(x, dtype)
        return found.index_fill_(0, self._padding, 0) if len(self._padding) else found

    def results(self, x: Tensor) -> Tensor:
        """Of queries, (X, E), to a new (N, H * E): no view of something else, which compiled code would look at."""
        found = x.new_empty(len(self._results) // self._num_heads, self._num_heads * x.shape[1])
        torch.index_select(x, 0, self._results, out=found.view(-1, x.shape[1]))
        return found

    def sums(self, x: Tensor) -> Tensor:
        """Gradients of keys, (Y, …), to a new (N, G, …): those of shared keys are added up over the rows."""
        total = x.index_select(0, self._own)
        if len(self._shared):
            size = self._num_shared * self._num_groups
            total[:size] += x.index_select(0, self._shared).view(-1, size, x.shape[1]).sum(dim=0)
        return total.view(-1, self._num_groups, x.shape[1])

    def _lying(self, *, is_query: bool, steps: Sequence[int]) -> Tensor:
        """int64 (X,) or (Y,): rows of what lies with these steps from position to position and from head to head."""
        which = (is_query, steps[0], steps[1])
        if which not in self._sources:
            places, size = (self._queries, self._num_heads) if is_query else (self._keys, self._num_groups)
            self._sources[which] = places // size * steps[0] + places % size * steps[1]
        return self._sources[which]


def _padded(block: _Block) -> tuple[Tensor, Tensor]:
    """The positions of a block's rows, int64 (R, q), and which of them are no padding, bool (R, q)."""
    firsts, lengths = torch.tensor(block.rows).unbind(1)
    columns = torch.arange(block.num_own)
    is_real = columns < lengths[:, None]
    return firsts[:, None] + torch.minimum(columns, lengths[:, None] - 1), is_real


def _inverse(places: Tensor, is_real: Tensor) -> Tensor:
    """Where each place is found, of those that are real: all of them, each once."""
    where = is_real.nonzero().squeeze(1)
    return torch.empty_like(where).index_copy_(0, places[where], where)


def _flat(x: Tensor) -> tuple[Tensor, int, int]:
    """(N, H, D) as rows of D numbers, without a copy where they lie so, and how many of them it is from position to
    position and from head to head."""
    width = x.shape[2]
    if x.stride(2) != 1 or x.stride(0) % width or x.stride(1) % width:
        x = x.contiguous()
    steps = x.stride(0) // width, x.stride(1) // width
    last = (x.shape[0] - 1) * steps[0] + (x.shape[1] - 1) * steps[1]
    return x.as_strided((last + 1, width), (width, 1)), *steps


def _shares(
    piece: _Piece, query: Tensor, key: Tensor, sinks: Tensor | None, scoring: Scoring
) -> tuple[Tensor, Tensor | None]:
    """What each query gives to each key that it may see, (R * G, q * r, k), and last to its sink, if there are any; all
    of a query's add up to one. Under a soft cap also the slope of each score."""
    num_keys = key.shape[1]
    scores = query.new_empty(*query.shape[:2], num_keys + (sinks is not None))
    of_keys = scores[..., :num_keys]
    torch.bmm(query, key.mT, out=of_keys)
    slopes = None
    if scoring.softcap is not None:
        slopes = of_keys.tanh_().square().neg_().add_(1).mul_(scoring.softcap)
        of_keys.mul_(scoring.softcap)
    num_positions = len(piece.hidden)
    of_keys.view(len(query), num_positions, -1, num_keys).add_(piece.hidden)
    if sinks is not None:
        _by_heads(scores, *sinks.shape)[..., -1] = sinks[:, None]
    return torch.softmax(scores, dim=-1, out=scores), slopes


def _by_heads(x: Tensor, num_groups: int, num_together: int) -> Tensor:
    """(R * G, q * r, …) to (R, G, q, r, …)."""
    return x.view(-1, num_groups, x.shape[1] // num_together, num_together, *x.shape[2:])


def _add(total: Tensor, left: Tensor, right: Tensor, *, is_first: bool) -> None:
    """Add a product to what is there, or write it where nothing is yet."""
    if is_first:
        torch.bmm(left, right, out=total)
    else:
        total += torch.bmm(left, right)


class _Blocks(torch.autograd.Function):
    """In float32 also where half precision comes in: its products are small, and casting both ways costs less."""

    @staticmethod
    def forward(
        ctx: Any,
        blocks: BlockAttention,
        scoring: Scoring,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        sinks: Tensor | None,
    ) -> Tensor:
        num_heads, num_groups = query.shape[1], key.shape[1]
        places, dtype = blocks.places(num_heads, num_groups), blocks.dtype
        with torch.autocast("cpu", enabled=False):
            queries = places.queries(query, dtype).mul_(scoring.factor)
            saved = _Saved(
                query=queries,
                key=places.keys(key, dtype),
                value=places.keys(value, dtype),
                mixed=queries.new_empty(len(queries), value.shape[2]),
                sinks=None if sinks is None else sinks.to(dtype).view(num_groups, -1),
                shares=[],
                num_groups=num_groups,
                num_together=num_heads // num_groups,
            )
            blocks.forward(saved, scoring, keep=any(ctx.needs_input_grad))
            result = places.results(saved.mixed)
        ctx.blocks, ctx.scoring, ctx.places = blocks, scoring, places
        ctx.sizes = num_groups, num_heads // num_groups
        ctx.dtypes = query.dtype, key.dtype, value.dtype, None if sinks is None else sinks.dtype
        ctx.save_for_backward(saved.query, saved.key, saved.value, saved.mixed, saved.sinks, *saved.shares)
        return result.to(query.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mixed, sinks, *shares = ctx.saved_tensors
        places: _Places = ctx.places
        saved = _Saved(query, key, value, mixed, sinks, shares, *ctx.sizes)
        with torch.autocast("cpu", enabled=False):
            grad = places.gradients(grads[0].reshape(len(grads[0]), -1, value.shape[1]), ctx.blocks.dtype)
            of_query, of_key, of_value, of_sinks = ctx.blocks.backward(grad, saved, ctx.scoring)
            of_query.mul_(ctx.scoring.factor)
            by_heads = places.results(of_query).view(len(grads[0]), -1, query.shape[1])
            found = by_heads, places.sums(of_key), places.sums(of_value), of_sinks
        of_parts = (None if x is None else x.to(dtype) for x, dtype in zip(found, ctx.dtypes, strict=True))
        *first, last = of_parts
        return None, None, *first, None if last is None else last.flatten()
