"""Intervals and tests of a paired difference: over seeds and items, by sign flips, over many arms; a judge's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sftframe.analysis.pairs import (
    Coverage,
    Grouping,
    Interval,
    PairedDifferences,
    SignFlip,
    VarianceComponents,
    linearised,
)
from sftframe.confidence import group_scale, pooled_variance
from sftframe.errors import DataError

Floats = NDArray[np.float64]

SMALLEST_P = 1e-100
"""A smaller p is reported as 0; with one degree of freedom the squared quantile would overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Squared standard errors of a mean over S seeds and I items: mean squares divided by S * I."""

    seed: Floats
    """(...): from the means of the seeds, S - 1 degrees of freedom; 0 with one seed."""
    item: Floats
    """(...): from the means of the items, I - 1 degrees of freedom; 0 with one item."""
    residual: Floats
    """(...): what `seed` and `item` both contain."""
    num_seeds: int
    num_items: int
    """Units: items, or groups of items."""
    freedom: Floats | float | None = None
    """Degrees of freedom of `item`; None = one less than the units. Groups of unequal size have fewer."""

    @property
    def item_freedom(self) -> Floats | float:
        """Degrees of freedom of `item`."""
        return self.num_items - 1.0 if self.freedom is None else self.freedom

    def scaled(self, factor: float) -> Spread:
        """All squared errors times a factor."""
        return replace(self, seed=factor * self.seed, item=factor * self.item, residual=factor * self.residual)


def confidence_interval(
    differences: PairedDifferences, *, level: float = 0.95, score_range: float | None = None
) -> Interval | None:
    """Interval of the mean difference, over seeds, items or both if there are several. Items of one group are one.

    None with one of each, and where all differences are the same and nothing says how far others could go: for one item
    always, for several items without a scale.

    Args:
        score_range: largest possible difference of two scores; the interval does not go beyond it.
    """
    covers = coverage(*differences.units.values.shape)
    if covers is None or not _can_vary(differences, score_range):
        return None
    half = float(half_width(spread_of(differences, score_range=score_range), 1 - level))
    furthest = np.inf if score_range is None else score_range
    return Interval(
        low=max(differences.mean - half, -furthest),
        high=min(differences.mean + half, furthest),
        level=level,
        covers=covers,
    )


def p_value(differences: PairedDifferences, *, score_range: float | None = None) -> float | None:
    """Two-sided p of 'no difference': below 1 - level exactly where the interval of that level leaves out zero."""
    if coverage(*differences.units.values.shape) is None:
        return None
    if not _can_vary(differences, score_range):
        return None if differences.values.any() else 1.0
    return p_of_distance(abs(differences.mean), spread_of(differences, score_range=score_range))


def equivalence_p_value(
    differences: PairedDifferences, margin: float, *, score_range: float | None = None
) -> float | None:
    """Two one-sided tests (TOST) of 'the difference is at least the margin': the larger p of the two."""
    if coverage(*differences.units.values.shape) is None or not _can_vary(differences, score_range):
        return None
    inside = margin - abs(differences.mean)
    one_sided = p_of_distance(abs(inside), spread_of(differences, score_range=score_range)) / 2
    return one_sided if inside > 0 else 1 - one_sided


def _can_vary(differences: PairedDifferences, score_range: float | None) -> bool:
    """Whether anything says how far chance goes: differences that vary, or for several units their size or a scale."""
    units = differences.units.values
    largest = np.abs(units).max()
    if units.shape[1] > 1 and (largest > 0 or score_range is not None):
        return True
    return bool(np.ptp(units) > 1e-12 * largest)


def variance_components(differences: PairedDifferences, *, judge_variance: float | None = None) -> VarianceComponents:
    """Seed, item and residual variance of one paired difference, by the method of moments; negative estimates are 0.

    Args:
        judge_variance: of one score (`analysis.judge_variance`); a difference of two arms has twice as much.
    """
    return components_of(spread_of(differences, is_adjusted=False), judge_variance, differences.group_size)


def components_of(found: Spread, judge_variance: float | None = None, group_size: float = 1.0) -> VarianceComponents:
    """Variances of one difference from the squared standard errors of one mean.

    Args:
        group_size: items of a unit, on average. The variances are those of so many independent items as there are
            items, with the same variance of the mean.
    """
    residual, num_items = float(found.residual), found.num_items * group_size
    return VarianceComponents(
        seed=max(0.0, float(found.seed) - residual) * found.num_seeds if found.num_seeds > 1 else None,
        item=max(0.0, float(found.item) - residual) * num_items,
        residual=residual * found.num_seeds * num_items,
        judge=None if judge_variance is None else 2 * judge_variance,
    )


def coverage(num_seeds: int, num_items: int) -> Coverage | None:
    """The repetitions that an interval is about."""
    if num_seeds == 1:
        return "items" if num_items > 1 else None
    return "items and seeds" if num_items > 1 else "seeds"


def spread_of(pair: PairedDifferences, *, score_range: float | None = None, is_adjusted: bool = True) -> Spread:
    """Of paired differences, over seeds and items or groups of items."""
    if pair.groups is None:
        return spread(pair.influence, score_range=score_range, is_adjusted=is_adjusted)
    units = pair.units
    return group_spread(units.values, units.weights, score_range=score_range, is_adjusted=is_adjusted)


def group_spread(
    sums: Floats, weights: Floats, *, score_range: float | None = None, is_adjusted: bool = True
) -> Spread:
    """`spread` with groups of items for items, which may have different sizes (see `confidence.group_scale`).

    Args:
        sums: (..., S, G): differences of a group's items, divided by the mean size.
        weights: (..., G): of the groups, mean 1; where items have no weights, their number over the mean size.
    """
    moved = linearised(sums, weights, by_seed=True)
    if sums.shape[-1] < 2:
        return spread(moved, is_adjusted=False)
    factors, freedom = group_scale(weights)
    found = spread(
        moved,
        score_range=score_range,
        is_adjusted=is_adjusted,
        before=sums,
        factors=factors,
        means=sums.mean(axis=-2) / weights,
    )
    return replace(found, freedom=freedom)


def spread(
    values: Floats,
    *,
    score_range: float | None = None,
    is_adjusted: bool = True,
    before: Floats | None = None,
    factors: Floats | None = None,
    means: Floats | None = None,
) -> Spread:
    """Two-way analysis of variance without replication.

    Args:
        values: (..., S, I).
        is_adjusted: allow for differences that are mostly exactly zero (see `_unseen`).
        before: (..., S, I): the differences before they were linearised, if ties must be looked for in them.
        factors: (..., I): of the items' squared deviations.
        means: (..., I): of the units, if these have different weights; by default `before`, seeds averaged.
    """
    num_seeds, num_items = values.shape[-2:]
    mean = values.mean(axis=(-2, -1))
    of_items = values.mean(axis=-2) - mean[..., None]  # (..., I)
    of_seeds = values.mean(axis=-1) - mean[..., None]  # (..., S)
    item_squares = (of_items**2 * (1.0 if factors is None else factors)).sum(axis=-1)
    seed_squares = (of_seeds**2).sum(axis=-1)
    if factors is None:
        total_squares = ((values - mean[..., None, None]) ** 2).sum(axis=(-2, -1))
        rest = np.maximum(total_squares - num_seeds * item_squares - num_items * seed_squares, 0.0)
    else:
        left = values - mean[..., None, None] - of_items[..., None, :] - of_seeds[..., None]
        rest = (left**2 * factors[..., None, :]).sum(axis=(-2, -1))
    observed = (values if before is None else before).mean(axis=-2)
    num_tied, unseen = (
        _unseen(observed, score_range, observed if means is None else means)
        if is_adjusted
        else (np.zeros_like(mean),) * 2
    )
    item = (item_squares + unseen) / (num_items * (num_items - 1 + num_tied)) if num_items > 1 else np.zeros_like(mean)
    return Spread(
        seed=seed_squares / (num_seeds * (num_seeds - 1)) if num_seeds > 1 else np.zeros_like(mean),
        item=item,
        residual=rest / max((num_seeds - 1) * (num_items - 1), 1) / (num_seeds * num_items),
        num_seeds=num_seeds,
        num_items=num_items,
    )


def half_width(found: Spread, alpha: float) -> Floats:
    """(...): of the interval at level 1 - alpha around the mean difference."""
    from scipy.special import stdtrit

    seed_t = stdtrit(found.num_seeds - 1, alpha / 2) if found.num_seeds > 1 else 0.0  # negative, and only squared
    item_t = stdtrit(found.item_freedom, alpha / 2) if found.num_items > 1 else 0.0
    # The residual is in `seed` and in `item`, and is subtracted once. Subtracted from `seed` only, the interval is too
    # narrow with few seeds, because seeds that are equal by chance then look certain; subtracted from `item` only, it
    # is too wide. So the part subtracted from `seed` grows with the number of seeds.
    freedom = np.minimum(found.num_seeds - 1, found.item_freedom)
    kept_by_items = 1 / np.maximum(freedom, 1) if np.all(freedom > 0) else 0.0
    seed = np.maximum(found.seed - (1 - kept_by_items) * found.residual, 0.0)
    item = np.maximum(found.item - kept_by_items * found.residual, 0.0)
    squares: Floats = np.maximum(item_t**2 * found.item, seed_t**2 * seed + item_t**2 * item)
    return np.sqrt(squares)


def p_of_distance(distance: float, found: Spread) -> float:
    """The p at which the interval's half width is `distance`."""
    from scipy.optimize import brentq

    if distance == 0:
        return 1.0

    def excess(log_p: float) -> float:
        return float(half_width(found, float(np.exp(log_p)))) - distance

    lowest = float(np.log(SMALLEST_P))
    return 0.0 if excess(lowest) <= 0 else float(np.exp(brentq(excess, lowest, 0.0, xtol=1e-10)))


