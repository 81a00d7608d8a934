"""Summaries of verdicts: the mean score, and the mean difference between two answers to the same questions.

Intervals are over the items; they do not cover other seeds or another call of the same judge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from sftframe.records import JudgeSummary, Verdict


def summarise(verdicts: Sequence[Verdict], name: str) -> JudgeSummary:
    """Mean of the scored items with its 95 % interval: Student's t over the items, cut off at 0 and 100.

    The interval covers other questions of the same kind, not other training seeds or the judge's noise. It is None with
    fewer than two scores; for equal scores it is a single point.

    >>> scores = [0.0, 100.0, 100.0, 100.0]
    >>> verdicts = [Verdict(index=i, status="ok", score=score) for i, score in enumerate(scores)]
    >>> summary = summarise([*verdicts, Verdict(index=4, status="timeout", score=None)], "length")
    >>> summary.mean, summary.num_scored, summary.num_items
    (75.0, 4, 5)
    >>> tuple(map(float, summary.ci95))
    (0.0, 100.0)
    """
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    interval = _t_interval(scores)
    return JudgeSummary(
        name=name,
        mean=fmean(scores) if scores else None,
        ci95=(max(0.0, interval[0]), min(100.0, interval[1])) if interval else None,
        num_scored=len(scores),
        num_items=len(verdicts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDifference:
    """The difference of b's scores and a's, over the items that both have a score for."""

    mean_a: float | None
    """Mean score of a's answers on these items, 0-100."""
    mean_b: float | None
    mean_difference: float | None
    """Mean of b minus a; None where no item has both scores."""
    ci95: tuple[float, float] | None
    """Student's t over the paired differences; None with fewer than two."""
    num_items: int
    """Items with both scores: the number of differences."""


def paired_difference(a: Sequence[Verdict], b: Sequence[Verdict]) -> ScoreDifference:
    """The scores of two answers to the same questions, question by question; both lists in one order."""
    both = [
        (one.score, other.score)
        for one, other in zip(a, b, strict=True)
        if one.score is not None and other.score is not None
    ]
    differences = [other - one for one, other in both]
    return ScoreDifference(
        mean_a=fmean(one for one, _ in both) if both else None,
        mean_b=fmean(other for _, other in both) if both else None,
        mean_difference=fmean(differences) if both else None,
        ci95=_t_interval(differences),
        num_items=len(both),
    )


def _t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # the quantile alone; scipy.stats takes a second to import

    half = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half
