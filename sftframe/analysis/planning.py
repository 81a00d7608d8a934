"""How many items and seeds a comparison needs: before the first run, and after a verdict `cannot tell`.

The power is computed for the same interval that decides the verdict. A plan behind a verdict averages it over what is
not known: the true difference, how much seeds and items vary, and how much they will seem to vary next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from math import ceil
from typing import Literal, Protocol

import numpy as np

from sftframe.analysis.intervals import Floats, Spread, half_width
from sftframe.analysis.pairs import Needed, VarianceComponents, Worth
from sftframe.errors import ConfigError

MORE_SEEDS = 3
"""What the worth of more seeds is told for; as many seeds as an ablation has by default."""
MAX_ITEMS = 100_000
MAX_SEEDS = 200
"""A plan with larger numbers, in total, is called out of reach."""
NUM_QUANTILES = 200
"""Quantiles of the distribution of the seeds' spread; more quantiles change only the third digit."""
NUM_DRAWS = 256
"""Possible truths that a plan is averaged over; with 16,384 a chance differs by less than 0.01."""
EXPECTED = 2.0
"""Standard deviation of true differences, in margins, before anything was measured: two of three are within two.
Without this, a few seeds that vary much would promise a large difference, and the plan would be too small to show none.
"""
TRAINING_SHARE = 0.5
"""Part of a cell's cost that does not grow with the number of items; it decides how a plan mixes items and seeds."""
WORTH_MIXING = 0.8
"""A plan of items and seeds is proposed where it costs at most this part of the cheapest plan of one of them alone."""


def minimum_detectable_difference(
    components: VarianceComponents,
    *,
    num_items: int,
    num_seeds: int,
    alpha: float = 0.05,
    power: float = 0.8,
    item_freedom: float | None = None,
) -> float:
    """Smallest true difference that is found with probability `power`.

    With one seed, or components without seed variance, it is about items alone.

    Args:
        item_freedom: degrees of freedom of the items, if they are in groups; by default one less than their number.

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
        found = chance_of_difference(difference * scale, components, num_items, num_seeds, alpha, item_freedom)
        return found - power

    high = 4.0
    while shortage(high) < 0:
        high *= 2
    return float(brentq(shortage, 0.0, high, xtol=1e-6)) * scale


def chance_of_difference(
    difference: float,
    components: VarianceComponents,
    num_items: int,
    num_seeds: int,
    alpha: float,
    item_freedom: float | None = None,
) -> float:
    """Power: the chance that the interval at level 1 - alpha leaves out zero, on either side."""
    from scipy.special import ndtr

    half = half_width(_expected(components, num_items, num_seeds, item_freedom), alpha)
    scale = np.sqrt(components.of_mean(num_seeds, num_items)) or 1.0
    return float((ndtr((difference - half) / scale) + ndtr((-difference - half) / scale)).mean())


def _expected(
    components: VarianceComponents, num_items: int, num_seeds: int, item_freedom: float | None = None
) -> Spread:
    """The expected result of `intervals.spread`: the seeds' part as quantiles (few degrees of freedom), the rest as
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
        freedom=item_freedom,
    )


