"""Preferences between two answers, from both orders, and their summary over many pairs.

The answers of one side are called a, those of the other b, in both orders. If a judge prefers a in one order and b in
the other, it prefers a position and not an answer: that is a tie. Equal answers are a tie, and the judge does not see
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

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
    """None unless `status` is `ok`."""
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
    """Pairs with an outcome: a preference in both orders, or equal answers."""
    num_equal: int
    """Pairs of equal answers: ties that the judge did not see."""
    num_a: int
    """Pairs that a wins."""
    num_b: int
    num_ties: int
    win_rate: float | None
    """Of b, ties counted as half, 0-1."""
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
    outcomes: Sequence[PairOutcome], forward: Iterable[Preference], backward: Iterable[Preference]
) -> PairSummary:
    """Win rate, position and length, with intervals if there are enough pairs."""
    judged = [outcome for outcome in outcomes if outcome.status == "ok"]
    wins = [_value(outcome.winner) for outcome in judged]
    named = [p.winner for p in (*forward, *backward) if p.winner in ("first", "second")]
    asked = [outcome for outcome in judged if outcome.is_consistent is not None]
    slope = _length_slope(asked)
    return PairSummary(
        num_pairs=len(outcomes),
        num_judged=len(judged),
        num_equal=len(judged) - len(asked),
        num_a=wins.count(0.0),
        num_b=wins.count(1.0),
        num_ties=wins.count(0.5),
        win_rate=fmean(wins) if wins else None,
        ci95=_win_rate_interval(*(wins.count(value) for value in (0.0, 0.5, 1.0))) if wins else None,
        position_consistency=fmean(bool(outcome.is_consistent) for outcome in asked) if asked else None,
        first_share=named.count("first") / len(named) if named else None,
        length_slope=slope[0] if slope else None,
        length_slope_ci95=slope[1] if slope else None,
    )


def _outcome(pair: JudgePair, forward: Mapping[int, Preference], backward: Mapping[int, Preference]) -> PairOutcome:
    status: VerdictStatus = "ok"
    winner: Side | None = "tie"
    is_consistent, reason = None, "the same answer"
    if differing([pair]):
        shown = forward[pair.index], backward[pair.index]
        failed = next((preference for preference in shown if preference.status != "ok"), None)
        winners = _FORWARD[shown[0].winner], _BACKWARD[shown[1].winner]
        if failed is None:
            is_consistent, reason = winners[0] == winners[1], shown[0].reason
            winner = winners[0] if is_consistent else "tie"
        else:
            status, winner, reason = failed.status, None, failed.reason
    return PairOutcome(
        index=pair.index,
        status=status,
        winner=winner,
        is_consistent=is_consistent,
        reason=reason,
        length_ratio=(len(pair.second) + 1) / (len(pair.first) + 1),
    )


_FORWARD: Mapping[str | None, Side | None] = {"first": "a", "second": "b", "tie": "tie", None: None}
_BACKWARD: Mapping[str | None, Side | None] = {"first": "b", "second": "a", "tie": "tie", None: None}


def _value(winner: Side | None) -> float:
    """A pair's points for b."""
    return {"a": 0.0, "b": 1.0}.get(winner or "tie", 0.5)


def _win_rate_interval(num_a: int, num_ties: int, num_b: int) -> tuple[float, float]:
    """95 % interval of b's win rate: Jeffreys' for three outcomes, a Dirichlet posterior under 1/2 for each of them.

    Intervals for yes and no have no ties and become twice as wide if there are many; Student's has no width if all
    pairs have the same result. The coverage of this one is tested.
    """
    import numpy as np
    from scipy.stats import dirichlet

    counts = [num_a + 0.5, num_ties + 0.5, num_b + 0.5]
    shares = dirichlet.rvs(counts, size=_NUM_DRAWS, random_state=0)  # (draws, 3)
    low, high = np.quantile(shares[:, 2] + shares[:, 1] / 2, (0.025, 0.975))
    return float(low), float(high)


_NUM_DRAWS = 20_000
"""Draws from the posterior, always the same; the bounds are exact to 0.1 percentage points with 100 pairs."""


def _length_slope(outcomes: Sequence[PairOutcome]) -> tuple[float, tuple[float, float]] | None:
    """Slope and its 95 % interval; None if all lengths or all outcomes are equal, or there are too few pairs."""
    lengths = [math.log2(outcome.length_ratio) for outcome in outcomes]
    wins = [_value(outcome.winner) for outcome in outcomes]
    if len(lengths) < _MIN_FOR_SLOPE or len(set(lengths)) == 1 or len(set(wins)) == 1:
        return None
    from scipy.special import stdtrit
    from scipy.stats import linregress

    line = linregress(lengths, wins)
    half = float(stdtrit(len(lengths) - 2, 0.975)) * float(line.stderr)
    return float(line.slope), (float(line.slope) - half, float(line.slope) + half)
