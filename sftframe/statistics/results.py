"""Results of a comparison, as frozen records of plain numbers, used unchanged in JSON and reports.

All differences are candidate minus baseline, in the unit of the scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "none"]
"""Which scores are better; `none` if neither is, as for the ratio of lengths."""

VerdictKind = Literal["better", "worse", "different", "equivalent", "cannot tell"]
"""Of the candidate against the baseline; `different` if no direction is better."""

Coverage = Literal["items and seeds", "items", "seeds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval of a difference."""

    low: float
    high: float
    level: float
    """0.95: the share of such intervals that contain the true difference."""
    covers: Coverage
    """What may be repeated: other items, other seeds, or both. `items` if there is one seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Variance of one paired difference (one item, one seed), split by its causes.

    The mean over S seeds and I items has variance `seed / S + item / I + residual / (S * I)`.
    """

    seed: float | None
    """Of the true difference between seeds: chance in training, which more items do not reduce. None = one seed."""
    item: float
    """Of the difference between items, the same for all seeds. With one seed it contains the residual."""
    residual: float
    """The rest: differences between seeds from item to item, and the judge's noise. 0 with one seed."""
    judge: float | None = None
    """The judge's noise alone, a part of `residual` (with one seed of `item`); None = not measured."""

    @property
    def total(self) -> float:
        """Variance of one paired difference of a random seed and item; of a random item if there is one seed."""
        return (self.seed or 0.0) + self.item + self.residual

    @property
    def shares(self) -> dict[str, float]:
        """Parts of `total`, 0-1, with sum 1: `seed`, `item`, `judge`, `other`, those that are known.

        >>> VarianceComponents(seed=1.0, item=6.0, residual=3.0, judge=2.0).shares
        {'seed': 0.1, 'item': 0.6, 'judge': 0.2, 'other': 0.1}
        """
        if not self.total:
            return {}
        judge = self.judge or 0.0
        inside = self.residual if self.seed is not None else self.item
        judge = min(judge, inside)
        parts = {"seed": self.seed, "item": self.item, "judge": judge, "other": self.residual - judge}
        if self.seed is None:
            parts |= {"item": self.item - judge, "other": 0.0}
        if self.judge is None:
            del parts["judge"]
        return {name: part / self.total for name, part in parts.items() if part is not None}

    def of_mean(self, num_seeds: int, num_items: int) -> float:
        """Variance of the mean difference over so many seeds and items.

        >>> VarianceComponents(seed=1.0, item=6.0, residual=3.0).of_mean(num_seeds=2, num_items=3)
        3.0
        """
        return (self.seed or 0.0) / num_seeds + self.item / num_items + self.residual / (num_seeds * num_items)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip:
    """Two-sided p of the sign-flip permutation test: how often random signs give a mean at least as far from zero."""

    items: float
    """Over items, seeds averaged. It says nothing about other seeds."""
    seeds: float | None
    """Over seeds, items averaged; exact. At least 2 / 2^S: 0.25 for 3 seeds. None = one seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What would settle an open comparison with probability `power`, if difference and variances are as estimated."""

    items: int | None
    """Additional items, with the same seeds; None = no number of items is enough."""
    seeds: int | None
    """Additional seeds, with the same items; None = no number of seeds is enough."""
    both: tuple[int, int] | None
    """Additional items and seeds, if neither alone is enough; None = not needed, or out of reach."""
    would_show: Literal["a difference", "equivalence"]
    """Which verdict is the nearer one."""
    power: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One pair of arms."""

    baseline: str
    candidate: str
    difference: float
    """Mean of candidate minus baseline; of a ratio, the difference of the ratios."""
    interval: Interval | None
    """At level 0.95, not widened for the number of arms. None = one item and one seed."""
    p_value: float | None
    """Two-sided; below 0.05 where the interval leaves out zero. None = no interval."""
    p_holm: float | None
    """`p_value` adjusted for the number of arms; it decides the verdict."""
    sign_flip: SignFlip
    """A second test with fewer assumptions; no verdict depends on it."""
    margin: float | None
    """Smaller differences do not matter to the user; None = not given."""
    p_equivalence: float | None
    """Larger p of the two one-sided tests against -margin and +margin, adjusted as `p_holm` is."""
    verdict: VerdictKind
    explanation: str
    """The verdict in one or two sentences."""
    needed: Needed | None
    """Only for the verdict `cannot tell`; None also if the difference is too near zero for a plan."""
    minimum_detectable: float | None
    """Smallest true difference that the same number of items and seeds finds with 80 % power."""
    components: VarianceComponents
    num_better: int
    """Items whose difference, averaged over the seeds, is in the better direction (positive if there is none)."""
    num_worse: int
    num_tied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm on the items and seeds that all arms have."""

    name: str
    mean: float
    """Over items and seeds; of a ratio, sum over sum."""
    seed_means: tuple[float, ...]
    """One per seed, in the order of `ComparisonTable.seeds`."""
    num_missing_items: int
    """Items without a score in some seed of this arm, although another arm or seed has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """All arms against one baseline."""

    arms: tuple[ArmSummary, ...]
    comparisons: tuple[Comparison, ...]
    seeds: tuple[int, ...]
    """Those that all arms have."""
    items: tuple[int, ...]
    """Those that are scored in every arm and seed; all figures are on these."""
    num_dropped_items: int
    num_dropped_seeds: int
    direction: Direction
