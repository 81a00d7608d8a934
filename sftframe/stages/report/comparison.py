"""Compares before and after item by item: what changed, and whether chance in the test items could explain it.

Only items that were measured both times are compared. Intervals and tests cover only the choice of items: not other
training seeds, and not the noise of a judge.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sftframe.records import Verdict
from sftframe.stages.report.answers import Answer, Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How scores changed, item by item, on the items that were scored both times."""

    mean: float
    """Points of 100."""
    ci95: tuple[float, float] | None
    """None for fewer than two items."""
    num_items: int
    num_better: int
    num_worse: int

    @property
    def could_be_chance(self) -> bool:
        """Whether the interval contains zero; True for a single item."""
        return self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]


def paired_change(before: Sequence[Verdict], after: Sequence[Verdict]) -> Change | None:
    """The change of the scores; None if no item was scored both times."""
    old = {verdict.index: verdict.score for verdict in before if verdict.score is not None}
    gaps = [v.score - old[v.index] for v in after if v.score is not None and v.index in old]
    if not gaps:
        return None
    return Change(
        mean=statistics.fmean(gaps),
        ci95=_interval(gaps),
        num_items=len(gaps),
        num_better=sum(gap > 0 for gap in gaps),
        num_worse=sum(gap < 0 for gap in gaps),
    )


def chance_keys(items: Sequence[Item], change: Change | None) -> frozenset[str]:
    """The yardsticks of answers whose change could be chance: keys among `exact_match`, `stop_rate`, `judge`."""
    pairs = [(item, item.before, item.after) for item in items if item.before and item.after]
    claims = {
        "exact_match": [(_is_exact(item, old), _is_exact(item, new)) for item, old, new in pairs],
        "stop_rate": [(_has_stopped(old), _has_stopped(new)) for _, old, new in pairs],
    }
    could_be_chance = {key for key, both in claims.items() if both and sign_test(both) >= 0.05}
    return frozenset(could_be_chance | ({"judge"} if change and change.could_be_chance else set()))


def sign_test(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Probability that chance alone gives a change between before and after at least as one-sided as this.

    McNemar's exact test, two-sided: among the pairs that changed, both directions are equally likely.

    >>> sign_test([(False, True)] * 5), sign_test([(False, True), (True, False)])
    (0.0625, 1.0)
    """
    num_gained = sum(new and not old for old, new in pairs)
    num_lost = sum(old and not new for old, new in pairs)
    num_changed = num_gained + num_lost
    tail = sum(math.comb(num_changed, i) for i in range(min(num_gained, num_lost) + 1))
    return float(min(1.0, 2 * tail / 2**num_changed))


def _interval(gaps: Sequence[float]) -> tuple[float, float] | None:
    if len(gaps) < 2:
        return None
    from scipy.special import stdtrit

    centre = statistics.fmean(gaps)
    half = float(stdtrit(len(gaps) - 1, 0.975)) * statistics.stdev(gaps) / math.sqrt(len(gaps))
    return centre - half, centre + half


def _is_exact(item: Item, answer: Answer) -> bool:
    return answer.response.text.strip() == item.example.output.strip()


def _has_stopped(answer: Answer) -> bool:
    return answer.response.stop_reason != "length"
