"""Attention over compact positions for any heads and scores: which way it is computed, by device, rows and scores."""

from __future__ import annotations

import torch
from torch import Tensor

from sftframe.compaction.blocks import BlockAttention
from sftframe.compaction.layout import CompactBatch
from sftframe.compaction.padded import PaddedAttention
from sftframe.compaction.scoring import Scoring
from sftframe.compaction.varlen import VarlenAttention


class GroupedAttention:
    """Causal attention over the positions of a `CompactBatch`, for any number of query heads per group of keys: each
    position sees itself and those before it in its row, the shared beginning included.

    All layers of a model can share one. On a CPU rows of different lengths are taken as batched products with little
    padding, exact in float32 and float64; half precision is computed in float32. Elsewhere, under dropout, and where
    nothing is padded, torch's fused kernels are used where they know the scores that are asked for.

        attend = GroupedAttention(layout)  # once a batch
        mixed = attend(query, key, value, scale=64**-0.5)  # in every layer

    Args:
        layout: where the positions stand, from `compact`.
        dropout: share of the softmax that is dropped.
    """

    def __init__(self, layout: CompactBatch, *, dropout: float = 0.0) -> None:
        self._layout = layout
        self._dropout = dropout
        self._longest = layout.num_shared + max(layout.rest_lengths, default=0)
        self._ways: dict[type, BlockAttention | PaddedAttention | VarlenAttention] = {}

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
        sinks: Tensor | None = None,
    ) -> Tensor:
        """What each position gathers, (N, H, E), with gradient.

        Args:
            query: (H, N, D), however it lies in memory.
            key: (G, N, D); H is a multiple of G, and head h uses group h // (H / G).
            value: (G, N, E); E may differ from D.
            scale: what the products of queries and keys are multiplied by.
            window: how many positions a query sees, itself included; None = all up to itself.
            softcap: scores become softcap * tanh(scores / softcap), before any is hidden.
            sinks: (H,), scores of a key without a value that every query sees.
        """
        if window is not None and window >= self._longest:
            window = None
        scoring = Scoring(scale=scale, window=window, softcap=softcap)
        parts = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        mixed = self._way_for(*parts, scoring, sinks)(*parts, scoring, sinks)  # (N, H * E)
        return mixed.view(query.shape[1], query.shape[0], value.shape[2])

    def _way_for(
        self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, sinks: Tensor | None
    ) -> BlockAttention | PaddedAttention | VarlenAttention:
        kind = self._kind(query, value, scoring, sinks)
        if kind not in self._ways:
            self._ways[kind] = self._made(kind, query)
        return self._ways[kind]

    def _kind(self, query: Tensor, value: Tensor, scoring: Scoring, sinks: Tensor | None) -> type:
        if self._dropout:
            return PaddedAttention
        is_simple = sinks is None and scoring.softcap is None
        if is_simple and VarlenAttention.is_for(query, value):
            return VarlenAttention
        # the kernels know nothing else; without MKL torch multiplies the heads one after the other
        is_fused = self._layout.is_even and is_simple and scoring.window is None and query.shape[2] == value.shape[2]
        has_mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        return BlockAttention if query.is_cpu and has_mkl and not is_fused else PaddedAttention

    def _made(self, kind: type, query: Tensor) -> BlockAttention | PaddedAttention | VarlenAttention:
        layout = self._layout
        if kind is BlockAttention:
            dtype = torch.promote_types(query.dtype, torch.float32)
            return BlockAttention(layout.num_shared, layout.rest_lengths, dtype)
        if kind is VarlenAttention:
            return VarlenAttention(layout)
        return PaddedAttention(layout, dropout=self._dropout)
