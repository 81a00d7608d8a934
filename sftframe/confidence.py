"""Simple statistics of samples: 95 % confidence intervals of a mean and of a share, and the spread within groups.

Items of one group are not independent, so intervals take the groups as their units (`grouped_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mean_interval(values: Sequence[float], groups: Sequence[Hashable] | None = None) -> tuple[float, float] | None:
    """Student's t around the mean; None with fewer than two values, or groups.

    Args:
        groups: of each value; values of one group are one unit. None = every value is a unit.

    >>> [round(end, 4) for end in mean_interval([1.0, 3.0, 5.0])]
    [-1.9683, 7.9683]
    """
    if groups is not None and len(set(groups)) < len(groups):
        return grouped_interval(values, groups)
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # the quantile alone; scipy.stats takes a second to import

    half = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def units_of(indices: Iterable[int], groups: Mapping[int, str] | None) -> list[str | int] | None:
    """What each item counts with: its group's name, or its own index; None if no two items are of one group."""
    units = [(groups or {}).get(index) or index for index in indices]
    return units if len(set(units)) < len(units) else None


def grouped_interval(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, float] | None:
    """Student's t around the mean of all values, from the sums of the groups; None with fewer than two groups.

    >>> [round(end, 4) for end in grouped_interval([1.0, 1.0, 3.0, 3.0, 5.0, 5.0], list("aabbcc"))]
    [-1.9683, 7.9683]
    """
    error, freedom = grouped_error(values, groups)
    if not freedom:
        return None
    from scipy.special import stdtrit

    half = -float(stdtrit(freedom, 0.025)) * error
    return fmean(values) - half, fmean(values) + half


def grouped_error(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, float]:
    """Standard error of the mean, with the groups as units, and its degrees of freedom; 0 of both for one group."""
    mean = fmean(values)
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for value, group in zip(values, groups, strict=True):
        sums[group] = sums.get(group, 0.0) + value - mean
        sizes[group] = sizes.get(group, 0) + 1
    if len(sizes) < 2:
        return 0.0, 0.0
    import numpy as np

    factors, freedom = group_scale(np.array(list(sizes.values()), dtype=np.float64))
    squares = factors * np.array(list(sums.values())) ** 2
    number = len(sizes)
    return math.sqrt(float(squares.sum()) * number / (number - 1)) / len(values), float(freedom)


def group_scale(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How groups of unequal size count in a variance: factors of their squared deviations (..., G), freedom (...).

    The mean is pulled towards a large group, so its deviation is too small. For independent group means of the same
    variance its square is too small by 1 - 2p + sum(p^2), with p the group's share of the weights; dividing by this
    makes the variance unbiased (Bell & McCaffrey's correction, for a mean). A few large groups say less than their
    number: the degrees of freedom are the effective number of groups 1 / sum(p^2) less one, and at least one. Both are
    the usual ones, G / (G - 1) and G - 1, if all groups are equal.

    Args:
        weights: (..., G), at least two: sizes, or sums of the items' own weights.

    >>> import numpy as np
    >>> [found.tolist() for found in group_scale(np.array([2.0, 2.0]))]
    [[1.0, 1.0], 1.0]
    """
    import numpy as np

    number = weights.shape[-1]
    shares = weights / weights.sum(axis=-1, keepdims=True)
    squares = (shares**2).sum(axis=-1, keepdims=True)
    factors: NDArray[np.float64] = (1 - 1 / number) / (1 - 2 * shares + squares)
    freedom: Any = np.maximum(1 / squares[..., 0] - 1, 1.0)
    return factors, freedom


def group_freedom(sizes: Sequence[int]) -> float:
    """Degrees of freedom of a variance between groups of these sizes, at least two.

    >>> group_freedom([3, 3, 3]), group_freedom([7, 1, 1])
    (2.0, 1.0)
    """
    import numpy as np

    return float(group_scale(np.array(sizes, dtype=np.float64))[1])


def effective_number(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """How many independent items say as much about the mean as these do; at most their number.

    If the values are all the same, the groups' effective number: nothing says how far items of a group go together.

    >>> round(effective_number([0.0, 0.0, 1.0, 1.0], list("aabb")), 3)
    1.333
    >>> effective_number([0.0, 1.0, 0.0, 1.0], list("aabb"))
    4.0
    """
    number = len(values)
    if len(set(groups)) == number:
        return float(number)
    error, freedom = grouped_error(values, groups)
    counts: dict[Hashable, int] = {}
    for group in groups:
        counts[group] = counts.get(group, 0) + 1
    if not freedom:
        return 1.0
    alone = stdev(values) ** 2 / number
    if not alone:
        return number**2 / sum(count**2 for count in counts.values())
    return float(number) if error**2 <= alone else number * alone / error**2


def independent_number(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """`effective_number`, reduced for few groups, so that an interval of shares with it is as wide as one with
    Student's t (Korn & Graubard 1998); at most the number of values.
    """
    number = effective_number(values, groups)
    if number == len(values):
        return number
    from scipy.special import stdtrit

    _, freedom = grouped_error(values, groups)
    normal, students_t = float(stdtrit(len(values) - 1, 0.025)), float(stdtrit(freedom or 1.0, 0.025))
    return number * (normal / students_t) ** 2


def share_interval(share: float, num_items: float) -> tuple[float, float]:
    """Wilson's interval of a share (1927), correct at 0 and 1 too.

    >>> [round(end, 4) for end in share_interval(0.5, 10)]
    [0.2366, 0.7634]
    """
    z2 = 1.959964**2
    centre = (share + z2 / (2 * num_items)) / (1 + z2 / num_items)
    half = math.sqrt(z2 * (share * (1 - share) / num_items + z2 / (4 * num_items**2))) / (1 + z2 / num_items)
    return max(0.0, centre - half), min(1.0, centre + half)


def pooled_variance(groups: Iterable[Sequence[float]]) -> float:
    """Variance within groups, which may have different means; each group has two values or more.

    >>> pooled_variance([[1.0, 3.0], [10.0, 10.0, 10.0]])
    0.6666666666666666
    """
    sums = [(math.fsum((value - fmean(group)) ** 2 for value in group), len(group) - 1) for group in groups]
    return math.fsum(squares for squares, _ in sums) / sum(freedom for _, freedom in sums)
