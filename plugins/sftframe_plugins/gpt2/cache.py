"""Keys and values of positions already computed, so that writing a token costs one position and not the whole text.

One block of memory holds every layer's keys and values of every row. A row's column is the position itself, rows may
have different lengths, and a row that is over gives its place away without the others being copied. Knows nothing of
tokens or of when a row is over.

Shapes: L layers, B rows, H heads, S columns, T new positions, D width of a head, C = H x D.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe_plugins.gpt2.network import NetworkConfig, join_heads, split_heads


class KeyValueCache:
    """The cached positions of some rows; also the `Attend` of new positions that see them and each other.

    A forward pass over T new positions of every row: `positions(T)` for the network, the pass with `attend=cache`,
    then `advance`, with how many of the T were real in each row: rows padded on the right may be mixed, because no
    real position sees the padding, and the next positions overwrite it.
    """

    def __init__(self, block: Tensor, lengths: list[int]) -> None:
        self._block = block  # (L, 2, B, H, S, D)
        self._lengths = lengths
        self._visible: Tensor | None = None

    @classmethod
    def empty(cls, config: NetworkConfig, num_rows: int, capacity: int, like: Tensor) -> KeyValueCache:
        """Room for `num_rows` rows of `capacity` positions, on the device and in the dtype of `like`; no row yet."""
        width = config.width // config.num_heads
        shape = config.num_layers, 2, num_rows, config.num_heads, capacity, width
        # zeros, not what happens to lie there: a column that is not seen weighs 0, but 0 times NaN is NaN
        return cls(torch.zeros(shape, device=like.device, dtype=like.dtype), [])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Cached positions of each row."""
        return tuple(self._lengths)

    def positions(self, num_new: int) -> Tensor:
        """int64 (B, T): the positions that the next `num_new` tokens of each row have."""
        device = self._block.device
        return torch.tensor(self._lengths, device=device)[:, None] + torch.arange(num_new, device=device)

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Keep the new keys and values of a layer, (B, T, C) each, and attend over all that a row has."""
        num_new, num_heads = key.shape[1], self._block.shape[3]
        if layer == 0:
            self._visible = self._mask(num_new)
        keys, values = self._extend(layer, split_heads(key, num_heads), split_heads(value, num_heads))
        is_first = not any(self._lengths)
        mixed = F.scaled_dot_product_attention(
            split_heads(query, num_heads), keys, values, attn_mask=self._visible, is_causal=is_first
        )  # (B, H, T, D)
        return join_heads(mixed)

    def advance(self, num_new: list[int]) -> None:
        """The positions of the last pass are there to stay: so many of each row."""
        self._lengths[:] = [length + new for length, new in zip(self._lengths, num_new, strict=True)]

    def append(self, num_rows: int) -> KeyValueCache:
        """Empty rows behind those that are there, as a cache of their own; `join` makes them rows of this one."""
        first = len(self._lengths)
        return KeyValueCache(self._block[:, :, first : first + num_rows], [0] * num_rows)

    def join(self, appended: KeyValueCache) -> None:
        """Take over the rows that the last `append` gave, once they are filled."""
        self._lengths += appended._lengths

    def drop(self, row: int) -> None:
        """Give up a row; the last row takes its place."""
        last = len(self._lengths) - 1
        length = self._lengths[row] = self._lengths[last]
        if row != last:
            self._block[:, :, row, :, :length] = self._block[:, :, last, :, :length]
        self._lengths.pop()

    def _extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, H, T, D) behind each row's length; return each row's columns up to the longest, (B, H, S, D)."""
        num_rows, _, num_new, _ = key.shape
        stop = max(self._lengths) + num_new
        kept = self._block[layer, :, :num_rows]  # (2, B, H, S, D)
        if self._is_even:
            kept[0, :, :, stop - num_new : stop] = key
            kept[1, :, :, stop - num_new : stop] = value
        else:
            rows = torch.arange(num_rows, device=key.device)[:, None]  # (B, 1)
            columns = self.positions(num_new)  # (B, T)
            kept[0][rows, :, columns] = key.transpose(1, 2)  # indexing puts B, T first: (B, T, H, D)
            kept[1][rows, :, columns] = value.transpose(1, 2)
        return kept[0, :, :, :stop], kept[1, :, :, :stop]

    def _mask(self, num_new: int) -> Tensor | None:
        """bool (B, 1, T, S), True = seen; None where every new position sees all columns, or causality says it all."""
        is_first = not any(self._lengths)
        if is_first or (self._is_even and num_new == 1):
            return None
        columns = torch.arange(max(self._lengths) + num_new, device=self._block.device)  # (S,)
        return (columns <= self.positions(num_new)[..., None])[:, None]

    @property
    def _is_even(self) -> bool:
        return min(self._lengths) == max(self._lengths)
