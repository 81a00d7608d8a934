"""How a judge's scores compare with people's labels of the same answers: agreement, and bias by arm and by length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sftframe.confidence import mean_interval

Floats = NDArray[np.float64]
HALF = 50.0
"""Scores from here on count as right where labels are only right or wrong."""
NUM_LENGTHS = 3
"""Parts of equal number into which answers are split by their length."""
LEAST_ANSWERS = 10
"""Labelled answers below which no correlation and no slope is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """An answer that has both a label and a score of the judge."""

    arm: str
    index: int
    """Of its item."""
    length: int
    """Of the answer in characters."""
    judge: float
    people: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """Judge and people on a part of the labelled answers."""

    name: str
    num_answers: int
    judge: float
    """Mean score."""
    people: float
    """Mean label."""
    low: float | None
    """95 % interval of the mean of judge minus people, items as units. None = one item."""
    high: float | None

    @property
    def difference(self) -> float:
        """Judge minus people: above 0 the judge is too kind."""
        return self.judge - self.people


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The judge against people on all labelled answers."""

    num_answers: int
    num_items: int
    pearson: float | None
    """None = too few answers, or all have the same score or label."""
    spearman: float | None
    accuracy: float | None
    """Share of answers, 0-1, on whose rightness judge (50 and more) and people agree; None = labels between 0 and
    100.
    """
    arms: tuple[Bias, ...]
    lengths: tuple[Bias, ...]
    """Short answers first; empty if the answers are too few or too alike."""
    length_slope: float | None
    """By how many points judge minus people changes where an answer is twice as long."""
    length_slope_ci95: tuple[float, float] | None
    num_people: int
    num_twice: int
    """Answers with labels of several people."""
    alpha: float | None
    """As `PeopleLabels.alpha`."""


def agreement(
    answers: Sequence[LabelledAnswer],
    *,
    is_binary: bool,
    num_people: int = 1,
    num_twice: int = 0,
    alpha: float | None = None,
    groups: Mapping[int, str] | None = None,
) -> Agreement:
    """How judge and people agree.

    Args:
        answers: at least one.
        is_binary: all labels are 0 or 100.
        groups: by item its group, the unit of intervals.
    """
    judge, people = np.array([one.judge for one in answers]), np.array([one.people for one in answers])
    units = [(groups or {}).get(one.index) or one.index for one in answers]
    slope, ends = _length_slope(answers, judge - people, units)
    arms = dict.fromkeys(one.arm for one in answers)
    return Agreement(
        num_answers=len(answers),
        num_items=len({one.index for one in answers}),
        pearson=_correlation(judge, people),
        spearman=_correlation(_ranks(judge), _ranks(people)),
        accuracy=float(((judge >= HALF) == (people >= HALF)).mean()) if is_binary else None,
        arms=tuple(
            _bias(name, [place for place, one in enumerate(answers) if one.arm == name], judge, people, units)
            for name in arms
        ),
        lengths=_by_length(answers, judge, people, units),
        length_slope=slope,
        length_slope_ci95=ends,
        num_people=num_people,
        num_twice=num_twice,
        alpha=alpha,
    )


def _correlation(one: Floats, other: Floats) -> float | None:
    if len(one) < LEAST_ANSWERS or not np.ptp(one) or not np.ptp(other):
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: Floats) -> Floats:
    """Mean ranks of equal values."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (counts.cumsum() - (counts - 1) / 2)[places]
    return ranks


def _bias(name: str, places: Sequence[int], judge: Floats, people: Floats, units: Sequence[int | str]) -> Bias:
    inside = list(places)
    differences = (judge[inside] - people[inside]).tolist()
    interval = mean_interval(differences, [units[place] for place in inside])
    low, high = interval or (None, None)
    return Bias(
        name=name,
        num_answers=len(inside),
        judge=float(judge[inside].mean()),
        people=float(people[inside].mean()),
        low=low,
        high=high,
    )


def _by_length(
    answers: Sequence[LabelledAnswer], judge: Floats, people: Floats, units: Sequence[int | str]
) -> tuple[Bias, ...]:
    """Parts of about equal number; answers of one length are in one part."""
    if len(answers) < NUM_LENGTHS * LEAST_ANSWERS:
        return ()
    lengths = sorted(one.length for one in answers)
    ends = sorted({lengths[math.ceil(len(lengths) * i / NUM_LENGTHS) - 1] for i in range(1, NUM_LENGTHS + 1)})
    found, start = [], 0
    for end in ends:
        places = [place for place, one in enumerate(answers) if start <= one.length <= end]
        shortest = min(answers[place].length for place in places)
        span = f"{end:,}" if shortest == end else f"{shortest:,} to {end:,}"
        found.append(_bias(f"{span} characters", places, judge, people, units))
        start = end + 1
    return tuple(found) if len(found) > 1 else ()


def _length_slope(
    answers: Sequence[LabelledAnswer], errors: Floats, units: Sequence[int | str]
) -> tuple[float | None, tuple[float, float] | None]:
    """Least squares on the logarithm of the length, with errors that may go together within an item (CR1)."""
    from scipy.special import stdtrit

    doublings = np.log2([max(1, one.length) for one in answers])
    number = len(set(units))
    if number < LEAST_ANSWERS or np.ptp(doublings) < 1:  # the longest is less than twice the shortest
        return None, None
    moved = doublings - doublings.mean()
    slope = float(moved @ errors / (moved @ moved))
    left = errors - errors.mean() - slope * moved
    sums: dict[int | str, float] = {}
    for unit, value in zip(units, (moved * left).tolist(), strict=True):
        sums[unit] = sums.get(unit, 0.0) + value
    factor = number / (number - 1) * (len(answers) - 1) / max(len(answers) - 2, 1)
    error = math.sqrt(factor * math.fsum(value**2 for value in sums.values())) / float(moved @ moved)
    half = float(stdtrit(number - 1, 0.975)) * error
    return slope, (slope - half, slope + half)
