"""Simulated arms with a known difference, over the same seeds and items.

A score is a function of a normal variable,

    item + item by arm + seed + seed by arm + rest,

so scores of one item go together, as do those of one seed, and the true means are known from the normal distribution
alone. Four yardsticks: a judge's points (0-100 in steps of 5, a third of them 0 or 100), exact matches (40 % yes), rare
exact matches (3 % yes) and NLL per byte (a ratio of sums, log-normal, over items of very different length).

Shapes: R repetitions, S seeds, I items.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

Floats = NDArray[np.float64]

SEED_BY_ARM = {"no": 0.0, "small": 0.06, "large": 0.2}
"""Standard deviation of the seeds' effect on the difference, where an item's is 1: 0, 2 and 6 of the judge's points."""
ITEM_BY_ARM = 0.35
SEED = 0.15
REST = 0.5
QUANTILES = ndtri((np.arange(20_000) + 0.5) / 20_000)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A kind of score."""

    name: str
    score: Callable[[Floats], Floats]
    """From the normal variable (item variance 1)."""
    center: float
    """Mean of that variable in the baseline."""
    margin: float
    """What a user would call a difference that matters, in the scores' unit."""
    score_range: float | None
    is_ratio: bool = False
    is_higher_better: bool = True


def _points(z: Floats) -> Floats:
    return np.clip(np.round((50 + 45 * z) / 5) * 5, 0, 100)


def _is_exact(z: Floats) -> Floats:
    return (z > 0).astype(np.float64)


YARDSTICKS = (
    Yardstick("judge", _points, 0.1, 3.0, 100.0),
    Yardstick("exact", _is_exact, -0.3, 0.05, 1.0),
    Yardstick("rare", _is_exact, -2.2, 0.03, 1.0),
    Yardstick("NLL", lambda z: np.exp(0.6 * z), 0.0, 0.06, None, is_ratio=True, is_higher_better=False),
)
DIFFERENCES = {"none": 0.0, "small": 0.5, "margin": 1.0, "large": 3.0}
"""True differences in margins; `margin` is where 'equivalent' is hardest not to say wrongly."""


def candidate_center(
    yardstick: Yardstick, difference: float, seed_by_arm: float, num_seeds: int
) -> tuple[float, float]:
    """Center of the candidate's normal variable for a true difference, and that difference as it comes out."""
    deviation = math.sqrt(1 + ITEM_BY_ARM**2 + (SEED**2 if num_seeds > 1 else 0) + seed_by_arm**2 / 2 + REST**2)
    sign = 1 if yardstick.is_higher_better else -1

    def mean(center: float) -> float:
        return float(yardstick.score(center + deviation * QUANTILES).mean())

    base = mean(yardstick.center)
    if not difference:
        return yardstick.center, 0.0
    center = float(brentq(lambda c: mean(c) - base - sign * difference, yardstick.center - 3, yardstick.center + 3))
    return center, sign * (mean(center) - base)


@dataclass(frozen=True, slots=True)
class Chance:
    """The random part of R pairs of arms, normal with variance 1."""

    item: NDArray[np.float32]
    """(R, 1, 1, I)."""
    item_by_arm: NDArray[np.float32]
    """(R, 2, 1, I)."""
    seed: NDArray[np.float32]
    """(R, 1, S, 1); 0 with one seed, since an interval from one seed speaks of items only: its luck is in its truth."""
    seed_by_arm: NDArray[np.float32]
    """(R, 2, S, 1)."""
    rest: NDArray[np.float32]
    """(R, 2, S, I)."""
    length: Floats
    """(R, I): of the items, for ratios."""


def draw_chance(
    rng: np.random.Generator,
    count: int,
    num_seeds: int,
    num_items: int,
    *,
    has_lengths: bool = False,
    known: Chance | None = None,
) -> Chance:
    """Random parts for that many seeds and items, of which `known` already has some."""

    def normal(name: str, *shape: int) -> NDArray[np.float32]:
        values = rng.standard_normal((count, *shape), dtype=np.float32)
        if known is not None:
            before: NDArray[np.float32] = getattr(known, name)
            values[tuple(slice(0, number) for number in before.shape)] = before
        return values

    item, item_by_arm = normal("item", 1, 1, num_items), normal("item_by_arm", 2, 1, num_items)
    seed = normal("seed", 1, num_seeds, 1) if num_seeds > 1 else np.zeros((count, 1, 1, 1), np.float32)
    seed_by_arm, rest = normal("seed_by_arm", 2, num_seeds, 1), normal("rest", 2, num_seeds, num_items)
    length = np.zeros((count, num_items))
    if has_lengths:
        length = rng.standard_normal((count, num_items))
        if known is not None:
            length[:, : known.length.shape[-1]] = known.length
    return Chance(item, item_by_arm, seed, seed_by_arm, rest, length)


def differences_of(chance: Chance, yardstick: Yardstick, center: float, seed_by_arm: float) -> tuple[Floats, Floats]:
    """Differences (R, S, I), positive = better, and weights (R, I) with mean 1."""
    arms = np.array([yardstick.center, center], np.float32)[:, None, None]
    latent = chance.item + np.float32(ITEM_BY_ARM) * chance.item_by_arm + np.float32(SEED) * chance.seed
    latent = latent + np.float32(seed_by_arm / math.sqrt(2)) * chance.seed_by_arm
    latent = latent + np.float32(REST) * chance.rest + arms  # (R, 2, S, I)
    scores = yardstick.score(latent).astype(np.float64)
    sign = 1 if yardstick.is_higher_better else -1
    weights = np.exp(0.6 * chance.length) if yardstick.is_ratio else np.ones_like(chance.length)
    weights /= weights.mean(axis=-1, keepdims=True)
    return sign * (scores[:, 1] - scores[:, 0]) * weights[:, None, :], weights


def draw(
    rng: np.random.Generator,
    yardstick: Yardstick,
    center: float,
    seed_by_arm: float,
    count: int,
    num_seeds: int,
    num_items: int,
) -> tuple[Floats, Floats]:
    """New `differences_of` R = `count` pairs of arms."""
    chance = draw_chance(rng, count, num_seeds, num_items, has_lengths=yardstick.is_ratio)
    return differences_of(chance, yardstick, center, seed_by_arm)
