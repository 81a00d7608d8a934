"""Scores of arms by seed and item, paired with the baseline's, and the records of what is found in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sftframe.errors import ConfigError, DataError

Direction = Literal["higher", "lower", "none"]
"""Which scores are better; `none` if neither is, as for the ratio of lengths."""

VerdictKind = Literal["better", "worse", "different", "equivalent", "identical", "cannot tell"]
"""Of the candidate against the baseline; `different` if no direction is better, `identical` if both gave the same
answers with the same scores.
"""

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

    def shares_of_mean(self, num_seeds: int, num_items: int) -> dict[str, float]:
        """As `shares`, of the variance of the mean over so many seeds and items: what more of each would reduce.

        >>> VarianceComponents(seed=1.0, item=4.0, residual=0.0).shares_of_mean(num_seeds=2, num_items=8)
        {'seed': 0.5, 'item': 0.5, 'other': 0.0}
        """
        cells = num_seeds * num_items
        counts = {"seed": num_seeds, "item": num_items, "judge": cells, "other": cells}
        parts = {name: share / counts[name] for name, share in self.shares.items()}
        total = sum(parts.values())
        return {name: part / total for name, part in parts.items()} if total else {}

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
    """What would settle an open comparison with probability `power`, on average over what may be true.

    Settled: a difference is shown or, with a margin, equivalence within it.
    """

    items: int | None
    """Additional items, with the same seeds; None = no number of items in reach is enough."""
    seeds: int | None
    """Additional seeds, with the same items; None = no number of seeds in reach is enough, or there is one seed."""
    both: tuple[int, int] | None
    """Additional items and seeds together, if this costs clearly less than one of them alone, or is the only way."""
    would_show: Literal["a difference", "equivalence"]
    """Which verdict is the likelier one."""
    power: float
    chance_of_difference: float | None = None
    """Parts of the chance under the proposed plan (`both`, else the cheaper of `items` and `seeds`): how often a
    difference is shown."""
    chance_of_equivalence: float | None = None
    """How often equivalence is shown; 0 without a margin."""
    low: tuple[int, int] | None = None
    """Additional items and seeds, in the plan's proportion, that are enough for a tenth of what may be true."""
    high: tuple[int, int] | None = None
    """The same for nine tenths; None = beyond reach."""
    group_size: float = 1.0
    """Mean size of the groups: the planned items are expected in groups like those there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What more seeds and more items would do to the interval, if they vary as those so far."""

    half_width: float
    """Of the interval at level 0.95 now, before it is cut at the ends of the scale."""
    seeds: int
    """Additional ones."""
    with_seeds: float | None
    """Half width with them; None = one seed, of which nothing is known about others."""
    items: int
    """Additional ones: as many again."""
    with_items: float | None
    """Half width with them; None = one item, or one group of items."""
    items_like_seeds: int | None = None
    """Additional items that narrow it as much as the seeds do; None = no number in reach does, or not known."""
    seeds_like_items: int | None = None
    """Additional seeds that narrow it as much as the items do; likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One pair of arms."""

    baseline: str
    candidate: str
    difference: float
    """Mean of candidate minus baseline; of a ratio, the difference of the ratios."""
    interval: Interval | None
    """At level 0.95, not widened for the number of arms, and never beyond the scale. None = nothing varies that could
    tell how far chance goes: one item and one seed, or differences that are all the same.
    """
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
    equivalence_interval: Interval | None
    """At level 0.90: within the margin exactly where the two one-sided tests, not adjusted, show equivalence."""
    verdict: VerdictKind
    explanation: str
    """The verdict in one or two sentences."""
    needed: Needed | None
    """Only for the verdict `cannot tell`; None also if no plan is in reach."""
    minimum_detectable: float | None
    """Smallest true difference that the same number of items and seeds finds with 80 % power."""
    components: VarianceComponents
    num_better: int
    """Items whose difference, averaged over the seeds, is in the better direction (positive if there is none)."""
    num_worse: int
    num_tied: int
    num_items: int
    """Those that both arms have a score for in every seed; the figures are on these."""
    num_seeds: int
    missing: Missing | None
    """Items without a score in one of the two arms; None = none."""
    grouping: Grouping | None = None
    """The groups of items; None = every item is a unit of its own."""
    comments: tuple[str, ...] = ()
    """Sentences of `explanation` about this pair alone: missing scores, and what would settle it."""
    worth: Worth | None = None
    """None where there is no interval, or where it has no width."""
    seed_differences: tuple[float, ...] = ()
    """One per seed, in their order; their mean is `difference`."""
    look: LookTest | None = None
    """How this look tests, where seeds are added until it is decided. Intervals and p values are then for all looks
    together (repeated confidence intervals); None = there is one look, or looks are not allowed for.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class LookTest:
    """How one look tests one comparison."""

    number: int
    """Of the look, from 1."""
    share: float
    """Of the information that the last planned look would have."""
    z: float | None
    """The normal value of this look's p, with the sign of the difference; None = there is no p."""
    bound: float | None
    """The |z| from which this look shows a difference, for one comparison alone; None = no |z| is enough yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Groups of items, which are the units of a comparison, and what they cost."""

    num_groups: int
    """With those that have a single item."""
    largest: int
    """Items of the largest group."""
    effective_items: float | None
    """So many independent items would say as much: from the groups' effective number to the number of items. None = one
    group, or nothing varies.
    """
    half_width: float | None
    """Of the interval, before it is cut at the ends of the scale."""
    half_width_ungrouped: float | None
    """The same if the items were independent."""

    @property
    def widening(self) -> float | None:
        """The interval is so many times as wide as for independent items."""
        if not self.half_width or not self.half_width_ungrouped:
            return None
        return self.half_width / self.half_width_ungrouped


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Items of a comparison that one of the two arms has no score for, in at least one seed."""

    in_baseline: int
    in_candidate: int
    num_items: int
    """All items, with these."""
    low: float | None
    """The difference if the missing scores were as bad for the candidate as the scale allows; None = no scale."""
    high: float | None
    """The same for the baseline."""
    changes_verdict: bool
    """The scores alone would give another verdict than the worst case does; the verdict is then `cannot tell`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm on its own scored items, at the seeds that all arms have."""

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
    """Those that are scored in every arm and seed. Each comparison is on the items of its own two arms."""
    num_dropped_items: int
    num_dropped_seeds: int
    direction: Direction

    def means_of(self, found: Comparison) -> tuple[float, float] | None:
        """Of baseline and candidate, unless one of them has a score for an item that is not in the comparison."""
        means = {arm.name: arm.mean for arm in self.arms}
        return None if found.missing is not None else (means[found.baseline], means[found.candidate])


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
    groups: NDArray[np.intp] | None = None
    """(I,): number of each item's group, from 0; None = every item is a unit of its own."""

    @property
    def units(self) -> PairedDifferences:
        """The same difference with groups for items: a group's value and weight are the sums of its items', divided by
        the mean size. So a group counts as its size says, like an item of a ratio of sums.
        """
        if self.groups is None:
            return self
        sums = self._summed(self.values)
        sums[np.abs(sums) <= 1e-12 * self._summed(np.abs(self.values))] = 0.0  # items that cancel out, but for rounding
        return PairedDifferences(values=sums, weights=self._summed(self.weights[None])[0])

    def _summed(self, rows: Floats) -> Floats:
        """(R, I) to (R, G): the sums of the groups, divided by their mean size."""
        assert self.groups is not None
        number = int(self.groups.max()) + 1
        sums = [np.bincount(self.groups, weights=row, minlength=number) for row in rows]
        return np.stack(sums).astype(np.float64) * (number / len(self.groups))

    @property
    def group_size(self) -> float:
        """Mean number of items of a unit."""
        return 1.0 if self.groups is None else len(self.groups) / (int(self.groups.max()) + 1)

    @property
    def ungrouped(self) -> PairedDifferences:
        """The same differences as if all items were independent."""
        return PairedDifferences(values=self.values, weights=self.weights)

    @property
    def mean(self) -> float:
        """Mean difference; of a ratio, the difference of the ratios."""
        return float(self.values.mean())

    @property
    def influence(self) -> Floats:
        """(S, I): `values`, or for a ratio its linearisation, which varies over items as the ratio does."""
        return linearised(self.values, self.weights)


