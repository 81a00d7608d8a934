"""The key-value cache: writing a token computes one position and not the whole text.

One block of memory contains the keys and values of all layers and rows. The beginning that all rows share is kept once
and is not read again for every row. The columns of a row are its positions after that beginning. Rows may have
different lengths. A finished row gives its place to another; the other rows are not copied.

Shapes: L layers, B rows, H heads, S columns, P shared positions, D width of a head, C = H x D, N new positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sftframe_plugins.gpt2.network import NetworkConfig

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
