"""Passes of the network while it answers: the first over the prompt, then one token at a time, with a cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe_plugins.gpt2.network import GPT2, CausalRows, NetworkConfig, join_heads, split_heads

CLEANED_AT_ONCE = 32
"""Columns that are added at a time: memory is used as the answers grow, not for their possible length."""


class KeyValueCache:
    """The cached positions of some rows.

    Args:
        shared: keys and values of the shared beginning, (L, 2, H, P, D); P may be 0.
        num_rows: the most rows at a time.
        capacity: columns of a row, without the shared beginning.
    """

    def __init__(self, shared: Tensor, num_rows: int, capacity: int) -> None:
        num_layers, _, num_heads, _, width = shared.shape
        self._block = shared.new_empty(num_layers, 2, num_rows, num_heads, capacity, width)  # (L, 2, B, H, S, D)
        self._shared = shared
        self._lengths: list[int] = []
        self._num_clean = 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """Cached positions of each row, without the shared beginning."""
        return tuple(self._lengths)

    @property
    def num_shared(self) -> int:
        """Positions of the shared beginning."""
        return self._shared.shape[3]

    @property
    def num_heads(self) -> int:
        """Heads of a layer."""
        return self._shared.shape[2]

    @property
    def device(self) -> torch.device:
        """The device of the memory."""
        return self._block.device

    def shared(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the shared beginning, (H, P, D) each."""
        return self._shared[layer, 0], self._shared[layer, 1]

    def clean(self, num_columns: int) -> None:
        """Clear new columns: a masked column has weight 0, but 0 times old memory may be NaN."""
        if num_columns > self._num_clean:
            stop = num_columns + CLEANED_AT_ONCE
            self._block[..., self._num_clean : stop, :] = 0.0
            self._num_clean = min(stop, self._block.shape[4])

    def put(self, layer: int, rows: Tensor, columns: Tensor, key: Tensor, value: Tensor) -> None:
        """Keep keys and values, (N, C) each, in these rows and columns, int64 (N,) each."""
        for kept, new in zip(self._block[layer], (key, value), strict=True):
            kept[rows, :, columns] = new.view(len(rows), self.num_heads, -1)

    def columns(self, layer: int, rows: slice, stop: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first columns of some rows, (B, H, S, D) each."""
        kept = self._block[layer, :, rows, :, :stop]
        return kept[0], kept[1]

    def advance(self, num_new: Sequence[int]) -> None:
        """Keep this number of new positions of each row."""
        self._lengths[:] = [length + new for length, new in zip(self._lengths, num_new, strict=True)]

    def join(self, lengths: Sequence[int]) -> None:
        """Take the places after the last row as new rows, with these lengths."""
        self._lengths += lengths

    def drop(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = len(self._lengths) - 1
        length = self._lengths[row] = self._lengths[last]
        if row != last:
            self._block[:, :, row, :, :length] = self._block[:, :, last, :, :length]
        self._lengths.pop()


def bytes_per_position(config: NetworkConfig, element_size: int) -> int:
    """Memory of one cached position of one row."""
    return 2 * config.num_layers * config.width * element_size


def read_shared(network: GPT2, ids: Sequence[int]) -> Tensor:
    """Keys and values of the shared beginning: (L, 2, H, P, D); P is 0 without one."""
    num_layers, num_heads, width = network.config.num_layers, network.config.num_heads, network.config.width
    weight = network.wte.weight
    kept = weight.new_empty(num_layers, 2, num_heads, len(ids), width // num_heads)
    causal = CausalRows(num_heads)

    def attend(layer: int, joined: Tensor) -> Tensor:
        _, key, value = joined.chunk(3, dim=-1)
        kept[layer, 0], kept[layer, 1] = split_heads(key, num_heads)[0], split_heads(value, num_heads)[0]
        return causal(layer, joined)

    if ids:
        # no state is wanted: the last layer computes keys and values only
        network.hidden(torch.tensor([ids], device=weight.device), attend=attend, keep=lambda x: x[:, :0])
    return kept


class Reading:
    """The pass over the positions of new rows after the shared beginning, flattened: (N, C).

    Call `cache.join(lengths)` after it.
    """

    def __init__(self, cache: KeyValueCache, lengths: Sequence[int]) -> None:
        self._cache = cache
        self._num_rows, self._longest = len(lengths), max(lengths)
        device = cache.device
        sizes = torch.tensor(lengths, device=device)
        rows = torch.repeat_interleave(sizes)  # (N,)
        self.last = sizes.cumsum(0) - 1  # (B,): each row's last position among the N
        self._columns = torch.arange(len(rows), device=device) - (self.last + 1 - sizes)[rows]  # (N,)
        first = len(cache.lengths)
        self._rows = first + rows
        self._places = slice(first, first + len(lengths))
        self._slots = rows * self._longest + self._columns  # (N,): where each position is in (B * S)
        own = torch.ones(self._longest, self._longest, dtype=torch.bool, device=device).tril()  # (S, S)
        self._mask = torch.cat([own.new_ones(self._longest, cache.num_shared), own], dim=1)  # (S, P + S)
        self.positions = cache.num_shared + self._columns  # (N,)
        cache.clean(self._longest)

    def __call__(self, layer: int, joined: Tensor) -> Tensor:
        """Keep the new keys and values; each position sees the shared beginning, those before it, and itself."""
        query, key, value = joined.chunk(3, dim=-1)
        cache = self._cache
        cache.put(layer, self._rows, self._columns, key, value)
        seen = cache.columns(layer, self._places, self._longest)  # (B, H, S, D) each
        padded = query.new_zeros(self._num_rows * self._longest, query.shape[-1])
        padded[self._slots] = query
        heads = split_heads(padded.view(self._num_rows, self._longest, -1), cache.num_heads)  # (B, H, S, D)
        if not cache.num_shared:
            mixed = F.scaled_dot_product_attention(heads, *seen, is_causal=True)
        else:
            keys, values = (
                torch.cat([first.expand(self._num_rows, -1, -1, -1), own], dim=2)
                for first, own in zip(cache.shared(layer), seen, strict=True)
            )  # (B, H, P + S, D) each
            mixed = F.scaled_dot_product_attention(heads, keys, values, attn_mask=self._mask)
        return join_heads(mixed).flatten(0, 1)[self._slots]  # (N, C)


class Step:
    """The pass over the next T positions of every row in the cache: (B, T, C).

    Call `cache.advance` after it, with the number of the T positions that each row keeps: the next pass overwrites the
    rest.
    """

    def __init__(self, cache: KeyValueCache, num_new: int = 1) -> None:
        self._cache = cache
        self._num_rows = len(cache.lengths)
        self._stop = max(cache.lengths) + num_new
        lengths = torch.tensor(cache.lengths, device=cache.device)
        columns = lengths[:, None] + torch.arange(num_new, device=cache.device)  # (B, T)
        self._rows = torch.arange(self._num_rows, device=cache.device).repeat_interleave(num_new)  # (B * T,)
        self._columns = columns.flatten()
        self._hidden = self._unseen(columns)
        self.positions = cache.num_shared + columns
        cache.clean(self._stop)

    def __call__(self, layer: int, joined: Tensor) -> Tensor:
        """Keep the new keys and values; each position sees the shared beginning, its row before it, and itself.

        With one query per row, SDPA's kernels are not faster than two products, and two products need no copy of the
        shared keys: the queries of all rows use them in one product.
        """
        query, key, value = joined.chunk(3, dim=-1)
        cache = self._cache
        cache.put(layer, self._rows, self._columns, key.flatten(0, 1), value.flatten(0, 1))
        keys, values = cache.columns(layer, slice(self._num_rows), self._stop)  # (B, H, S, D) each
        heads = split_heads(query, cache.num_heads) * keys.shape[-1] ** -0.5  # (B, H, T, D)
        scores = heads @ keys.transpose(-1, -2)  # (B, H, T, S)
        if self._hidden is not None:
            scores.masked_fill_(self._hidden, float("-inf"))
        if not cache.num_shared:
            return join_heads(_softmax(scores) @ values)
        shared_keys, shared_values = cache.shared(layer)  # (H, P, D) each
        first = self._for_all(heads, shared_keys.transpose(-1, -2))  # (B, H, T, P)
        weights = _softmax(torch.cat([first, scores], dim=-1))  # (B, H, T, P + S)
        of_first, of_own = weights[..., : cache.num_shared], weights[..., cache.num_shared :]
        return join_heads(of_own @ values + self._for_all(of_first, shared_values))

    def _for_all(self, x: Tensor, matrices: Tensor) -> Tensor:
        """Multiply (B, H, T, X) by one matrix a head, (H, X, Y): (B, H, T, Y)."""
        products = x.transpose(0, 1).flatten(1, 2) @ matrices  # (H, B * T, Y)
        return products.view(len(matrices), self._num_rows, -1, products.shape[-1]).transpose(0, 1)

    def _unseen(self, columns: Tensor) -> Tensor | None:
        """bool (B, 1, T, S), True = not seen; None if every new position sees all columns."""
        lengths = self._cache.lengths
        if columns.shape[1] == 1 and min(lengths) == max(lengths):
            return None
        return (torch.arange(self._stop, device=columns.device) > columns[..., None])[:, None]


def _softmax(scores: Tensor) -> Tensor:
    return scores.softmax(dim=-1, dtype=torch.float32).to(scores.dtype)