def _unseen(item_means: Floats, score_range: float | None, unit_means: Floats) -> tuple[Floats, Floats]:
    """Sum of squares, and their number, for differences that were possible but did not occur: (...) each.

    If most items are tied, as with exact matches, the few others say little about the variance. So two differences, one
    in each direction and as large as those seen, are added in proportion to the share of ties. For one seed and rare
    yes-or-no differences this is Laplace's rule as in Bonett & Price 2012; for continuous scores nothing is added.
    """
    is_tied = item_means == 0
    num_different = (~is_tied).sum(axis=-1)
    size = (item_means**2).sum(axis=-1) / np.maximum(num_different, 1)
    size = np.where(num_different == 0, (score_range or 0.0) ** 2, size)
    # the same difference everywhere is a tie too: three items that all differ by 1 say little about a fourth
    is_constant = np.ptp(unit_means, axis=-1) <= 1e-12 * np.abs(unit_means).max(axis=-1)
    share = np.where(is_constant, 1.0, is_tied.mean(axis=-1))
    return 2 * share, 2 * share * size


def grouping(
    differences: PairedDifferences, *, level: float = 0.95, score_range: float | None = None
) -> Grouping | None:
    """What the groups of items are, and how much they widen the interval; None without groups."""
    if differences.groups is None:
        return None
    sizes = np.bincount(differences.groups)
    halves: list[float | None] = [None, None]
    effective = None
    if _can_vary(differences, score_range):
        found = [spread_of(one, score_range=score_range) for one in (differences, differences.ungrouped)]
        halves = [
            float(half_width(one, 1 - level)) if coverage(one.num_seeds, one.num_items) else None for one in found
        ]
        if found[0].item > 0 and found[1].item > 0:
            fewest = float(differences.units.weights.sum() ** 2 / (differences.units.weights**2).sum())
            number = differences.values.shape[1]
            effective = min(number, max(fewest, number * float(found[1].item / found[0].item)))
    return Grouping(
        num_groups=len(sizes),
        largest=int(sizes.max()),
        effective_items=effective,
        half_width=halves[0],
        half_width_ungrouped=halves[1],
    )


