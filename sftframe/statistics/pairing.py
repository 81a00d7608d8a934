"""Scores of arms on the items and seeds that all of them have, and paired differences of two.

A missing score drops its item everywhere, so that all figures are about the same items. The number of dropped items is
always reported.

Shapes: A arms, S seeds, I items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftframe.errors import ConfigError, DataError

Floats = NDArray[np.float64]
ArmScores = Mapping[int, Mapping[int, float | None]]
"""Seed to item index to score; None, NaN or no entry = not scored."""
Scores = Mapping[str, ArmScores]
"""Arm to its scores. Of a ratio of sums (NLL per byte) these are the numerators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonScores:
    """The part of the scores that all arms have."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    items: tuple[int, ...]
    values: Floats
    """(A, S, I). Of a ratio divided by the mean weight, so that means over items are ratios of sums."""
    weights: Floats
    """(I,), mean 1."""
    num_missing_items: tuple[int, ...]
    """(A,): items that each arm lacks in some seed."""
    num_dropped_items: int
    num_dropped_seeds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifferences:
    """Candidate minus baseline, per seed and item."""

    values: Floats
    """(S, I); their mean is the difference."""
    weights: Floats
    """(I,), mean 1; all 1 unless the score is a ratio of sums."""

    @property
    def mean(self) -> float:
        """Mean difference; of a ratio, the difference of the ratios."""
        return float(self.values.mean())

    @property
    def influence(self) -> Floats:
        """(S, I): `values`, or for a ratio its linearisation, which varies over items as the ratio does."""
        return linearised(self.values, self.weights)


def pair_up(
    baseline: ArmScores, candidate: ArmScores, *, weights: Mapping[int, float] | None = None
) -> PairedDifferences:
    """Differences on the seeds and items that both arms have.

    Args:
        weights: denominators by item, if the scores are numerators of a ratio of sums.

    Raises:
        DataError: the arms share no seed or no item.

    >>> pair_up({1: {0: 50.0, 1: 70.0}}, {1: {0: 60.0, 1: 70.0, 2: 90.0}}).values
    array([[10.,  0.]])
    """
    common = common_scores({"the baseline": baseline, "the candidate": candidate}, weights)
    return differences(common, 0, 1)


def differences(common: CommonScores, baseline: int, candidate: int) -> PairedDifferences:
    """Of two arms, by their positions."""
    return PairedDifferences(values=common.values[candidate] - common.values[baseline], weights=common.weights)


def linearised(values: Floats, weights: Floats) -> Floats:
    """(..., S, I): how each cell changes the mean, with the same mean.

    A ratio of sums varies with the denominators too: to first order an item changes it by its numerator minus the ratio
    times its weight (Taylor linearisation, as for ratio estimators in survey sampling).

    Args:
        values: (..., S, I), divided by the mean weight.
        weights: (..., I), mean 1.
    """
    ratio = values.mean(axis=(-2, -1), keepdims=True)
    moved: Floats = values - ratio * (weights[..., None, :] - 1.0)
    return moved


def common_scores(scores: Scores, weights: Mapping[int, float] | None = None) -> CommonScores:
    """The seeds that all arms have, and the items that are scored in all arms at all these seeds.

    Raises:
        ConfigError: fewer than two arms.
        DataError: no common seed or item, an infinite score, or a weight that is missing or not positive.
    """
    if len(scores) < 2:
        raise ConfigError(f"a comparison needs at least two arms, got {len(scores)} ({', '.join(scores)})")
    every_seed = [set(arm) for arm in scores.values()]
    seeds = tuple(sorted(set.intersection(*every_seed)))
    if not seeds:
        raise DataError(
            f"{_those(scores)} have no seed in common, so nothing is paired; run the same seeds in each arm"
        )
    scored = [[_scored(arm[seed], name, seed) for seed in seeds] for name, arm in scores.items()]
    every_item = set[int]().union(*(arm[seed] for arm in scores.values() for seed in seeds))
    complete = [set.intersection(*arm) for arm in scored]
    items = tuple(sorted(set.intersection(*complete)))
    if not items:
        raise DataError(f"{_those(scores)} have no scored item in common; compare arms with the same test items")
    cells = [[[float(arm[seed][item] or 0.0) for item in items] for seed in seeds] for arm in scores.values()]
    denominators = _denominators(items, weights)
    return CommonScores(
        names=tuple(scores),
        seeds=seeds,
        items=items,
        values=np.array(cells) / denominators.mean(),
        weights=denominators / denominators.mean(),
        num_missing_items=tuple(len(every_item - arm) for arm in complete),
        num_dropped_items=len(every_item) - len(items),
        num_dropped_seeds=len(set.union(*every_seed)) - len(seeds),
    )


def _scored(values: Mapping[int, float | None], name: str, seed: int) -> set[int]:
    found = {item for item, value in values.items() if value is not None and not np.isnan(value)}
    infinite = sorted(item for item in found if np.isinf(values[item] or 0.0))
    if infinite:
        raise DataError(f"{name}, seed {seed}: the score of item {infinite[0]} is infinite; scores have to be finite")
    return found


def _denominators(items: tuple[int, ...], weights: Mapping[int, float] | None) -> Floats:
    if weights is None:
        return np.ones(len(items))
    bad = [item for item in items if not 0 < weights.get(item, 0.0) < np.inf]
    if bad:
        known: Any = weights.get(bad[0], "missing")
        raise DataError(f"the weight of item {bad[0]} is {known}; a ratio of sums needs a positive one for each item")
    return np.array([float(weights[item]) for item in items])


def _those(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:-1]) + " and " + listed[-1]
