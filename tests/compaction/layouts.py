"""Layouts of rows with given lengths."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sftframe import Batch, CompactBatch, compact


def layout_of(num_shared: int, rests: Sequence[int]) -> CompactBatch:
    """Rows that have their first positions in common and then go on for so many; everything counts."""
    longest = num_shared + max(rests)
    inputs = torch.arange(len(rests) * longest).view(len(rests), longest)
    inputs[:, :num_shared] = inputs[:1, :num_shared]
    lengths = torch.tensor([num_shared + rest for rest in rests])
    targets = torch.where(torch.arange(longest) < lengths[:, None], 1, -100)
    return compact(Batch(inputs=inputs, targets=targets))


def bare(num_shared: int, rests: Sequence[int]) -> CompactBatch:
    """A layout of these lengths, also where `compact` would not share so little, or would leave a row out."""
    longest = max(rests)
    is_real = torch.arange(longest) < torch.tensor([rest for rest in rests if rest] or [0])[:, None]
    nothing = torch.arange(0)
    return CompactBatch(
        ids=torch.zeros(num_shared + sum(rests), dtype=torch.int64),
        positions=nothing,
        num_shared=num_shared,
        rest_lengths=tuple(rests),
        slots=is_real.flatten().nonzero().squeeze(1),
        sources=(is_real.flatten().cumsum(0) - 1).clamp(min=0),
        states=nothing,
        term_states=nothing,
        term_targets=nothing,
        term_weights=nothing,
        chunks=(),
        shape=(len(rests), num_shared + longest),
        counted_positions=nothing,
        counted_terms=nothing,
    )