def differences(
    common: CommonScores, baseline: int, candidate: int, groups: Mapping[int, str] | None = None
) -> PairedDifferences:
    """Of two arms, by their positions.

    Args:
        groups: by item its group; an item without one, or with an empty one, is a unit of its own.
    """
    return PairedDifferences(
        values=common.values[candidate] - common.values[baseline],
        weights=common.weights,
        groups=group_numbers(common.items, groups or {}),
    )


def group_numbers(items: Sequence[int], groups: Mapping[int, str]) -> NDArray[np.intp] | None:
    """(I,): the number of each item's group; None if no two items share one.

    >>> group_numbers([3, 5, 6, 9], {3: "a", 6: "a", 9: ""}).tolist()
    [0, 1, 0, 2]
    """
    known: dict[object, int] = {}
    found = [known.setdefault(groups.get(item) or (item,), len(known)) for item in items]
    return None if len(known) == len(items) else np.array(found, dtype=np.intp)


def linearised(values: Floats, weights: Floats, *, by_seed: bool = False) -> Floats:
    """(..., S, I): how each cell changes the mean, with the same mean.

    A ratio of sums varies with the denominators too: to first order an item changes it by its numerator minus the ratio
    times its weight (Taylor linearisation, as for ratio estimators in survey sampling).

    Args:
        values: (..., S, I), divided by the mean weight.
        weights: (..., I), mean 1.
        by_seed: use each seed's own ratio. The weights of groups vary much, and a seed's effect on all items must not
            look like chance in the large groups.
    """
    ratio = values.mean(axis=-1 if by_seed else (-2, -1), keepdims=True)
    moved: Floats = values - ratio * (weights[..., None, :] - 1.0)
    return moved


def common_scores(
    scores: Scores, weights: Mapping[int, float] | None = None, *, needs_items: bool = True
) -> CommonScores:
    """The seeds that all arms have, and the items that are scored in all arms at all these seeds.

    Args:
        needs_items: no such item is an error.

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
    if not items and needs_items:
        raise DataError(f"{_those(scores)} have no scored item in common; compare arms with the same test items")
    cells = [[[float(arm[seed][item] or 0.0) for item in items] for seed in seeds] for arm in scores.values()]
    denominators = _denominators(items, weights)
    return CommonScores(
        names=tuple(scores),
        seeds=seeds,
        items=items,
        values=np.array(cells) / (denominators.mean() if items else 1.0),
        weights=denominators / (denominators.mean() if items else 1.0),
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
