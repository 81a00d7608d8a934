"""Shares the rows of a batch out over ranks, so that all of them have about the same work.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sftframe.plugins import IGNORED
from sftframe.records import Batch, StepData


def share_out(costs: Sequence[int], num_ranks: int) -> list[list[int]]:
    """The items of each rank, in increasing order; the largest item first goes to the rank that has least so far.

    The ranks' costs then differ by at most the largest item's (Graham 1969, "Bounds on multiprocessing timing
    anomalies"). It is the same on every machine.

    >>> share_out([7, 2, 2, 3], 2), share_out([5], 3)
    ([[0], [1, 2, 3]], [[0], [], []])
    """
    shares: list[list[int]] = [[] for _ in range(num_ranks)]
    load = [0] * num_ranks
    for item in sorted(range(len(costs)), key=lambda item: (-costs[item], item)):
        rank = min(range(num_ranks), key=lambda rank: (load[rank], len(shares[rank]), rank))
        shares[rank].append(item)
        load[rank] += costs[item]
    return [sorted(share) for share in shares]


def needed_lengths(targets: Tensor) -> Tensor:
    """The positions of each row that can change its loss, up to the last counted target: (B, T) to int64 (B,)."""
    columns = torch.arange(1, targets.shape[1] + 1)
    return ((targets != IGNORED) * columns).amax(dim=1)


def rows_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some rows of a batch, without the positions after the last counted target of all of them.

    Those positions cannot change the loss of a causal model. Without rows it is one position that counts with weight 0:
    every parameter then has a gradient of zero.
    """
    if not rows:
        is_first = torch.zeros(1, 1)
        return Batch(inputs=batch.inputs[:1, :1], targets=batch.inputs[:1, :1], weights=is_first)
    chosen = list(rows)
    width = max(1, int(needed_lengths(batch.targets[chosen]).max()))
    return Batch(
        inputs=batch.inputs[chosen, :width],
        targets=batch.targets[chosen, :width],
        weights=None if batch.weights is None else batch.weights[chosen, :width],
        indices=tuple(batch.indices[row] for row in rows) if batch.indices else (),
    )


def shared_step(data: StepData, num_ranks: int) -> list[StepData]:
    """Each rank's part of a step: as many micro-batches as the whole has, and the weight of the whole."""
    parts: list[list[Batch]] = [[] for _ in range(num_ranks)]
    for batch in data.micro_batches:
        shares = share_out(needed_lengths(batch.targets).tolist(), num_ranks)
        for rank, rows in enumerate(shares):
            parts[rank].append(rows_of(batch, rows))
    return [replace(data, micro_batches=tuple(batches)) for batches in parts]
