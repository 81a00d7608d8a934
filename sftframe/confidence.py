"""Simple statistics of samples: 95 % confidence intervals of a mean and of a share, and the spread within groups.

Items of one group are not independent, so intervals take the groups as their units (`grouped_interval`).
"""

from __future__ import annotations

import math
from collections import Counter
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


def merged_groups(named: Iterable[Mapping[int, str]]) -> dict[int, str]:
    """By item its group, if several sources name groups; items without one are left out.

    Sources may know different groups: an older run knows none, another one names another field. Items that are together
    in any of them are then together, which never makes an interval too narrow.

    >>> merged_groups([{0: "x", 1: "x"}, {1: "p", 2: "p", 3: "q"}])
    {0: '0', 1: '0', 2: '0', 3: '1'}
    """
    different = {tuple(sorted(groups.items())) for groups in named} - {()}
    if len(different) < 2:
        return dict(next(iter(different), ()))
    root: dict[object, object] = {}

    def find(one: object) -> object:
        while root.setdefault(one, one) != one:
            one = root[one]
        return one

    for number, pairs in enumerate(sorted(different)):
        for index, group in pairs:
            root[find(index)] = find((number, group))
    items = sorted({index for pairs in different for index, _ in pairs})
    numbers = {place: str(number) for number, place in enumerate(dict.fromkeys(find(index) for index in items))}
    return {index: numbers[find(index)] for index in items}


def groups_note(named: Mapping[str, Mapping[int, str]]) -> str:
    """A line if sources, by their names, do not all have the same groups of items; empty if they do."""
    without = [source for source, groups in named.items() if not groups]
    if len({tuple(sorted(groups.items())) for groups in named.values() if groups}) > 1:
        return "the groups of items differ: items that are together anywhere count as together"
    if without and len(without) < len(named):
        some = without[0] if len(without) == 1 else f"{without[0]} and {len(without) - 1} more"
        return f"the groups of items are those of the others: {some} {'has' if len(without) == 1 else 'have'} none"
    return ""


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
    """How many independent items say as much about the mean as these do: from the groups' effective number, if items of
    a group go together completely (or all values are the same, so that nothing says how far they do), to the items'.

    >>> [effective_number(values, list("aabb")) for values in ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0])]
    [2.0, 4.0]
    """
    return len(values) / min(_design_effect(values, groups), _largest_effect(groups))


def _design_effect(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """Variance of the mean, over that of independent items; at least 1."""
    alone = stdev(values) ** 2 / len(values) if len(values) > 1 else 0.0
    error, freedom = grouped_error(values, groups)
    return max(1.0, error**2 / alone) if alone and freedom else _largest_effect(groups)


def _largest_effect(groups: Sequence[Hashable]) -> float:
    """The design effect of groups that go together completely."""
    return sum(count**2 for count in Counter(groups).values()) / len(groups)


def independent_number(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """How many independent values an interval of a share, or of a few outcomes, takes these for; at most their number.

    This is `effective_number`, less in two cases. Where nearly all values are the same, the few others do not say how
    far items of a group go together: so two imaginary ones are added whose groups go together completely. And with few
    groups it is reduced so that the interval is as wide as one with Student's t (Korn & Graubard 1998).

    >>> values, groups = [1.0] + 19 * [0.0], sorted(4 * [1, 2, 3, 4, 5])
    >>> round(effective_number(values, groups), 1), round(independent_number(values, groups), 1)
    (20.0, 3.8)
    """
    number = len(values)
    if len(set(groups)) == number:
        return float(number)
    _, freedom = grouped_error(values, groups)
    from scipy.special import stdtrit

    num_rare = number - Counter(values).most_common(1)[0][1]
    found, most = _design_effect(values, groups), _largest_effect(groups)
    design_effect = max(found, (num_rare * found + _IMAGINARY * most) / (num_rare + _IMAGINARY))
    normal, students_t = float(stdtrit(number - 1, 0.025)), float(stdtrit(freedom or 1.0, 0.025))
    return number / design_effect * (normal / students_t) ** 2


_IMAGINARY = 2


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