def worth_of_more(found: Spread, *, alpha: float = 0.05, group_size: float = 1.0) -> Worth | None:
    """How much narrower the interval would be with more seeds, and with as many items again.

    The variances that were found are taken as the true ones, so with few seeds this is a rough figure.

    Args:
        found: of the differences.
        group_size: items of a unit of `found`, on average.

    Returns:
        None if nothing varies.
    """
    now = float(half_width(found, alpha))
    num_seeds, num_units = found.num_seeds, found.num_items
    if not now:
        return None
    seed = max(0.0, float(found.seed - found.residual)) * num_seeds if num_seeds > 1 else 0.0
    item = max(0.0, float(found.item - found.residual)) * num_units
    residual = float(found.residual) * num_seeds * num_units

    def modelled(seeds: int, units: int) -> float:
        rest = np.asarray(residual / (seeds * units))
        spread = Spread(
            seed=seed / seeds + rest if seeds > 1 else np.zeros(()),
            item=item / units + rest if units > 1 else np.zeros(()),
            residual=rest,
            num_seeds=seeds,
            num_items=units,
            freedom=float(found.item_freedom) * (units - 1) / max(num_units - 1, 1),
        )
        return float(half_width(spread, alpha))

    def after(seeds: int, units: int) -> float:
        return now * min(1.0, modelled(seeds, units) / modelled(num_seeds, num_units))

    with_seeds = after(num_seeds + MORE_SEEDS, num_units) if num_seeds > 1 else None
    with_items = after(num_seeds, 2 * num_units) if num_units > 1 else None
    items_like = seeds_like = None
    if with_seeds is not None and with_items is not None:
        most = int(MAX_ITEMS / group_size)
        items_like = _smallest(lambda units: after(num_seeds, units) <= with_seeds, num_units + 1, most)
        seeds_like = _smallest(lambda seeds: after(seeds, num_units) <= with_items, num_seeds + 1, MAX_SEEDS)
    return Worth(
        half_width=now,
        seeds=MORE_SEEDS,
        with_seeds=with_seeds,
        items=round(num_units * group_size),
        with_items=with_items,
        items_like_seeds=None if items_like is None else ceil((items_like - num_units) * group_size),
        seeds_like_items=None if seeds_like is None else seeds_like - num_seeds,
    )


