"""People's labels correct a judge: prediction-powered inference, so that means and differences have no bias.

A judge scores every answer, people label some that were drawn at random. The estimate is

    lambda * (mean of the judge's scores) + (mean of `label - lambda * score` over the labelled items),

which is right on average whatever the judge does; a good judge only makes it more certain. lambda is chosen so that the
variance is smallest (PPI++, Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453). The labelled items are among those
that the judge scored, so lambda here is 1 + n / N times the one in the paper, and the estimate is the same; in survey
sampling it is the regression estimator.

Shapes: S seeds, I items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sftframe.analysis.intervals import Spread, coverage, half_width, p_of_distance, spread_of
from sftframe.analysis.pairs import Interval, PairedDifferences, group_numbers
from sftframe.errors import DataError

Floats = NDArray[np.float64]

LEAST_LABELS = 10
"""Labelled items below which nothing is estimated: the spread of so few says too little."""
FEW_LABELS = 30
"""Labelled items below which the interval is called rough."""
SCALE = 100.0
"""Largest difference of two scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How the items were drawn that people were to label."""

    probability: Mapping[int, float]
    """By drawn item the chance with which it was drawn, 0-1."""
    stratum: Mapping[int, str]
    """By drawn item the stratum that it was drawn from; items of one stratum are drawn among themselves."""


EVERYTHING = Design(probability={}, stratum={})
"""Items of which nothing is said count as drawn at random from all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A mean of scores, or of differences, that people's labels correct."""

    value: float
    interval: Interval | None
    """At level 0.95. None = a single item or group, from which nothing can be said."""
    judge_alone: float
    """The mean of the judge's scores."""
    labels_alone: float
    """The mean of the labels."""
    labels_alone_interval: Interval | None
    power_tuning: float
    """lambda: how much of the judge's scores is used. 0 = nothing, since they say nothing about the labels."""
    num_labels: int
    """Labelled items; an item with labels in several seeds counts once."""
    num_items: int
    """Those with the judge's scores."""
    half_width_of_all: float
    """About the interval's half width if people labelled every item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScores:
    """The judge's scores and people's labels of the same answers, or the differences of two arms in both."""

    judge: Floats
    """(S, I)."""
    people: Floats
    """(S, I); NaN = not labelled."""
    weights: Floats
    """(I,): of labelled items one over the chance to be drawn; else 0."""
    strata: NDArray[np.intp]
    """(I,): number of a labelled item's stratum, from 0; else -1."""
    sizes: Floats
    """(H,): share of each stratum in all items, with sum 1."""
    groups: NDArray[np.intp] | None = None
    """As `PairedDifferences.groups`."""
    is_difference: bool = False
    """Of two arms, from -100 to 100, where 0 is a tie."""

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """(I,)."""
        return self.strata >= 0

    @property
    def judge_means(self) -> Floats:
        """(I,): over the labelled seeds of labelled items, over all seeds of the others."""
        known = ~np.isnan(self.people) | ~self.is_labelled
        means: Floats = np.where(known, self.judge, 0.0).sum(axis=0) / known.sum(axis=0)
        return means

    @property
    def people_means(self) -> Floats:
        """(I,): over the labelled seeds; 0 for items without labels."""
        known = ~np.isnan(self.people)
        means: Floats = np.where(known, self.people, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return means


def labelled_scores(
    judge: Mapping[int, Mapping[int, float]],
    people: Mapping[int, Mapping[int, float]],
    *,
    design: Design = EVERYTHING,
    groups: Mapping[int, str] | None = None,
    is_difference: bool = False,
    what: str = "",
) -> LabelledScores:
    """The scores as arrays, with the labelled items' weights.

    Args:
        judge: by seed and item; every seed has the same items.
        people: by seed and item; labels of items that the judge has no score for are left out.
        design: how the items were drawn.
        groups: by item its group.
        is_difference: of two arms.
        what: the labels that an item needs, for messages: `a label of A and of B`.

    Raises:
        DataError: fewer than `LEAST_LABELS` items have a label.
    """
    seeds = sorted(judge)
    items = sorted(judge[seeds[0]])
    scores = np.array([[judge[seed][item] for item in items] for seed in seeds])
    labels = np.array([[people.get(seed, {}).get(item, np.nan) for item in items] for seed in seeds])
    is_labelled = ~np.isnan(labels).all(axis=0)
    number = int(is_labelled.sum())
    if number < LEAST_LABELS:
        raise DataError(
            f"people's labels: {number} of {len(items)} items have {what or 'a label'}, expected at least "
            f"{LEAST_LABELS}: label more items that were drawn at random"
        )
    strata, sizes = _strata(items, is_labelled, design)
    weights = [
        1 / design.probability.get(item, 1.0) if has else 0.0 for item, has in zip(items, is_labelled, strict=True)
    ]
    return LabelledScores(
        judge=scores,
        people=labels,
        weights=np.array(weights),
        strata=strata,
        sizes=sizes,
        groups=group_numbers(items, groups or {}),
        is_difference=is_difference,
    )


def _strata(items: Sequence[int], is_labelled: NDArray[np.bool_], design: Design) -> tuple[NDArray[np.intp], Floats]:
    """(I,) numbers, (H,) shares. A stratum with fewer than two labels joins its neighbour, for want of a variance."""
    labelled = [item for item, has in zip(items, is_labelled, strict=True) if has]
    drawn = {item: design.stratum.get(item, "") for item in {*design.probability, *labelled}}
    counts = {name: sum(drawn[item] == name for item in labelled) for name in sorted(set(drawn.values()))}
    sizes = dict.fromkeys(counts, 0.0)
    for item, name in drawn.items():
        sizes[name] += 1 / design.probability.get(item, 1.0)
    joined: list[list[str]] = []
    for name in counts:  # neighbours in the order of their names, which is that of the judge's disagreement
        if joined and sum(counts[one] for one in joined[-1]) < 2:
            joined[-1].append(name)
        else:
            joined.append([name])
    if len(joined) > 1 and sum(counts[one] for one in joined[-1]) < 2:
        last = joined.pop()
        joined[-1] += last
    place = {name: number for number, names in enumerate(joined) for name in names}
    shares = np.array([sum(sizes[name] for name in names) for names in joined])
    numbers = [place[drawn[item]] if has else -1 for item, has in zip(items, is_labelled, strict=True)]
    return np.array(numbers, dtype=np.intp), shares / shares.sum()


def power_tuning(scores: Sequence[LabelledScores]) -> float:
    """lambda: the share of the judge's scores that makes the estimates' variances together smallest; never below 0.

    With one seed and one stratum it is the covariance of scores and labels by the variance of all scores, as in PPI++;
    else both are within strata, and of the labelled items.
    """
    parts = [_tuning_parts(one) for one in scores]
    denominator = sum(below for _, below in parts)
    return max(0.0, float(sum(above for above, _ in parts) / denominator)) if denominator > 0 else 0.0


def _tuning_parts(scores: LabelledScores) -> tuple[float, float]:
    judge, people = scores.judge_means, scores.people_means
    above = below = 0.0
    for number, share in enumerate(scores.sizes):
        inside = scores.strata == number
        weights = scores.weights[inside] / scores.weights[inside].sum()
        of_judge = judge[inside] - weights @ judge[inside]
        of_people = people[inside] - weights @ people[inside]
        above += share**2 * float(weights**2 @ (of_judge * of_people))
        below += share**2 * float(weights**2 @ of_judge**2)
    if len(scores.sizes) == 1 == len(scores.judge) and np.ptp(scores.weights[scores.is_labelled]) == 0:
        below = float(scores.judge.mean(axis=0).var(ddof=1)) / int(scores.is_labelled.sum())
    return above, below


def corrected(scores: LabelledScores, *, tuning: float | None = None) -> Corrected:
    """The mean with its interval.

    Args:
        tuning: lambda, if it is not to be estimated from these scores.
    """
    tuning = power_tuning([scores]) if tuning is None else tuning
    found = estimate(scores, tuning)
    alone = estimate(scores, 0.0)
    number = int(scores.is_labelled.sum())
    return Corrected(
        value=found.value,
        interval=found.interval(0.95),
        judge_alone=float(scores.judge.mean()),
        labels_alone=alone.value,
        labels_alone_interval=alone.interval(0.95),
        power_tuning=tuning,
        num_labels=number,
        num_items=scores.judge.shape[1],
        half_width_of_all=float(half_width(alone.spread, 0.05)) * float(np.sqrt(number / scores.judge.shape[1])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A corrected mean with its squared standard errors."""

    value: float
    is_difference: bool
    spread: Spread
    seed_values: tuple[float, ...]
    """One per seed: the judge's part is the seed's own, the correction is that of all seeds."""

    def interval(self, level: float) -> Interval | None:
        """The confidence interval, not beyond the scale; None if there is one unit only."""
        covers = coverage(self.spread.num_seeds, self.spread.num_items)
        if covers is None:
            return None
        half = float(half_width(self.spread, 1 - level))
        lowest = -SCALE if self.is_difference else 0.0
        return Interval(
            low=max(self.value - half, lowest), high=min(self.value + half, SCALE), level=level, covers=covers
        )

    def p_value(self) -> float | None:
        """Two-sided p of a mean of zero; None if there is one unit only."""
        if coverage(self.spread.num_seeds, self.spread.num_items) is None:
            return None
        return p_of_distance(abs(self.value), self.spread)

    def equivalence_p_value(self, margin: float) -> float | None:
        """Larger p of two one-sided tests against -margin and +margin."""
        if coverage(self.spread.num_seeds, self.spread.num_items) is None:
            return None
        inside = margin - abs(self.value)
        one_sided = p_of_distance(abs(inside), self.spread) / 2
        return one_sided if inside > 0 else 1 - one_sided


def estimate(scores: LabelledScores, tuning: float) -> Estimate:
    """The mean for a given lambda.

    Its variance is that of values with the same mean that say how each cell changes the estimate, over seeds and items
    or groups, as for any other comparison. Labels of one seed per item cannot tell a seed's effect from chance, so
    the judge's error is then taken to be the same for all seeds, and seeds to differ as the judge's scores say, in
    the labels' scale.
    """
    judge = scores.judge
    left = scores.people_means - tuning * scores.judge_means  # (I,): what the judge does not explain
    means = np.array([_weighted(left, scores, number) for number in range(len(scores.sizes))])  # (H,)
    correction = float(scores.sizes @ means)
    value = float(tuning * judge.mean() + correction)
    of_labels = _influence_of_labels(scores, means, tuning)
    moved = tuning * (judge - judge.mean()) + of_labels  # (S, I), mean 0
    if np.isnan(scores.people[:, scores.is_labelled]).any():
        found = _spread(moved.mean(axis=0, keepdims=True), scores)
        of_seeds = _spread(_people_per_judge(scores) * judge, scores)
        found = replace(found, seed=of_seeds.seed, residual=of_seeds.residual, num_seeds=of_seeds.num_seeds)
    else:
        found = _spread(moved, scores)
    return Estimate(
        value=value,
        is_difference=scores.is_difference,
        spread=_adjusted(found, moved, of_labels, scores, tuning, means),
        seed_values=tuple((tuning * judge.mean(axis=1) + correction).tolist()),
    )


def _people_per_judge(scores: LabelledScores) -> float:
    """How much more the labels vary over items than the judge's scores of the same items; at least 1."""
    inside = scores.is_labelled
    of_judge = float(scores.judge_means[inside].std())
    return max(1.0, float(scores.people_means[inside].std()) / of_judge) if of_judge > 0 else 1.0


def _spread(values: Floats, scores: LabelledScores) -> Spread:
    weights = np.ones(values.shape[1])
    return spread_of(PairedDifferences(values=values, weights=weights, groups=scores.groups), is_adjusted=False)


def _weighted(values: Floats, scores: LabelledScores, number: int) -> float:
    """The mean over a stratum's labelled items."""
    inside = scores.strata == number
    return float(np.average(values[inside], weights=scores.weights[inside]))


def _influence_of_labels(scores: LabelledScores, means: Floats, tuning: float) -> Floats:
    """(S, I): how each label changes the correction, times S * I; their mean is 0.

    Args:
        means: (H,): of what the judge does not explain, by stratum.
    """
    num_seeds, num_items = scores.judge.shape
    known = ~np.isnan(scores.people)
    left = np.where(known, scores.people - tuning * scores.judge, 0.0)
    found = np.zeros_like(left)
    for number, size in enumerate(scores.sizes):
        inside = scores.strata == number
        count = int(inside.sum())
        weights = num_items * size * scores.weights[inside] / scores.weights[inside].sum()
        per_seed = num_seeds / known[:, inside].sum(axis=0)
        # strata differ by chance only as all items do, not as the labelled ones do
        between = np.sqrt(min(1.0, count / (num_items * size))) * (means[number] - scores.sizes @ means)
        within = (left[:, inside] - means[number]) * np.sqrt(count / max(count - 1, 1))
        found[:, inside] = np.where(known[:, inside], weights * per_seed * (within + between), 0.0)
    return found


def _adjusted(
    found: Spread, moved: Floats, of_labels: Floats, scores: LabelledScores, tuning: float, means: Floats
) -> Spread:
    """The squared errors with the degrees of freedom of the labels, and with labels that were possible but did not
    occur: if most differences are zero, the few others say little about the variance (see `intervals._unseen`).
    """
    if found.num_items < 2:
        return found
    num_units = found.num_items
    unit = np.arange(len(scores.strata)) if scores.groups is None else scores.groups
    labelled = np.unique(unit[scores.is_labelled])
    number = len(labelled)
    sums = np.bincount(unit, weights=of_labels.mean(axis=0), minlength=num_units)
    all_sums = np.bincount(unit, weights=moved.mean(axis=0), minlength=num_units)
    of_labelled = float((sums**2).sum()) / scores.judge.shape[1] ** 2
    rest = np.delete(all_sums, labelled)
    of_others = float((rest**2).sum()) / scores.judge.shape[1] ** 2
    shares = scores.weights / scores.weights.sum()
    effective = number / (len(scores.strata[scores.is_labelled]) * float((shares**2).sum()))
    freedom = max(1.0, effective - len(scores.sizes) - 1)
    total = of_labelled + of_others
    if total > 0:
        freedom = total**2 / (of_labelled**2 / freedom + of_others**2 / max(float(found.item_freedom), 1.0))
    found = replace(found, item=found.item + _between_strata(scores, tuning, means, of_labelled))
    ties, size = _ties(scores)
    unseen = 2 * ties * (size / number**2 - of_labelled / (number - 1 + 2 * ties))
    return replace(found, item=found.item + max(unseen, 0.0), freedom=freedom)


def _between_strata(scores: LabelledScores, tuning: float, means: Floats, least: float) -> float:
    """What is missing in the squared error, because the labels of a stratum stand for its other items too.

    Where a stratum's scores are high and its corrections low, the two cancel out in all its items.

    Args:
        means: (H,): of what the judge does not explain.
        least: squared error of the labels; the correction does not take away more than half of it.
    """
    if len(scores.sizes) == 1 or scores.groups is not None:
        return 0.0
    num_items = scores.judge.shape[1]
    counts = np.bincount(scores.strata[scores.is_labelled], minlength=len(scores.sizes))
    kept = np.sqrt(np.minimum(1.0, counts / (num_items * scores.sizes)))
    judged = np.array([_weighted(scores.judge_means, scores, number) for number in range(len(scores.sizes))])
    moved = (means - scores.sizes @ means) * (judged - scores.judge.mean())
    found: float = 2 * tuning * float(scores.sizes @ ((1 - kept) * moved)) / (num_items - 1)
    return max(found, -least / 2)


def _ties(scores: LabelledScores) -> tuple[float, float]:
    """Share of labelled items that are tied, and the mean square of the others."""
    people = scores.people_means[scores.is_labelled]
    if np.ptp(people) == 0:
        return 1.0, SCALE**2
    if not scores.is_difference:
        return 0.0, 0.0
    return float((people == 0).mean()), float((people[people != 0] ** 2).mean())
