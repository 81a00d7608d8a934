"""Simple statistics of samples: 95 % confidence intervals of a mean and of a share, and the spread within groups."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's t around the mean; None with fewer than two values.

    >>> [round(end, 4) for end in mean_interval([1.0, 3.0, 5.0])]
    [-1.9683, 7.9683]
    """
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # the quantile alone; scipy.stats takes a second to import

    half = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def share_interval(share: float, num_items: int) -> tuple[float, float]:
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
