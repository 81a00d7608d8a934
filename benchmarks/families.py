"""Items that come in families: intervals, verdicts and plans with groups as units, and as if items were independent.

The scores are those of `benchmarks.simulated_arms`, but a part of everything random about an item is its family's: how
hard it is, what the arms differ in, and what each seed makes of it. There are families of the same size, and unequal
ones: sizes from a geometric distribution with that mean, drawn again for every 20 comparisons.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.followed_plans import proposed
from benchmarks.interval_methods import METHODS
from benchmarks.simulated_arms import (
    DIFFERENCES,
    SEED_BY_ARM,
    YARDSTICKS,
    Chance,
    Floats,
    Yardstick,
    candidate_center,
    differences_of,
    draw_chance,
)
from sftframe.analysis.intervals import Spread, group_spread, half_width
from sftframe.analysis.pairs import PairedDifferences, linearised
from sftframe.analysis.planning import needed_to_settle
from sftframe.judging.pairs import PairOutcome, summarise_pairs

SHARES = (0.2, 0.5, 0.8)
"""Parts of an item's variance that its family has."""
SIZES = (5, 10, 20)
NUM_ITEMS = 200
FEW = (2, 3, 5)
"""Families of ten items in the situations with few of them."""
BATCH = 20
"""Comparisons with the same sizes of families."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPlace:
    """A situation."""

    yardstick: Yardstick
    num_groups: int
    size: int
    """Items of a family, on average."""
    share: float
    is_equal: bool
    num_seeds: int
    seed_by_arm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """What became of all repetitions of one situation; shares are 0-1, without a true difference unless said."""

    yardstick: str
    num_groups: int
    size: int
    share: float
    is_equal: bool
    num_seeds: int
    num_repetitions: int
    coverage: float
    coverage_ungrouped: float
    better: float
    """Wrong."""
    better_ungrouped: float
    equivalent_at_margin: float
    """Wrong: the true difference is the margin."""
    equivalent_at_margin_ungrouped: float
    half_width: float
    """Median."""
    half_width_ungrouped: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPlanRow:
    """Plans of comparisons that cannot tell, followed in a new experiment of the planned size."""

    yardstick: str
    num_groups: int
    size: int
    share: float
    num_seeds: int
    difference: float
    """True, in margins."""
    num_plans: int
    settled: float
    more_items: float
    """Median."""
    more_seeds: float


def family_situations() -> Iterator[FamilyPlace]:
    """200 items in families of 5, 10 and 20, by yardstick, seeds and the families' share; then few families of ten."""
    for yardstick, size, share, is_equal, seeds in product(YARDSTICKS, SIZES, SHARES, (True, False), (1, 3, 5)):
        yield _place(yardstick, NUM_ITEMS // size, size, share, is_equal, seeds)
    for number, share, is_equal, seeds in product(FEW, SHARES, (True, False), (1, 3, 5)):
        yield _place(YARDSTICKS[0], number, 10, share, is_equal, seeds)


def family_plans() -> Iterator[tuple[FamilyPlace, float]]:
    """The judge's points; true differences in margins."""
    for size, share, seeds, difference in product((5, 20), SHARES, (1, 3), (0.0, 0.5, 4 / 3)):
        yield _place(YARDSTICKS[0], NUM_ITEMS // size, size, share, True, seeds), difference


def _place(
    yardstick: Yardstick, num_groups: int, size: int, share: float, is_equal: bool, num_seeds: int
) -> FamilyPlace:
    return FamilyPlace(
        yardstick=yardstick,
        num_groups=num_groups,
        size=size,
        share=share,
        is_equal=is_equal,
        num_seeds=num_seeds,
        seed_by_arm="no" if num_seeds == 1 else "small",
    )


def simulate_families(place: FamilyPlace, num_repetitions: int) -> FamilyRow:
    """Draw and judge that many comparisons, without a difference and at the margin."""
    rng = _rng(place)
    margin = place.yardstick.margin
    null, edge = (
        [_judged(rng, place, times) for _ in range(ceil(num_repetitions / BATCH))] for times in ("none", "margin")
    )
    of_null, of_edge = np.concatenate(null, axis=1), np.concatenate(edge, axis=1)
    mean, *halves = of_null
    half, half_90, plain, plain_90 = halves
    is_equivalent = [np.abs(mean) + one < margin for one in (half_90, plain_90)]
    at_margin = [np.abs(of_edge[0]) + of_edge[which] < margin for which in (2, 4)]
    return FamilyRow(
        yardstick=place.yardstick.name,
        num_groups=place.num_groups,
        size=place.size,
        share=place.share,
        is_equal=place.is_equal,
        num_seeds=place.num_seeds,
        num_repetitions=of_null.shape[1],
        coverage=float((np.abs(mean) <= half + 1e-12).mean()),
        coverage_ungrouped=float((np.abs(mean) <= plain + 1e-12).mean()),
        better=float(((mean > half) & ~is_equivalent[0]).mean()),
        better_ungrouped=float(((mean > plain) & ~is_equivalent[1]).mean()),
        equivalent_at_margin=float(at_margin[0].mean()),
        equivalent_at_margin_ungrouped=float(at_margin[1].mean()),
        half_width=float(np.median(half)),
        half_width_ungrouped=float(np.median(plain)),
    )


def _judged(rng: np.random.Generator, place: FamilyPlace, difference: str) -> Floats:
    """(5, BATCH): means, and half widths at 95 and 90 %, with the groups and without."""
    yardstick, deviation = place.yardstick, SEED_BY_ARM[place.seed_by_arm]
    center, _ = candidate_center(yardstick, DIFFERENCES[difference] * yardstick.margin, deviation, place.num_seeds)
    numbers = _numbers(rng, place)
    chance = _with_families(rng, BATCH, place.num_seeds, numbers, place.share, yardstick)
    values, weights = differences_of(chance, yardstick, center, deviation)
    found = _grouped_spread(values, weights, numbers, yardstick.score_range)
    moved = linearised(values, weights)
    return np.array(
        [
            values.mean(axis=(-2, -1)),
            *(half_width(found, alpha) for alpha in (0.05, 0.10)),
            *(METHODS["sftframe"](moved, yardstick.score_range, alpha) for alpha in (0.05, 0.10)),
        ]
    )


def _numbers(rng: np.random.Generator, place: FamilyPlace) -> NDArray[np.intp]:
    """(I,): each item's family."""
    sizes = np.full(place.num_groups, place.size)
    if not place.is_equal:
        sizes = rng.geometric(1 / place.size, place.num_groups)
    return np.repeat(np.arange(place.num_groups), sizes)


def _with_families(
    rng: np.random.Generator,
    count: int,
    num_seeds: int,
    numbers: NDArray[np.intp],
    share: float,
    yardstick: Yardstick,
) -> Chance:
    """Random parts of items, of which their family has a share."""
    own = draw_chance(rng, count, num_seeds, len(numbers), has_lengths=yardstick.is_ratio)
    family = draw_chance(rng, count, num_seeds, int(numbers.max()) + 1, has_lengths=yardstick.is_ratio)
    together, alone = np.float32(share**0.5), np.float32((1 - share) ** 0.5)
    return Chance(
        together * family.item[..., numbers] + alone * own.item,
        together * family.item_by_arm[..., numbers] + alone * own.item_by_arm,
        own.seed,
        own.seed_by_arm,
        together * family.rest[..., numbers] + alone * own.rest,
        share**0.5 * family.length[..., numbers] + (1 - share) ** 0.5 * own.length,
    )


def _grouped_spread(values: Floats, weights: Floats, numbers: NDArray[np.intp], score_range: float | None) -> Spread:
    """Of R comparisons with the same families."""
    number = int(numbers.max()) + 1
    member = np.eye(number)[numbers] * number / len(numbers)  # (I, G)
    return group_spread(values @ member, weights @ member, score_range=score_range)


def follow_family_plans(place: FamilyPlace, difference: float, num_plans: int) -> FamilyPlanRow:
    """Make that many plans and follow each in a new experiment, with families of the same size."""
    rng = _rng(place, str(difference))
    yardstick, deviation = place.yardstick, SEED_BY_ARM[place.seed_by_arm]
    center, _ = candidate_center(yardstick, difference * yardstick.margin, deviation, place.num_seeds)

    def experiment(num_groups: int, num_seeds: int) -> tuple[float, Spread]:
        numbers = np.repeat(np.arange(num_groups), place.size)
        chance = _with_families(rng, 1, num_seeds, numbers, place.share, yardstick)
        values, weights = differences_of(chance, yardstick, center, deviation)
        pair = PairedDifferences(values=values[0], weights=weights[0], groups=numbers).units
        return float(values.mean()), group_spread(pair.values, pair.weights, score_range=yardstick.score_range)

    def is_settled(mean: float, found: Spread) -> bool:
        half, half_90 = (float(half_width(found, alpha)) for alpha in (0.05, 0.10))
        return abs(mean) > half or abs(mean) + half_90 < yardstick.margin

    settled, more = [], []
    for _ in range(3 * num_plans):
        mean, found = experiment(place.num_groups, place.num_seeds)
        if is_settled(mean, found):
            continue
        needed = needed_to_settle(mean, found, margin=yardstick.margin, group_size=place.size)
        if needed is not None:
            items, seeds = proposed(needed, place.num_groups * place.size, place.num_seeds)
            more.append((items, seeds))
            size = place.num_groups + ceil(items / place.size), place.num_seeds + seeds
            settled.append(is_settled(*experiment(*size)))
        if len(more) == num_plans:
            break
    items, seeds = np.median(np.array(more), axis=0).tolist()
    return FamilyPlanRow(
        yardstick=yardstick.name,
        num_groups=place.num_groups,
        size=place.size,
        share=place.share,
        num_seeds=place.num_seeds,
        difference=difference,
        num_plans=len(more),
        settled=float(np.mean(settled)),
        more_items=items,
        more_seeds=seeds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPairsRow:
    """Intervals of a win rate, over pairs of answers in families."""

    num_groups: int
    size: int
    share: float
    num_repetitions: int
    coverage: float
    coverage_ungrouped: float
    width: float
    """Mean, of the whole interval, in win rate."""
    width_ungrouped: float


OUTCOMES = (0.35, 0.05, 0.2, 0.05, 0.35)
"""Chance that b gets 0, 1/4, 1/2, 3/4 and 1 point of a pair."""


def family_pairs() -> Iterator[tuple[int, int, float]]:
    """Groups, items of each, and the families' share."""
    for num_groups, size in ((40, 5), (20, 10), (10, 20), (3, 10), (2, 10)):
        for share in (0.2, 0.8):
            yield num_groups, size, share


def simulate_family_pairs(num_groups: int, size: int, share: float, num_repetitions: int) -> FamilyPairsRow:
    """Draw and judge that many sets of pairs; the same arguments draw the same."""
    rng = np.random.default_rng(zlib.crc32(f"pairs {num_groups} {size} {share}".encode()))
    numbers = np.repeat(np.arange(num_groups), size)
    groups = {index: str(number) for index, number in enumerate(numbers)}
    cuts, truth = ndtri(np.cumsum(OUTCOMES)[:-1]), float(np.arange(5) @ np.array(OUTCOMES)) / 4
    found = []
    for _ in range(num_repetitions):
        hidden = share**0.5 * rng.standard_normal(num_groups)[numbers]
        hidden = hidden + (1 - share) ** 0.5 * rng.standard_normal(len(numbers))
        points = np.searchsorted(cuts, hidden) / 4
        outcomes = [_outcome(index, point) for index, point in enumerate(points.tolist())]
        intervals = [summarise_pairs(outcomes, (), (), known).ci95 for known in (groups, None)]
        found.append([(one[0] <= truth <= one[1], one[1] - one[0]) for one in intervals if one])
    shares = np.array(found, dtype=np.float64).mean(axis=0)  # (2, 2)
    return FamilyPairsRow(
        num_groups=num_groups,
        size=size,
        share=share,
        num_repetitions=num_repetitions,
        coverage=float(shares[0, 0]),
        coverage_ungrouped=float(shares[1, 0]),
        width=float(shares[0, 1]),
        width_ungrouped=float(shares[1, 1]),
    )


def _outcome(index: int, points: float) -> PairOutcome:
    return PairOutcome(
        index=index,
        status="ok",
        winner="tie",
        points=points,
        is_consistent=True,
        reason="",
        length_ratio=1.0,
    )


def _rng(place: FamilyPlace, more: str = "") -> np.random.Generator:
    name = f"{place.yardstick.name} {place.num_groups} {place.size} {place.share} {place.is_equal} {place.num_seeds}"
    return np.random.default_rng(zlib.crc32(f"{name} {more}".encode()))
