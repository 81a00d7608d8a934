"""A judge's own noise, from judging the same answers several times.

It has a standard deviation of one score and one of the mean. A difference between two models that is not much larger
than that of the mean may be only the judge's noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance

from sftframe.records import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeNoise:
    """How much repeated judgements of the same answers differ."""

    num_repeats: int
    """How often every answer was judged, the first time included."""
    num_items: int
    """Items that were scored every time; the figures below are over these."""
    item_sd: float | None
    """Standard deviation of one item's score over the repeats, as root mean square over the items."""
    mean_sd: float | None
    """Standard deviation of the mean score over the repeats."""
    means: tuple[float, ...]
    """The mean score of each repeat, 0-100; empty where no item was scored every time."""


def measure_noise(repeats: Sequence[Sequence[Verdict]]) -> JudgeNoise:
    """The spread over the repeats, each a list of verdicts on the same items in the same order.

    >>> def judged(*scores):
    ...     return [Verdict(index=i, status="ok", score=score) for i, score in enumerate(scores)]
    >>> noise = measure_noise([judged(60.0, 90.0), judged(64.0, 90.0)])
    >>> round(noise.item_sd, 6), round(noise.mean_sd, 6), noise.means
    (2.0, 1.414214, (75.0, 77.0))
    """
    by_item = [[verdict.score for verdict in verdicts] for verdicts in zip(*repeats, strict=True)]
    scored = [[score for score in scores if score is not None] for scores in by_item if None not in scores]
    means = tuple(fmean(scores) for scores in zip(*scored, strict=True))
    has_spread = len(repeats) > 1 and bool(scored)
    return JudgeNoise(
        num_repeats=len(repeats),
        num_items=len(scored),
        item_sd=math.sqrt(fmean(variance(scores) for scores in scored)) if has_spread else None,
        mean_sd=stdev(means) if has_spread else None,
        means=means,
    )