def needed_to_settle(
    difference: float,
    found: Spread,
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    group_size: float = 1.0,
) -> Needed | None:
    """Items, seeds, or both, in addition, with which an experiment of that size ends with a verdict.

    A verdict is 'a difference' or, with a margin, 'equivalent within it'. Its chance is averaged over the possible
    truths: the mean squares that were found are scaled chi-square variables, the difference that was found is normal
    around the true one. So the promise is kept on average over truths: more often where the truth is easy to see, less
    often where it is hard to, as half a margin is.

    Args:
        found: of the differences, with the numbers of items and seeds so far.
        group_size: items of a unit of `found`, on average. The plan is made in units, and its items are counted.

    Returns:
        None if no plan is in reach, or if nothing varies.

    Raises:
        ConfigError: fewer than two items, alpha or power not between 0 and 1.
    """
    _check(num_items=found.num_items, num_seeds=found.num_seeds, alpha=alpha, power=power)
    if not found.seed + found.item:
        return None
    outlook = _Outlook.of(difference, found, margin, alpha)
    num_items, num_seeds = found.num_items, found.num_seeds

    def is_enough(num_items: int, num_seeds: int) -> bool:
        return sum(outlook.chances(num_items, num_seeds)) >= power

    most = int(MAX_ITEMS / group_size)
    items = _smallest(lambda number: is_enough(number, num_seeds), num_items + 1, most)
    seeds = both = None
    if num_seeds > 1:
        seeds = _smallest(lambda number: is_enough(num_items, number), num_seeds + 1, MAX_SEEDS)
        both = _cheapest(is_enough, found, items, seeds, most)
    ways: list[tuple[int, int]] = [(items, num_seeds)] if items is not None else []
    ways += [(num_items, seeds)] if seeds is not None else []
    best = both or min(ways, key=lambda way: _cost(way[0], way[1], num_items), default=None)
    if best is None:
        return None
    chance_of_a_difference, chance_of_equivalence = outlook.chances(*best)
    low, high = (_share_done(outlook, found, best, share, power, most) for share in (0.1, 0.9))

    def in_items(added: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if added is None else (ceil(added[0] * group_size), added[1])

    return Needed(
        items=None if items is None else ceil((items - num_items) * group_size),
        seeds=None if seeds is None else seeds - num_seeds,
        both=None if both is None else in_items((both[0] - num_items, both[1] - num_seeds)),
        would_show="a difference" if chance_of_a_difference >= chance_of_equivalence else "equivalence",
        power=power,
        chance_of_difference=chance_of_a_difference,
        chance_of_equivalence=chance_of_equivalence,
        low=in_items(low),
        high=in_items(high),
        group_size=group_size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlook:
    """What may be true after an experiment; D possible truths."""

    seed: Floats
    """(D,): variance of one difference, as the next two."""
    item: Floats
    residual: Floats
    center: Floats
    """(D,): expected true difference under these variances."""
    doubt: Floats
    """(D,): variance of the true difference around `center`."""
    margin: float
    alpha: float
    freedom_per_item: float
    """Degrees of freedom of the items, over one less than their number."""

    @classmethod
    def of(cls, difference: float, found: Spread, margin: float | None, alpha: float) -> _Outlook:
        num_seeds, num_items = found.num_seeds, found.num_items
        number = num_seeds * num_items
        freedom = float(found.item_freedom)
        item = float(found.item) * number / _scatter(freedom, "item")
        if num_seeds > 1:
            residual = float(found.residual) * number / _scatter((num_seeds - 1) * freedom, "residual")
            seed = float(found.seed) * number / _scatter(num_seeds - 1, "seed")
        else:
            seed = residual = np.zeros(NUM_DRAWS)
        seed = np.maximum(seed - residual, 0.0) / num_items
        item = np.maximum(item - residual, 0.0) / num_seeds
        variance = seed / num_seeds + item / num_items + residual / number
        prior = np.inf if margin is None else (EXPECTED * margin) ** 2
        kept = 1 / (1 + variance / prior)
        return cls(
            seed=seed,
            item=item,
            residual=residual,
            center=kept * abs(difference),
            doubt=kept * variance,
            margin=margin or 0.0,
            alpha=alpha,
            freedom_per_item=freedom / (num_items - 1),
        )

    def chances(self, num_items: int, num_seeds: int) -> tuple[float, float]:
        """Of a verdict after an experiment of that size: a difference, equivalence."""
        scatter = _scatter(num_seeds - 1, "next seed") if num_seeds > 1 else np.zeros(NUM_DRAWS)
        one, other = self._verdicts(num_items, num_seeds, self.center, self.doubt, scatter)
        return float(one.mean()), float(other.mean())

    def share_settled(self, num_items: int, num_seeds: int, power: float) -> float:
        """Share of the truths for which that size has this power."""
        truths = self.center + _normal() * np.sqrt(self.doubt)
        one, other = self._verdicts(num_items, num_seeds, truths, 0.0, np.ones(NUM_DRAWS))
        return float((one + other >= power).mean())

    def _verdicts(
        self, num_items: int, num_seeds: int, center: Floats, doubt: Floats | float, scatter: Floats
    ) -> tuple[Floats, Floats]:
        """(D,) each: chance of a difference and of equivalence, if the mean is normal around `center`."""
        from scipy.special import ndtr

        residual = self.residual / (num_seeds * num_items)
        seed, item = self.seed / num_seeds, self.item / num_items
        spread = Spread(
            seed=(seed + residual) * scatter,
            item=item + residual,
            residual=residual,
            num_seeds=num_seeds,
            num_items=num_items,
            freedom=max(1.0, self.freedom_per_item * (num_items - 1)),
        )
        scale = np.sqrt(doubt + seed + item + residual)
        scale = np.maximum(scale, 1e-12 * scale.max())  # without variance the chance is 0 or 1
        half = half_width(spread, self.alpha)
        room = np.clip(self.margin - half_width(spread, 2 * self.alpha), 0.0, half)  # no mean counts twice
        different = ndtr((center - half) / scale) + ndtr((-center - half) / scale)
        equivalent = ndtr((room - center) / scale) - ndtr((-room - center) / scale)
        return different, equivalent


_UNKNOWN = Literal["seed", "item", "residual", "next seed", "difference"]
_COLUMNS = ("seed", "item", "residual", "next seed", "difference")


@cache
def _uniform(column: _UNKNOWN) -> Floats:
    """(D,): evenly spread numbers between 0 and 1; all columns together are a sequence of low discrepancy.

    Its steps are the powers of 1 / x, with x^6 = x + 1 for five columns (Roberts 2018).
    """
    root = 1.0
    for _ in range(60):
        root = (1 + root) ** (1 / (len(_COLUMNS) + 1))
    step = root ** -(1 + _COLUMNS.index(column))
    return np.asarray((0.5 + step * np.arange(1, NUM_DRAWS + 1)) % 1.0, dtype=np.float64)


@cache
def _scatter(freedom: float, column: _UNKNOWN) -> Floats:
    """(D,): chi-square variables divided by their degrees of freedom. Kept, since they take most of a plan's time."""
    from scipy.special import chdtri

    return np.asarray(chdtri(freedom, _uniform(column)) / freedom)


@cache
def _normal() -> Floats:
    from scipy.special import ndtri

    return np.asarray(ndtri(_uniform("difference")))


def _cost(num_items: int, num_seeds: int, items_so_far: int) -> float:
    """In cells of the present size."""
    return num_seeds * (TRAINING_SHARE + (1 - TRAINING_SHARE) * num_items / items_so_far)


class _IsEnough(Protocol):
    def __call__(self, num_items: int, num_seeds: int) -> bool: ...


def _cheapest(
    is_enough: _IsEnough, found: Spread, items: int | None, seeds: int | None, most: int
) -> tuple[int, int] | None:
    """The cheapest numbers of items and seeds together; None where one of them alone costs hardly more."""
    now = found.num_items
    alone = [_cost(items, found.num_seeds, now)] if items is not None else []
    alone += [_cost(now, seeds, now)] if seeds is not None else []
    limit = WORTH_MIXING * min(alone, default=np.inf)
    best = None
    for num_seeds in _steps(found.num_seeds, MAX_SEEDS):
        affordable = (limit / num_seeds - TRAINING_SHARE) / (1 - TRAINING_SHARE) * now
        if affordable < now + 1:
            break
        num_items = _smallest(partial(is_enough, num_seeds=num_seeds), now + 1, min(affordable, most))
        if num_items is not None:
            best, limit = (num_items, num_seeds), _cost(num_items, num_seeds, now)
    return best


def _steps(start: int, limit: int) -> Iterator[int]:
    """Numbers after `start`, each about a quarter larger than the one before."""
    number = start
    while number < limit:
        number = min(limit, max(number + 1, number * 5 // 4))
        yield number


def _share_done(
    outlook: _Outlook, found: Spread, plan: tuple[int, int], share: float, power: float, most: int
) -> tuple[int, int] | None:
    """More items and seeds, in the plan's proportion, with which this share of the truths is settled; None = beyond
    reach."""
    more_items, more_seeds = plan[0] - found.num_items, plan[1] - found.num_seeds

    def part(percent: int) -> tuple[int, int]:
        return -(-more_items * percent // 100), -(-more_seeds * percent // 100)

    def is_settled(percent: int) -> bool:
        items, seeds = part(percent)
        return outlook.share_settled(found.num_items + items, found.num_seeds + seeds, power) >= share

    in_reach = [(most - found.num_items) * 100 // max(more_items, 1)] if more_items else []
    in_reach += [(MAX_SEEDS - found.num_seeds) * 100 // max(more_seeds, 1)] if more_seeds else []
    percent = _smallest(is_settled, 1, max(1, min(in_reach, default=1)))
    return None if percent is None else part(percent)


def _smallest(is_enough: Callable[[int], bool], start: int, limit: float) -> int | None:
    """The first number from `start` that is enough, if more is always better; found by doubling, then bisection."""
    low, high, last = start, start, max(start, int(limit))
    if not is_enough(last):
        return None
    while not is_enough(high):
        low, high = high, min(2 * high, last)
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _check(*, num_items: int, num_seeds: int, alpha: float, power: float) -> None:
    if num_seeds < 1 or num_items < 2:
        raise ConfigError(f"a plan needs at least one seed and two items, got {num_seeds} and {num_items}")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {value}; expected a probability between 0 and 1, such as 0.05 or 0.8")
