"""Correction for several comparisons: among many equal arms, one can look different by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
