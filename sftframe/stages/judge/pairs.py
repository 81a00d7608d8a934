"""Which of two answers is better, asked in both orders, and what the preferences over many pairs sum up to.

The answers of one side are called a, those of the other b, whichever of them is shown first. A judge that names a and
then, shown the other way round, b, has told its liking for a place and not for an answer: that is a tie. Equal answers
are a tie without being asked about.
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
"""Pairs below which a line has no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOutcome:
    """What a judge thinks of one pair, after it saw both orders."""

    index: int
    status: VerdictStatus
    """The first that is not `ok` of the two orders' statuses."""
    winner: Side | None
    """None unless `status` is `ok`."""
    is_consistent: bool | None
    """Whether both orders name the same answer, or both none; None where the judge was not asked, or failed."""
    reason: str
    """The judge's, of the order in which a stood first; that of the failed one where one failed."""
    length_ratio: float
    """Characters of b's answer over a's, each counted from 1 so that an empty one has a ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSummary:
    """Preferences over many pairs."""

    num_pairs: int
    num_judged: int
    """Pairs with an outcome: a preference in both orders, or equal answers."""
    num_equal: int
    """Pairs of equal answers: ties that the judge was not asked about."""
    num_a: int
    """Pairs that a wins."""
    num_b: int
    num_ties: int
    win_rate: float | None
    """Of b, ties counted as half, 0-1."""
    ci95: tuple[float, float] | None
    """Over the pairs: Jeffreys' interval for three outcomes."""
    position_consistency: float | None
    """Share of the pairs asked about on which both orders agree, 0-1."""
    first_share: float | None
    """How often the answer shown first is named when one is, 0-1; 0.5 in a judge that does not mind the order."""
    length_slope: float | None
    """What b's win rate gains when its answer is twice as long as a's: least squares over log2 of the length ratio,
    equal answers left out."""
    length_slope_ci95: tuple[float, float] | None


def make_pairs(matches: Iterable[tuple[JudgeItem, JudgeItem]]) -> list[JudgePair]:
    """Matched items as pairs, a's answer first, under a's index."""
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
    """The pairs that a judge has to be asked about: white space at the ends of an answer is no difference."""
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
    """Win rate, position and length, with intervals where there are pairs enough."""
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
    """What a pair counts for b."""
    return {"a": 0.0, "b": 1.0}.get(winner or "tie", 0.5)


def _win_rate_interval(num_a: int, num_ties: int, num_b: int) -> tuple[float, float]:
    """95 % interval of b's win rate: Jeffreys' for three outcomes, a Dirichlet posterior under 1/2 for each of them.

    Intervals for yes and no do not know what a tie is and come out twice as wide where there are many; Student's has no
    width where all pairs end alike. How often this one covers is tested.
    """
    import numpy as np
    from scipy.stats import dirichlet

    counts = [num_a + 0.5, num_ties + 0.5, num_b + 0.5]
    shares = dirichlet.rvs(counts, size=_NUM_DRAWS, random_state=0)  # (draws, 3)
    low, high = np.quantile(shares[:, 2] + shares[:, 1] / 2, (0.025, 0.975))
    return float(low), float(high)


_NUM_DRAWS = 20_000
"""Of the posterior, always the same ones; the bounds are good to a tenth of a percentage point with 100 pairs."""


def _length_slope(outcomes: Sequence[PairOutcome]) -> tuple[float, tuple[float, float]] | None:
    """Slope and its 95 % interval; None where all lengths or all outcomes are alike, or the pairs too few."""
    lengths = [math.log2(outcome.length_ratio) for outcome in outcomes]
    wins = [_value(outcome.winner) for outcome in outcomes]
    if len(lengths) < _MIN_FOR_SLOPE or len(set(lengths)) == 1 or len(set(wins)) == 1:
        return None
    from scipy.special import stdtrit
    from scipy.stats import linregress

    line = linregress(lengths, wins)
    half = float(stdtrit(len(lengths) - 2, 0.975)) * float(line.stderr)
    return float(line.slope), (float(line.slope) - half, float(line.slope) + half)
