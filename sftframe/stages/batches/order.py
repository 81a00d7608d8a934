"""The order of the training examples, from seed and epoch, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


def epoch_order(num_examples: int, *, seed: int, epoch: int, shuffle: bool = True) -> list[int]:
    """The order of one epoch, counted from 0.

    With shuffling this is the order of the epoch-th pass over a `torch.utils.data.DataLoader(shuffle=True)` after
    `torch.manual_seed(seed)`: each pass draws one random number for its workers and one as the seed of the permutation.
    """
    if not shuffle:
        return list(range(num_examples))
    draws = torch.empty(2 * (epoch + 1), dtype=torch.int64)
    base = torch.Generator().manual_seed(seed)
    for i in range(len(draws)):
        draws[i] = torch.empty((), dtype=torch.int64).random_(generator=base)
    order = torch.randperm(num_examples, generator=torch.Generator().manual_seed(int(draws[-1])))
    return [int(i) for i in order]


def batch_rows(order: Sequence[int], batch_size: int, *, drop_last: bool = False) -> Iterator[list[int]]:
    """The order cut into batches; the last one may be smaller, or is left out.

    >>> list(batch_rows([4, 2, 0, 1, 3], 2))
    [[4, 2], [0, 1], [3]]
    """
    for start in range(0, len(order), batch_size):
        rows = list(order[start : start + batch_size])
        if len(rows) == batch_size or not drop_last:
            yield rows
