"""Looks at a comparison while seeds are added: how strict each look must be, so that all looks together are wrong in no
more cases than one.

The mean difference over S seeds and I items has the variance v(S) = a + b / S: `a` is the items' part, which more seeds
do not reduce. Seeds that are added are independent of the earlier ones, so for S < S' the two means have the covariance
v(S'), and their standardised values have the correlation sqrt(v(S') / v(S)). That is the joint distribution of group
sequential tests, with the information 1 / v(S) (Jennison & Turnbull 2000, chapters 3 and 11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sftframe.analysis.intervals import Spread
from sftframe.analysis.pairs import LookTest, VerdictKind

Floats = NDArray[np.float64]

NUM_NODES = 96
"""Of the integration over the values of one look."""
FURTHEST = 9.0
"""Standard errors beyond which nothing is integrated."""
CLOSEST = 0.98
"""Ratio of the informations of two looks that the nodes still resolve. Looks that are more alike are treated as if they
had this ratio, which makes them a little too strict."""
SMALLEST_ALPHA = 1e-9
"""A smaller p value is not adjusted further."""
SPENDING_CERTAINTY, CORRELATION_CERTAINTY = 0.99, 0.9
"""Of the bounds above the seeds' variance by which alpha is spent, and by which two looks are taken to be alike. Few
seeds say little about their variance, and where it seems small by chance, p is small by chance too. With 0.95 for the
first, simulated looks were wrong in 5.5 % of the cases where seeds vary much.
"""
ALPHA = 0.05
Z_ALONE = 1.959964
"""The bound of a look alone at 5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The looks at the same arms, each with more seeds than the one before."""

    taken: tuple[tuple[int, ...], ...]
    """Seeds of every look so far; the last is the present one."""
    planned: tuple[int, ...] = ()
    """Numbers of seeds of all looks, as they were planned before the first; empty = none were planned."""

    @property
    def is_corrected(self) -> bool:
        """Whether the looks can be allowed for: they were planned, and none has more seeds than the last planned."""
        return bool(self.planned) and len(self.taken[-1]) <= self.planned[-1]

    @property
    def is_uncorrected(self) -> bool:
        """Whether there was an earlier look that nothing allows for."""
        return len(self.taken) > 1 and not self.is_corrected

    @property
    def uncorrected(self) -> str:
        """That a verdict does not allow for earlier looks, and what this means; empty where it need not."""
        if not self.is_uncorrected:
            return ""
        *earlier, now = [len(seeds) for seeds in self.taken]
        seen = f"{', '.join(map(str, earlier))} seed{'s' * (earlier[-1] != 1)}"
        return (
            f"these arms were already compared with {seen}, and this verdict with {now} is not corrected for that: "
            f"where there is no difference, up to {100 * self.wrong:.0f} of 100 such comparisons show one, not 5"
        )

    @property
    def next(self) -> int | None:
        """Number of seeds of the next planned look; None = there is none."""
        return next((number for number in self.planned if number > len(self.taken[-1])), None)

    @property
    def wrong(self) -> float:
        """The most that the chance of a wrong difference can be, if the looks are not allowed for."""
        numbers = [len(seeds) for seeds in self.taken]
        known = [number for number in numbers if self.planned and number <= self.planned[-1]]
        shares = [number / self.planned[-1] for number in known]
        strict = bounds([Information(reached=(*shares[: n + 1],), share=shares[n]) for n in range(len(known))], ALPHA)
        return chance_of_any([*strict, *(Z_ALONE for _ in numbers[len(known) :])], numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """A comparison as a look found it."""

    baseline: str
    candidate: str
    difference: float
    low: float | None
    """Of the interval; None = there is none."""
    high: float | None
    z: float | None
    """The normal value of this look's p, with the sign of the difference; None = there is no p."""
    bound: float | None
    """The |z| from which this look shows a difference, for one comparison alone; None = no |z| is enough yet."""
    verdict: VerdictKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenLook:
    """What was seen when the arms were compared with so many seeds."""

    seeds: tuple[int, ...]
    yardstick: str
    margin: float
    is_corrected: bool
    """Whether intervals and verdicts allow for all planned looks."""
    comparisons: tuple[LookedAt, ...] = ()
    """Those of the verdict."""

    @property
    def is_decided(self) -> bool:
        """Whether every comparison has a verdict."""
        return bool(self.comparisons) and all(found.verdict != "cannot tell" for found in self.comparisons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Information:
    """What a look knows about the information of the looks so far."""

    reached: tuple[float, ...]
    """Of all looks up to this one, up to a common factor."""
    share: float
    """Of this look in the last planned one, 0-1; rather too small than too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What the present look at one comparison must allow for."""

    known: tuple[Information, ...]
    """At each look so far; a later estimate does not change an earlier bound."""

    def level(self, alpha: float) -> float:
        """The level at which this look tests, so that all looks together test at `alpha`."""
        return level_of(bounds(self.known, alpha)[-1])

    def p(self, p: float | None) -> float | None:
        """A two-sided p value of this look, adjusted for all looks."""
        return None if p is None else adjusted_p(p, self.known)

    def one_sided_p(self, p: float | None) -> float | None:
        """A one-sided p value, which has half of a two-sided one's alpha."""
        return p if p is None or p >= 0.5 else adjusted_p(2 * p, self.known) / 2

    def test(self, p: float | None, difference: float, alpha: float) -> LookTest:
        """How this look tests.

        Args:
            p: two-sided, of this look alone.
        """
        from scipy.special import ndtri

        bound = bounds(self.known, alpha)[-1]
        return LookTest(
            number=len(self.known),
            share=self.known[-1].share,
            z=None if p is None else float(np.copysign(ndtri(max(p, 1e-300) / 2), difference)),
            bound=bound if np.isfinite(bound) else None,
        )


def spent(fraction: float, alpha: float) -> float:
    """The part of alpha that the looks up to this share of the information may use together.

    Lan & DeMets' (1983) spending function of O'Brien-Fleming type, with half of alpha on each side.

    >>> f"{spent(0.2, 0.05):.1e} {spent(0.6, 0.05):.4f} {spent(1.0, 0.05):.4f}"
    '1.1e-06 0.0076 0.0500'
    """
    from scipy.special import ndtr, ndtri

    return float(4 * ndtr(ndtri(alpha / 4) / np.sqrt(fraction)))


class Bounds:
    """The bounds of looks that are taken one after the other."""

    def __init__(self, alpha: float) -> None:
        """
        Args:
            alpha: chance that any look shows a difference where there is none.
        """
        self.alpha = alpha
        self.limits: list[float] = []

    def next(self, known: Information) -> float:
        """The |z| from which the next look shows a difference; infinite where nothing of alpha is left for it."""
        self.limits.append(_next_bound(self.limits, _spaced(known.reached), spent(known.share, self.alpha)))
        return self.limits[-1]


def bounds(known: Sequence[Information], alpha: float) -> list[float]:
    """The bounds of all looks, from what each look knows."""
    found = Bounds(alpha)
    for one in known:
        found.next(one)
    return found.limits


def level_of(bound: float) -> float:
    """The two-sided p value at this |z|."""
    from scipy.special import ndtr

    return float(2 * ndtr(-bound))


def chance_of_any(limits: Sequence[float], information: Sequence[float]) -> float:
    """The chance that a look goes beyond its bound although there is no difference.

    Two looks at 5 % each, the second with twice the information:

    >>> f"{chance_of_any([1.96, 1.96], [5.0, 10.0]):.3f}"
    '0.083'
    """
    return sum(_chances(limits, _spaced(information))[0])


def adjusted_p(p: float, known: Sequence[Information]) -> float:
    """The smallest alpha at which the newest look shows a difference, with a p value of `p` there."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    lowest = max(p, SMALLEST_ALPHA)
    z = -float(ndtri(lowest / 2))

    def excess(log_alpha: float) -> float:
        return min(bounds(known, float(np.exp(log_alpha)))[-1], 2 * FURTHEST) - z

    if excess(0.0) >= 0:
        return 1.0
    start = float(np.log(lowest))
    if excess(start) <= 0:
        return lowest
    return float(np.exp(brentq(excess, start, 0.0, xtol=1e-4)))


def information(found: Spread, numbers: Sequence[int], most: int) -> Information:
    """What a look knows, from the squared standard errors that it found.

    Args:
        numbers: of seeds, of the looks up to this one.
        most: the number of seeds of the last planned look.
    """
    *_, now, last = _informations(found, [*numbers, most], SPENDING_CERTAINTY)
    return Information(reached=tuple(_informations(found, numbers, CORRELATION_CERTAINTY)), share=min(1.0, now / last))


def _informations(found: Spread, numbers: Sequence[int], certainty: float) -> list[float]:
    """The information at so many seeds each, up to a factor; in doubt the seeds vary more, and the items less.

    The share of an earlier look is then at least that of its seeds: no variance of the items makes it smaller.
    """
    from scipy.special import chdtri

    freedom = found.num_seeds - 1
    seeds = float(found.seed) * found.num_seeds
    seeds *= freedom / float(chdtri(freedom, certainty)) if freedom else np.inf
    items = max(float(found.item) - float(found.residual), 0.0)
    if found.num_items > 1:
        items *= float(found.item_freedom) / float(chdtri(float(found.item_freedom), 1 - certainty))
    if not np.isfinite(seeds) or seeds + items <= 0:
        seeds, items = 1.0, 0.0
    return [1 / (items + seeds / number) for number in numbers]


def _spaced(reached: Sequence[float]) -> list[float]:
    """The same informations, of which none is closer to the next one than the integration resolves."""
    spaced = list(reached)
    for number in range(len(spaced) - 1, 0, -1):
        spaced[number - 1] = min(spaced[number - 1], CLOSEST * spaced[number])
    return spaced


def _next_bound(limits: Sequence[float], reached: Sequence[float], allowed: float) -> float:
    """The bound of the newest look, so that all looks up to it go beyond theirs with the chance that is allowed."""
    from scipy.optimize import brentq

    chances, tail = _chances(limits, reached)
    left = allowed - sum(chances)
    if left <= tail(FURTHEST):
        return float(np.inf)
    if left >= tail(0.0):
        return 0.0
    return float(brentq(lambda bound: tail(bound) / left - 1, 0.0, FURTHEST, xtol=1e-6))


@cache
def _nodes() -> tuple[Floats, Floats]:
    """Gauss and Legendre's nodes between -1 and 1 with their weights; they take longer than all the rest."""
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
    return nodes, weights


def _chances(limits: Sequence[float], reached: Sequence[float]) -> tuple[list[float], Callable[[float], float]]:
    """For each look the chance that it is the first beyond its bound; and the same for one more look, by its bound.

    Args:
        reached: informations, of one more look if `tail` is wanted.
    """
    from scipy.special import ndtr

    nodes, node_weights = _nodes()
    chances: list[float] = []
    values, masses = np.zeros(1), np.ones(1)  # of the look before, where it stayed inside
    correlation, rest = 0.0, 1.0

    def tail(bound: float) -> float:
        beyond = ndtr((-bound - correlation * values) / rest) + ndtr((-bound + correlation * values) / rest)
        return float(masses @ beyond)

    for number, limit in enumerate(limits):
        chances.append(tail(limit))
        if number + 1 == len(reached):
            break
        edge = min(limit, FURTHEST)
        inside = edge * nodes
        distances = (inside[:, None] - correlation * values) / rest
        densities = np.exp(-(distances**2) / 2) @ masses / (rest * np.sqrt(2 * np.pi))
        values, masses = inside, densities * edge * node_weights
        ratio = reached[number] / reached[number + 1]
        correlation, rest = float(np.sqrt(ratio)), float(np.sqrt(1 - ratio))
    return chances, tail
