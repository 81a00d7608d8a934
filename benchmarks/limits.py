"""Where the intervals do not keep their promise: differences that a small sample does not show, as they are rare.

Two arms without a true difference; positive differences are better.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.interval_methods import METHODS
from benchmarks.simulated_arms import Floats

SKEWNESS = -3.0
"""Of the items' differences of NLL in real runs: a few items are much worse, most are a little better."""
COLLAPSE_CHANCE, COLLAPSE = 0.1, 30.0
"""One seed of ten of the candidate loses 30 points; the others gain as much as makes up for it (3.3 points)."""
ITEM, REST = 17.0, 25.0
"""Standard deviations of the judge's points: items by arm, and rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """What became of all repetitions of one situation without a true difference; shares are 0-1."""

    kind: str
    num_seeds: int
    num_items: int
    num_repetitions: int
    coverage: float
    better: float
    worse: float


def limit_situations() -> Iterator[tuple[str, int, int]]:
    """Kind, seeds and items."""
    for seeds, items in ((1, 30), (1, 110), (1, 1000), (3, 30), (3, 110), (5, 110)):
        yield "skewed items", seeds, items
    for seeds, items in ((3, 110), (3, 1000), (5, 110), (5, 1000), (10, 110), (10, 1000), (20, 110)):
        yield "rare collapse of a seed", seeds, items


def simulate_limit(kind: str, num_seeds: int, num_items: int, num_repetitions: int) -> LimitRow:
    """Draw and judge that many comparisons; the same arguments draw the same."""
    rng = np.random.default_rng(zlib.crc32(f"{kind} {num_seeds} {num_items}".encode()))
    size = max(1, 1_500_000 // (num_seeds * num_items))
    means, halves = [], []
    for start in range(0, num_repetitions, size):
        shape = min(size, num_repetitions - start), num_seeds, num_items
        values = _KINDS[kind](rng, *shape)
        means.append(values.mean(axis=(-2, -1)))
        halves.append(METHODS["sftframe"](values, None, 0.05))
    mean, half = np.concatenate(means), np.concatenate(halves)
    return LimitRow(
        kind=kind,
        num_seeds=num_seeds,
        num_items=num_items,
        num_repetitions=num_repetitions,
        coverage=float((np.abs(mean) <= half).mean()),
        better=float((mean > half).mean()),
        worse=float((mean < -half).mean()),
    )


def _skewed(rng: np.random.Generator, count: int, num_seeds: int, num_items: int) -> Floats:
    """Items' differences from a gamma distribution (skewness 2 / sqrt(shape)), and a normal rest as large."""
    shape = 4 / SKEWNESS**2
    items = np.sign(SKEWNESS) * (rng.gamma(shape, size=(count, 1, num_items)) - shape) / np.sqrt(shape)
    rest = rng.standard_normal((count, num_seeds, num_items)) if num_seeds > 1 else 0.0
    return np.asarray(items + rest)


def _collapsing(rng: np.random.Generator, count: int, num_seeds: int, num_items: int) -> Floats:
    is_lost = rng.random((count, num_seeds, 1)) < COLLAPSE_CHANCE
    gain = COLLAPSE * COLLAPSE_CHANCE / (1 - COLLAPSE_CHANCE)
    items = ITEM * rng.standard_normal((count, 1, num_items))
    return np.where(is_lost, -COLLAPSE, gain) + items + REST * rng.standard_normal((count, num_seeds, num_items))


_KINDS: dict[str, Callable[[np.random.Generator, int, int, int], Floats]] = {
    "skewed items": _skewed,
    "rare collapse of a seed": _collapsing,
}