MOST_EXACT = 13
"""Differences up to which all sign patterns are tried."""
NUM_RESAMPLES = 9999
"""Random sign patterns for more differences: p is then within 0.005 of exact."""
_PATTERNS = np.array([[1.0 if byte >> bit & 1 else -1.0 for bit in range(8)] for byte in range(256)])
"""(256, 8): the signs that a random byte stands for."""


def sign_flip(differences: PairedDifferences, *, seed: int = 0) -> SignFlip:
    """Two-sided p over items (seeds averaged) and over seeds (items averaged). A group of items has one sign.

    Items or seeds whose difference is exactly zero carry no information and are left out.

    Args:
        seed: of the random sign patterns.
    """
    values = differences.units.values
    num_seeds = values.shape[0]
    return SignFlip(
        items=_p_value(values.mean(axis=0), seed), seeds=_p_value(values.mean(axis=1), seed) if num_seeds > 1 else None
    )


def sign_flip_p(values: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p of the sign-flip test, for differences that are independent of each other.

    >>> sign_flip_p([1.0, 2.0, 3.0])
    0.25
    """
    return _p_value(np.array(values, dtype=np.float64), seed)


def _p_value(values: NDArray[np.float64], seed: int) -> float:
    """Twice the share of sign patterns with a sum as large as the observed one, which counts as a pattern too."""
    sizes = np.abs(values[values != 0])
    if len(sizes) < 2:
        return 1.0  # one difference: both signs are equally far from zero
    threshold = abs(values.sum()) - 1e-12 * sizes.sum()  # sums that differ in rounding alone are equal
    if len(sizes) <= MOST_EXACT:
        patterns = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
        tail = float(((2 * patterns - 1) @ sizes >= threshold).mean())
    else:
        sums = _random_sums(sizes, np.random.default_rng(seed))
        tail = float(((sums >= threshold).sum() + 1) / (NUM_RESAMPLES + 1))
    return min(1.0, 2 * tail)


def _random_sums(sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(NUM_RESAMPLES,): sums of the sizes under random signs, eight sizes at a time by a table of their 256 sums."""
    padded = np.zeros(-(-len(sizes) // 8) * 8)
    padded[: len(sizes)] = sizes
    sums = np.zeros(NUM_RESAMPLES)
    for table in (_PATTERNS @ padded.reshape(-1, 8).T).T:  # (256,)
        sums += table[rng.integers(256, size=NUM_RESAMPLES, dtype=np.uint8)]
    return sums


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjustment: compare each with 0.05, and the chance of even one wrong 'different' is 0.05.

    The smallest p is multiplied by the number of tests, the next by one less, and so on; none becomes smaller than the
    one before it. `None` (not tested) stays and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    >>> holm([0.02, None])
    (0.02, None)
    """
    tested = np.array([p for p in p_values if p is not None])
    order = np.argsort(tested)
    stepped = np.maximum.accumulate(tested[order] * np.arange(len(tested), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    rest = iter(adjusted.tolist())
    return tuple(None if p is None else next(rest) for p in p_values)


def judge_variance(repeats: Sequence[Mapping[int, float | None]]) -> float:
    """Variance of one score between gradings of the same answer, pooled over the answers.

    Args:
        repeats: one mapping from item to score per grading; an item without a score in one is used in the others.

    Raises:
        DataError: no item was scored twice.

    >>> judge_variance([{0: 70.0, 1: 90.0}, {0: 80.0, 1: 90.0}])
    25.0
    """
    items = set[int]().union(*repeats)
    scores = {
        item: [value for one in repeats if (value := one.get(item)) is not None and np.isfinite(value)]
        for item in sorted(items)
    }
    graded = [values for values in scores.values() if len(values) > 1]
    if not graded:
        raise DataError("no answer was graded twice, so the judge's noise is unknown; grade the same answers again")
    return pooled_variance(graded)
