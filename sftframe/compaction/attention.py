"""Causal attention over the positions of a `CompactBatch`, with the method that suits the device.

Shapes: N positions that matter, C width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sftframe.compaction.layout import CompactBatch
from sftframe.compaction.padded_attention import PaddedAttention
from sftframe.compaction.row_attention import RowAttention


class CompactAttention:
    """Causal attention over the positions of a `CompactBatch`: each sees itself and those before it in its row, the
    shared beginning included.

    One serves all layers of a model. On a CPU rows of different lengths are taken one by one, without dropout;
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
