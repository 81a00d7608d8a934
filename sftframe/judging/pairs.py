"""Preferences between two answers, from both orders, and their summary over many pairs.

The answers of one side are called a, those of the other b, in both orders. Each order gives half a point: to the answer
that it prefers, or a quarter to both. If a judge prefers a in one order and b in the other, it prefers a position and
not an answer: both get half a point. Equal answers are a tie, and the judge does not see them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from sftframe.confidence import effective_number, independent_number, units_of
from sftframe.records import JudgeItem, JudgePair, Preference, VerdictStatus

Side = Literal["a", "b", "tie"]

_MIN_FOR_SLOPE = 3
"""Fewest pairs for an interval of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOutcome:
    """A judge's result for one pair, after it saw both orders."""

    index: int
    status: VerdictStatus
    """The first status of the two orders that is not `ok`; `ok` if both are."""
    winner: Side | None
    """The answer that both orders prefer, else `tie`; None unless `status` is `ok`."""
    points: float | None
    """Of b, 0-1: the mean of the orders in which the judge answered; None if it answered in neither."""
    is_consistent: bool | None
    """Whether both orders name the same answer, or both none; None if the judge did not see the pair, or failed."""
    reason: str
    """The judge's reason for the order with a first; if one order failed, that order's reason."""
    length_ratio: float
    """Length of b's answer divided by a's, in characters plus 1, so that an empty one has a ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSummary:
    """Preferences over many pairs."""

    num_pairs: int
    num_judged: int
    """Pairs with an outcome: a preference in at least one order, or equal answers."""
    num_equal: int
    """Pairs of equal answers: ties that the judge did not see."""
    num_a: int
    """Pairs that a wins in both orders."""
    num_b: int
    num_ties: int
    """Pairs with both orders that neither wins in both."""
    win_rate: float | None
    """Mean of b's points, 0-1."""
    ci95: tuple[float, float] | None
    """Over the pairs: Jeffreys' interval for three outcomes."""
    position_consistency: float | None
    """Share of the judged pairs on which both orders agree, 0-1."""
    first_share: float | None
    """Share of preferences for the answer shown first, 0-1; 0.5 for a judge without a preference for a position."""
    length_slope: float | None
    """Gain of b's win rate if its answer is twice as long as a's: least squares over log2 of the length ratio, without
    equal answers."""
    length_slope_ci95: tuple[float, float] | None
    equal_length_win_rate: float | None
    """b's win rate on answers of equal length, 0-1: the line of `length_slope` there."""
    equal_length_ci95: tuple[float, float] | None
    num_groups: int | None = None
    """Groups of the judged pairs, which are the units of all intervals; None = every pair is a unit."""
    effective_items: float | None = None
    """So many independent pairs would say as much about the win rate; None without groups."""


def make_pairs(matches: Iterable[tuple[JudgeItem, JudgeItem]]) -> list[JudgePair]:
    """Matched items as pairs, a's answer first, with a's index."""
    return [
        JudgePair(
            index=a.index,
            instruction=a.instruction,
            input=a.input,
            reference=a.reference,
            first=a.answer,
            second=b.answer,
            references=a.references,
            system=a.system,
            turns=a.turns,
            speaker=a.speaker,
            tools=a.tools,
        )
        for a, b in matches
    ]


def mirrored(pairs: Iterable[JudgePair]) -> list[JudgePair]:
    """The same pairs in the other order."""
    return [replace(pair, first=pair.second, second=pair.first) for pair in pairs]


def differing(pairs: Iterable[JudgePair]) -> list[JudgePair]:
    """The pairs that go to a judge: white space at the ends of an answer is no difference."""
    return [pair for pair in pairs if pair.first.strip() != pair.second.strip()]


def combine(
    pairs: Sequence[JudgePair], forward: Iterable[Preference], backward: Iterable[Preference]
) -> list[PairOutcome]:
    """One outcome per pair.

    Args:
        pairs: with a's answer first.
        forward: preferences on the `differing` ones of these.
        backward: preferences on the same, `mirrored`.
    """
    ways = tuple({preference.index: preference for preference in way} for way in (forward, backward))
    return [_outcome(pair, *ways) for pair in pairs]


def summarise_pairs(
    outcomes: Sequence[PairOutcome],
    forward: Iterable[Preference],
    backward: Iterable[Preference],
    groups: Mapping[int, str] | None = None,
) -> PairSummary:
    """Win rate, position and length, with intervals if there are enough pairs.

    Args:
        groups: by index the pair's group; pairs of one group are one unit.
    """
    judged = [outcome for outcome in outcomes if outcome.points is not None]
    points = [_points(outcome) for outcome in judged]
    winners = [outcome.winner for outcome in judged]
    named = [p.winner for p in (*forward, *backward) if p.winner in ("first", "second")]
    asked = [outcome for outcome in judged if outcome.reason != SAME]
    both_ways = [outcome for outcome in asked if outcome.is_consistent is not None]
    line = _length_line(asked, groups)
    units = units_of((outcome.index for outcome in judged), groups)
    num_groups = None if units is None else len(set(units))
    return PairSummary(
        num_pairs=len(outcomes),
        num_judged=len(judged),
        num_equal=len(judged) - len(asked),
        num_a=winners.count("a"),
        num_b=winners.count("b"),
        num_ties=winners.count("tie"),
        win_rate=fmean(points) if points else None,
        ci95=_win_rate_interval(points, units) if points and num_groups != 1 else None,
        position_consistency=fmean(bool(outcome.is_consistent) for outcome in both_ways) if both_ways else None,
        first_share=named.count("first") / len(named) if named else None,
        length_slope=line.slope if line else None,
        length_slope_ci95=line.slope_ci95 if line else None,
        equal_length_win_rate=line.at_equal_length if line else None,
        equal_length_ci95=line.at_equal_length_ci95 if line else None,
        num_groups=num_groups,
        effective_items=None if units is None else effective_number(points, units),
    )


