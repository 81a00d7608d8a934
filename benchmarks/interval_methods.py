"""Ways to make an interval of a mean over seeds and items: sftframe's, and those that it is measured against.

Each takes differences (R, S, I), the scores' range and alpha, and gives half widths (R,).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sftframe.analysis.intervals import half_width, spread

Floats = NDArray[np.float64]


def _ours(values: Floats, score_range: float | None, alpha: float) -> Floats:
    return half_width(spread(values, score_range=score_range), alpha)


def _pooled(values: Floats, score_range: float | None, alpha: float) -> Floats:
    """Every score of every seed as if it were an item of its own."""
    return _students_t(values.reshape(len(values), -1), alpha)


def _items_only(values: Floats, score_range: float | None, alpha: float) -> Floats:
    return _students_t(values.mean(axis=-2), alpha)


def _seeds_only(values: Floats, score_range: float | None, alpha: float) -> Floats:
    return _students_t(values.mean(axis=-1), alpha)


def _students_t(values: Floats, alpha: float) -> Floats:
    number = values.shape[-1]
    half: Floats = -stdtrit(number - 1, alpha / 2) * values.std(axis=-1, ddof=1) / math.sqrt(number)
    return half


def _satterthwaite(values: Floats, score_range: float | None, alpha: float) -> Floats:
    """One Student's t over the sum of the variances, with Satterthwaite's degrees of freedom."""
    found = spread(values, is_adjusted=False)
    seed_freedom, item_freedom = found.num_seeds - 1, found.num_items - 1
    variance = np.maximum(found.seed + found.item - found.residual, found.item)
    parts = found.seed**2 / seed_freedom + found.item**2 / item_freedom
    parts = parts + found.residual**2 / (seed_freedom * item_freedom)
    half: Floats = -stdtrit(np.maximum(variance**2 / parts, seed_freedom), alpha / 2) * np.sqrt(variance)
    return half


def _bootstrap(values: Floats, score_range: float | None, alpha: float) -> Floats:
    """Seeds and items drawn with replacement, 999 times; half the distance of the percentiles."""
    rng = np.random.default_rng(0)
    num_seeds, num_items = values.shape[-2:]
    seeds = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), 999) / num_seeds  # (999, S)
    items = rng.multinomial(num_items, np.full(num_items, 1 / num_items), 999) / num_items  # (999, I)
    means = np.stack([((seeds @ one) * items).sum(axis=-1) for one in values])  # (R, 999)
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2], axis=-1)
    half: Floats = (high - low) / 2
    return half


Method = Callable[[Floats, float | None, float], Floats]
METHODS: dict[str, Method] = {
    "sftframe": _ours,
    "all scores pooled, t": _pooled,
    "seeds averaged, t over items": _items_only,
    "items averaged, t over seeds": _seeds_only,
    "t with Satterthwaite's freedom": _satterthwaite,
    "percentile bootstrap of both": _bootstrap,
}
