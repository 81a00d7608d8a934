"""How many items and seeds a comparison needs: before the first run, and after a verdict `cannot tell`.

The power is computed for the same interval that decides the verdict, averaged over the possible spread of the seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from sftframe.analysis.intervals import Spread, half_width
from sftframe.analysis.pairs import Needed, VarianceComponents
from sftframe.errors import ConfigError

MAX_ITEMS = 1_000_000
MAX_SEEDS = 1_000
"""A plan with larger numbers is called out of reach."""
NUM_QUANTILES = 200
"""Quantiles of the distribution of the seeds' spread; more quantiles change only the third digit."""


def minimum_detectable_difference(
    components: VarianceComponents, *, num_items: int, num_seeds: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true difference that is found with probability `power`.

    With one seed, or components without seed variance, it is about items alone.

    Raises:
        ConfigError: no seed, fewer than two items, alpha or power not between 0 and 1.

    >>> sd_30 = VarianceComponents(seed=None, item=30.0**2, residual=0.0)
    >>> round(minimum_detectable_difference(sd_30, num_items=110, num_seeds=1), 2)
    8.08
    """
    from scipy.optimize import brentq

    _check(num_items=num_items, num_seeds=num_seeds, alpha=alpha, power=power)
    if not components.of_mean(num_seeds, num_items):
        return 0.0
    scale = float(np.sqrt(components.of_mean(num_seeds, num_items)))

    def shortage(difference: float) -> float:
        return chance_of_difference(difference * scale, components, num_items, num_seeds, alpha) - power

    high = 4.0
    while shortage(high) < 0:
        high *= 2
    return float(brentq(shortage, 0.0, high, xtol=1e-6)) * scale


def needed_to_settle(
    difference: float,
    components: VarianceComponents,
    *,
    num_items: int,
    num_seeds: int,
    margin: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
) -> Needed | None:
    """Items or seeds in addition that would give a verdict, if the true difference and variances are these.

    The plan is for the nearer verdict, 'a difference' or 'equivalent within the margin'. None if neither is in reach,
    as for a difference of zero without a margin.
    """
    _check(num_items=num_items, num_seeds=num_seeds, alpha=alpha, power=power)

    def shows_difference(items: int, seeds: int) -> bool:
        return bool(difference) and chance_of_difference(difference, components, items, seeds, alpha) >= power

    def shows_equivalence(items: int, seeds: int) -> bool:
        return chance_of_equivalence(difference, margin or 0.0, components, items, seeds, alpha) >= power

    knows_seeds = components.seed is not None
    plans = (
        _plan(shows_difference, "a difference", num_items, num_seeds, knows_seeds, power),
        _plan(shows_equivalence, "equivalence", num_items, num_seeds, knows_seeds, power),
    )
    possible = [plan for plan in plans if plan is not None]
    return min(possible, key=lambda plan: _growth(plan, num_items, num_seeds), default=None)


def chance_of_difference(
    difference: float, components: VarianceComponents, num_items: int, num_seeds: int, alpha: float
) -> float:
    """Power: the chance that the interval at level 1 - alpha leaves out zero, on either side."""
    from scipy.special import ndtr

    half = half_width(_expected(components, num_items, num_seeds), alpha)
    scale = np.sqrt(components.of_mean(num_seeds, num_items)) or 1.0
    return float((ndtr((difference - half) / scale) + ndtr((-difference - half) / scale)).mean())


def chance_of_equivalence(
    difference: float, margin: float, components: VarianceComponents, num_items: int, num_seeds: int, alpha: float
) -> float:
    """Power of the two one-sided tests: the chance that the interval at level 1 - 2 alpha lies within the margin."""
    from scipy.special import ndtr

    room = np.maximum(margin - half_width(_expected(components, num_items, num_seeds), 2 * alpha), 0.0)
    scale = np.sqrt(components.of_mean(num_seeds, num_items)) or 1.0
    return float((ndtr((room - difference) / scale) - ndtr((-room - difference) / scale)).mean())


def _expected(components: VarianceComponents, num_items: int, num_seeds: int) -> Spread:
    """The expected result of `crossed.spread`: the seeds' part as quantiles (few degrees of freedom), the rest as
    means."""
    from scipy.special import chdtri

    residual = components.residual / (num_seeds * num_items)
    seed = np.zeros(1)
    if num_seeds > 1:
        upper = (np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES
        scatter = chdtri(num_seeds - 1, upper) / (num_seeds - 1)
        seed = ((components.seed or 0.0) / num_seeds + residual) * scatter
    return Spread(
        seed=seed,
        item=np.full_like(seed, components.item / num_items + residual),
        residual=np.full_like(seed, residual if num_seeds > 1 else 0.0),
        num_seeds=num_seeds,
        num_items=num_items,
    )


def _plan(
    is_enough: Callable[[int, int], bool],
    would_show: Literal["a difference", "equivalence"],
    num_items: int,
    num_seeds: int,
    knows_seeds: bool,
    power: float,
) -> Needed | None:
    items = _smallest(lambda n: is_enough(n, num_seeds), num_items, MAX_ITEMS)
    seeds = _smallest(lambda n: is_enough(num_items, n), num_seeds, MAX_SEEDS) if knows_seeds else None
    both = None
    if items is None and seeds is None:
        if not knows_seeds:
            return None
        factor = _smallest(lambda n: is_enough(num_items * n // 10, -(-num_seeds * n // 10)), 10, 10_000)
        if factor is None:
            return None
        both = (num_items * factor // 10 - num_items, -(-num_seeds * factor // 10) - num_seeds)
    return Needed(
        items=None if items is None else items - num_items,
        seeds=None if seeds is None else seeds - num_seeds,
        both=both,
        would_show=would_show,
        power=power,
    )


def _smallest(is_enough: Callable[[int], bool], start: int, limit: int) -> int | None:
    """The first number from `start` that is enough, if more is always better; found by doubling, then bisection."""
    low, high = start, start
    while not is_enough(high):
        if high >= limit:
            return None
        low, high = high, min(2 * high, limit)
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _growth(plan: Needed, num_items: int, num_seeds: int) -> float:
    """How many times more measurements the cheapest way takes."""
    ways = [plan.items and plan.items / num_items, plan.seeds and plan.seeds / num_seeds]
    known = [way for way in ways if way is not None]
    return min(known) if known else float("inf")


def _check(*, num_items: int, num_seeds: int, alpha: float, power: float) -> None:
    if num_seeds < 1 or num_items < 2:
        raise ConfigError(f"a plan needs at least one seed and two items, got {num_seeds} and {num_items}")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {value}; expected a probability between 0 and 1, such as 0.05 or 0.8")