def _outcome(pair: JudgePair, forward: Mapping[int, Preference], backward: Mapping[int, Preference]) -> PairOutcome:
    status: VerdictStatus = "ok"
    winner: Side | None = "tie"
    points: float | None = 0.5
    is_consistent, reason = None, SAME
    if differing([pair]):
        shown = forward[pair.index], backward[pair.index]
        failed = next((preference for preference in shown if preference.status != "ok"), None)
        winners = _FORWARD[shown[0].winner], _BACKWARD[shown[1].winner]
        if failed is None:
            is_consistent, reason = winners[0] == winners[1], shown[0].reason
            winner = winners[0] if is_consistent else "tie"
        else:
            status, winner, reason = failed.status, None, failed.reason
        known = [_VALUES[side] for side in winners if side is not None]
        points = fmean(known) if known else None
    return PairOutcome(
        index=pair.index,
        status=status,
        winner=winner,
        points=points,
        is_consistent=is_consistent,
        reason=reason,
        length_ratio=(len(pair.second) + 1) / (len(pair.first) + 1),
    )


_FORWARD: Mapping[str | None, Side | None] = {"first": "a", "second": "b", "tie": "tie", None: None}
_BACKWARD: Mapping[str | None, Side | None] = {"first": "b", "second": "a", "tie": "tie", None: None}


_VALUES: Mapping[Side, float] = {"a": 0.0, "tie": 0.5, "b": 1.0}
"""Points of b in one order."""
SAME = "the same answer"
"""The reason of a tie that the judge did not see."""


def _points(outcome: PairOutcome) -> float:
    assert outcome.points is not None, "only for pairs that the judge answered"
    return outcome.points


def _win_rate_interval(points: Sequence[float], units: Sequence[str | int] | None = None) -> tuple[float, float]:
    """95 % interval of b's win rate: Jeffreys' for three outcomes, a Dirichlet posterior under 1/2 for each of them.

    A pair with a quarter of the points counts as half a loss and half a tie, one with three quarters as half a win.

    Intervals for yes and no have no ties and become twice as wide if there are many; Student's has no width if all
    pairs have the same result. The coverage of this one is tested.

    Args:
        units: the group of each pair. The pairs then count as so many independent ones as say the same about the mean.
    """
    import numpy as np
    from scipy.stats import dirichlet

    num_a, num_b = (sum(max(0.0, 2 * share - 1) for share in shares) for shares in ([1 - p for p in points], points))
    number = len(points) if units is None else independent_number(points, units)
    part = number / len(points)
    counts = [part * num_a + 0.5, part * (len(points) - num_a - num_b) + 0.5, part * num_b + 0.5]
    shares = dirichlet.rvs(counts, size=_NUM_DRAWS, random_state=0)  # (draws, 3)
    low, high = np.quantile(shares[:, 2] + shares[:, 1] / 2, (0.025, 0.975))
    return float(low), float(high)


_NUM_DRAWS = 20_000
"""Draws from the posterior, always the same; the bounds are exact to 0.1 percentage points with 100 pairs."""


def _grouped_errors(
    lengths: Sequence[float], residuals: Sequence[float], units: Sequence[str | int]
) -> tuple[float, float]:
    """Standard errors of a line's slope and intercept if residuals of one group go together (Liang & Zeger 1986)."""
    import numpy as np

    x = np.stack([np.array(lengths), np.ones(len(lengths))], axis=1)  # (N, 2)
    bread = np.linalg.inv(x.T @ x)
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    sums = np.zeros((len(numbers), 2))
    np.add.at(sums, [numbers[unit] for unit in units], x * np.array(residuals)[:, None])
    number = len(numbers)
    variance = bread @ (sums.T @ sums) @ bread * number / (number - 1)
    slope, level = np.sqrt(np.diag(variance))
    return float(slope), float(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LengthLine:
    """Points of b over log2 of the length ratio, by least squares."""

    slope: float
    slope_ci95: tuple[float, float]
    at_equal_length: float
    at_equal_length_ci95: tuple[float, float]


def _length_line(outcomes: Sequence[PairOutcome], groups: Mapping[int, str] | None) -> _LengthLine | None:
    """None if all lengths or all outcomes are equal, or there are too few pairs or groups of pairs."""
    lengths = [math.log2(outcome.length_ratio) for outcome in outcomes]
    points = [_points(outcome) for outcome in outcomes]
    if len(lengths) < _MIN_FOR_SLOPE or len(set(lengths)) == 1 or len(set(points)) == 1:
        return None
    from scipy.special import stdtrit
    from scipy.stats import linregress

    units = units_of((outcome.index for outcome in outcomes), groups)
    if units is not None and len(set(units)) < _MIN_FOR_SLOPE:
        return None
    line = linregress(lengths, points)
    slope, level = float(line.slope), min(1.0, max(0.0, float(line.intercept)))
    t = float(stdtrit(len(lengths) - 2, 0.975))
    errors = float(line.stderr), float(line.intercept_stderr)
    if units is not None and len(set(units)) < len(units):
        t = float(stdtrit(len(set(units)) - 1, 0.975))
        residuals = [point - line.intercept - slope * x for point, x in zip(points, lengths, strict=True)]
        errors = _grouped_errors(lengths, residuals, units)
    half, half_level = t * errors[0], t * errors[1]
    return _LengthLine(
        slope=slope,
        slope_ci95=(slope - half, slope + half),
        at_equal_length=level,
        at_equal_length_ci95=(
            max(0.0, float(line.intercept) - half_level),
            min(1.0, float(line.intercept) + half_level),
        ),
    )
