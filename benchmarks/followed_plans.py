"""Is the promise of a plan kept? Simulated pairs of arms that cannot be told apart, then an experiment of the planned
size, which ends with a verdict or not.

Two ways to follow a plan: a new experiment of the whole size, or the planned seeds and items added to those there are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.interval_methods import METHODS
from benchmarks.simulated_arms import (
    SEED_BY_ARM,
    YARDSTICKS,
    Chance,
    Floats,
    Yardstick,
    candidate_center,
    differences_of,
    draw_chance,
)
from sftframe.analysis.intervals import spread
from sftframe.analysis.pairs import Needed, linearised
from sftframe.analysis.planning import needed_to_settle

SIZES = ((3, 110), (5, 110), (3, 50), (3, 400), (10, 110))
"""Seeds and items of the first experiment."""
DIFFERENCES = (0.0, 0.5, 4 / 3)
"""True differences in margins: of the judge's points 0, 1.5 and 4. Half a margin is the hardest to settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """What became of the plans in one situation; shares are 0-1."""

    yardstick: str
    difference: float
    """True, in margins."""
    seed_by_arm: str
    num_seeds: int
    num_items: int
    num_plans: int
    out_of_reach: float
    """Share of the comparisons that cannot tell and get no plan."""
    settled_anew: float
    """Share of the plans whose new experiment ends with a verdict."""
    settled_added: float
    """The same, if seeds and items are added to those there are."""
    more_items: tuple[float, float, float]
    """Their 10th, 50th and 90th percentile, of the proposed plan."""
    more_seeds: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _World:
    """Two arms whose true difference is known."""

    yardstick: Yardstick
    center: float
    deviation: float

    def grown(self, rng: np.random.Generator, num_seeds: int, num_items: int, known: Chance | None = None) -> Chance:
        return draw_chance(rng, 1, num_seeds, num_items, has_lengths=self.yardstick.is_ratio, known=known)

    def differences(self, chance: Chance) -> tuple[float, Floats]:
        """The mean, and (S, I) what each seed and item contribute to its variance."""
        values, weights = differences_of(chance, self.yardstick, self.center, self.deviation)
        return float(values.mean()), linearised(values, weights)[0]

    def is_settled(self, chance: Chance) -> bool:
        mean, influence = self.differences(chance)
        half, half_90 = (
            METHODS["sftframe"](influence[None], self.yardstick.score_range, alpha)[0] for alpha in (0.05, 0.1)
        )
        return bool(abs(mean) > half or abs(mean) + half_90 < self.yardstick.margin)


def plan_situations() -> Iterator[tuple[Yardstick, float, str, int, int]]:
    """All sizes for the judge's points, the first one for the other yardsticks."""
    for yardstick, (seeds, items) in product(YARDSTICKS, SIZES):
        if yardstick.name == "judge" or (seeds, items) == SIZES[0]:
            for difference, scatter in product(DIFFERENCES, SEED_BY_ARM):
                yield yardstick, difference, scatter, seeds, items


def follow_plans(
    yardstick: Yardstick, difference: float, seed_by_arm: str, num_seeds: int, num_items: int, num_plans: int
) -> PlanRow:
    """Make that many plans and follow each; the same arguments draw the same."""
    rng = np.random.default_rng(
        zlib.crc32(f"{yardstick.name} {difference} {seed_by_arm} {num_seeds} {num_items}".encode())
    )
    deviation = SEED_BY_ARM[seed_by_arm]
    center, _ = candidate_center(yardstick, difference * yardstick.margin, deviation, num_seeds)
    world = _World(yardstick, center, deviation)
    anew, added = [], []
    more: list[tuple[int, int]] = []
    num_open = 0
    while len(more) < num_plans and num_open < 3 * num_plans:
        first = world.grown(rng, num_seeds, num_items)
        if world.is_settled(first):
            continue
        num_open += 1
        mean, influence = world.differences(first)
        needed = needed_to_settle(mean, spread(influence, score_range=yardstick.score_range), margin=yardstick.margin)
        if needed is not None:
            items, seeds = proposed(needed, num_items, num_seeds)
            more.append((items, seeds))
            size = num_seeds + seeds, num_items + items
            anew.append(world.is_settled(world.grown(rng, *size)))
            added.append(world.is_settled(world.grown(rng, *size, known=first)))
    return PlanRow(
        yardstick=yardstick.name,
        difference=difference,
        seed_by_arm=seed_by_arm,
        num_seeds=num_seeds,
        num_items=num_items,
        num_plans=len(more),
        out_of_reach=1 - len(more) / num_open,
        settled_anew=float(np.mean(anew)),
        settled_added=float(np.mean(added)),
        more_items=_tails([items for items, _ in more]),
        more_seeds=_tails([seeds for _, seeds in more]),
    )


def proposed(needed: Needed, num_items: int, num_seeds: int) -> tuple[int, int]:
    """More items and seeds: together if that is proposed, else the way that multiplies the measurements least."""
    if needed.both is not None:
        return needed.both
    ways = [(needed.items, 0)] if needed.items is not None else []
    ways += [(0, needed.seeds)] if needed.seeds is not None else []
    return min(ways, key=lambda way: way[0] / num_items / 2 + way[1] / num_seeds)


def _tails(numbers: list[int]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(numbers, [0.1, 0.5, 0.9]).tolist()
    return low, middle, high
