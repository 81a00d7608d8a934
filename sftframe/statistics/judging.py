"""The noise of a judge, from grading the same answers again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sftframe.errors import DataError


def judge_variance(repeats: Sequence[Mapping[int, float | None]]) -> float:
    """Variance of one score between gradings of the same answer, pooled over the answers.

    Args:
        repeats: one mapping from item to score per grading; an item without a score in one is used in the others.

    Raises:
        DataError: no item was scored twice.

    >>> judge_variance([{0: 70.0, 1: 90.0}, {0: 80.0, 1: 90.0}])
    25.0
    """
    items = set[int]().union(*repeats)
    scores = {
        item: [value for one in repeats if (value := one.get(item)) is not None and np.isfinite(value)]
        for item in sorted(items)
    }
    graded = [np.array(values) for values in scores.values() if len(values) > 1]
    if not graded:
        raise DataError("no answer was graded twice, so the judge's noise is unknown; grade the same answers again")
    return float(sum(((x - x.mean()) ** 2).sum() for x in graded) / sum(len(x) - 1 for x in graded))
