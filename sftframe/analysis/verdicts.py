"""A verdict on every arm: better, worse, equivalent or not known yet, with the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sftframe.analysis.intervals import (
    components_of,
    confidence_interval,
    coverage,
    equivalence_p_value,
    grouping,
    holm,
    p_value,
    sign_flip,
    spread_of,
    variance_components,
)
from sftframe.analysis.looks import Correction, Looks, information
from sftframe.analysis.pairs import (
    ArmScores,
    ArmSummary,
    CommonScores,
    Comparison,
    ComparisonTable,
    Coverage,
    Direction,
    Grouping,
    Interval,
    Missing,
    Needed,
    PairedDifferences,
    Scores,
    VerdictKind,
    common_scores,
    differences,
    group_numbers,
)
from sftframe.analysis.planning import minimum_detectable_difference, needed_to_settle, worth_of_more
from sftframe.errors import ConfigError, suggestion
from sftframe.formatting import groups_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A verdict in sentences."""

    said: str
    """With its figures."""
    comments: tuple[str, ...] = ()
    """Missing scores, and what would settle it."""
    limits: tuple[str, ...] = ()
    """Groups of items, and what it does not cover."""

    def __str__(self) -> str:
        return " ".join([self.said, *self.comments, *self.limits])


def explain(
    *,
    verdict: VerdictKind,
    names: tuple[str, str],
    difference: float,
    interval: Interval | None,
    is_significant_alone: bool,
    margin: float | None,
    needed: Needed | None,
    covers: Coverage | None,
    unit: str,
    num_items: int = 0,
    missing: Missing | None = None,
    grouping: Grouping | None = None,
    settles: str = "",
    is_about_answers: bool = True,
    looks: Looks | None = None,
) -> Explanation:
    """The verdict with its figures, what would settle it, and what it does not cover.

    With one seed the sentence is about the answers, or the runs, since another seed could give others.

    Args:
        interval: the one that decided: at level 0.90 for `equivalent`, else at 0.95.
        settles: what would settle it, instead of `needed`.
        is_about_answers: False where scores are of something else, as likelihoods are.
        looks: if there are others than the present one.
    """
    baseline, candidate = names
    figures = f"{_number(difference, unit)}"
    if interval is not None:
        figures += f", {100 * interval.level:.0f} % interval {interval.low:+.3g} to {interval.high:+.3g}"
        if looks is not None and looks.is_corrected:
            figures += " for all looks together"
    if covers == "items":
        if is_about_answers:
            one, other, are, differ = f"The answers of {candidate}", f"those of {baseline}", "are", "differ"
        else:
            one, other, are, differ = f"The one run of {candidate}", f"that of {baseline}", "is", "differs"
    else:
        one, other, are, differ = candidate, baseline, "is", "differs"
    said = {
        "better": f"{one} {are} better than {other} ({figures}).",
        "worse": f"{one} {are} worse than {other} ({figures}).",
        "different": f"{one} {differ} from {other} ({figures}).",
        "equivalent": f"{one} and {other} are equivalent within ±{margin or 0:g} ({figures}).",
        "identical": f"{candidate} and {baseline} are identical: the same answers to all {num_items} items.",
        "cannot tell": f"Cannot tell {candidate} from {baseline} ({figures}).",
    }[verdict]
    comments = [_missing(missing, names, verdict, unit)] if missing else []
    if verdict == "cannot tell" and not (missing and missing.changes_verdict):
        if is_significant_alone:
            comments.append("Alone it would count as a difference, but not among so many arms.")
        if looks is not None and looks.is_corrected and looks.next is not None:
            comments.append(f"The next look is at {looks.next} seeds.")
        elif covers in ("items", "items and seeds"):
            comments.append(settles or _settle(needed, margin))
    limits = []
    if verdict != "identical":
        limits = [
            _grouped(grouping, num_items),
            _limits(covers, is_one_group=grouping is not None and grouping.num_groups == 1),
            f"{looks.uncorrected[:1].upper()}{looks.uncorrected[1:]}." if looks and looks.uncorrected else "",
        ]
    return Explanation(said=said, comments=tuple(comments), limits=tuple(limit for limit in limits if limit))


def _missing(missing: Missing, names: tuple[str, str], verdict: VerdictKind, unit: str) -> str:
    baseline, candidate = names
    counts = ((missing.in_candidate, candidate), (missing.in_baseline, baseline))
    where = " and ".join(f"{count} in {name}" for count, name in counts if count)
    told = f"Of {missing.num_items} items some have no score and are left out: {where}"
    if missing.low is None or missing.high is None:
        return f"{told}."
    ends = f"{missing.low:+.3g} to {missing.high:+.3g} {unit}".rstrip()
    told += f"; with the worst and the best scores for them the difference would be {ends}"
    if missing.changes_verdict:
        return f"{told}, so they decide: score them, then compare again."
    return f"{told}." if verdict == "cannot tell" else f"{told}, which leaves the verdict as it is."


def _number(value: float, unit: str) -> str:
    return f"{value:+.3g} {unit}".rstrip()


def _settle(needed: Needed | None, margin: float | None) -> str:
    """How much more is needed, how sure that is, and what is meant by settled."""
    settled = f"show a difference, or that it is within ±{margin:g}" if margin else "show a difference"
    if needed is None:
        told = f"No number of items or seeds in reach would settle it with a chance of {POWER:.0%}: {settled}."
    else:
        ways = [_more_of(*way) for way in ((needed.items or 0, 0), (0, needed.seeds or 0)) if any(way)]
        if needed.both is not None:
            together = _more_of(*needed.both)
            what = f"{together}, or {' or '.join(ways)} alone," if ways else together
            what = f"about {what}" if ways else f"neither more items nor more seeds alone: about {what}"
        else:
            what = f"about {' or '.join(ways)}"
        what = f"{what[0].upper()}{what[1:]}"
        chance = f"{needed.power:.0%}{_range(needed)}"
        told = f"{what}{_in_groups(needed)} would settle it with a chance of {chance}: {settled}."
    if margin:
        return told
    return f"{told} If there is none, only a margin can settle it: say which difference matters to you."


def _range(needed: Needed) -> str:
    """What other truths would need, in the order of the plan."""
    if needed.low is None:
        return ""
    low, high = (
        "more than is in reach" if way is None else " and ".join(f"{count:,}" for count in way if count)
        for way in (needed.low, needed.high)
    )
    return f" (from {low} to {high}, depending on what is true)"


def _in_groups(needed: Needed) -> str:
    """Of what size the planned groups are; empty without groups."""
    if needed.group_size == 1 or not (needed.items or needed.both):
        return ""
    return f" (items in new groups of {needed.group_size:.2g} on average)"


def _more_of(items: int, seeds: int) -> str:
    """Numbers of what is added, with their noun: `40 more items together with 1 more seed`."""
    counts = ((items, "item"), (seeds, "seed"))
    return " together with ".join(f"{count:,} more {noun}{'s' * (count != 1)}" for count, noun in counts if count)


def _grouped(grouping: Grouping | None, num_items: int) -> str:
    """That groups of items are the units, and what this costs."""
    if grouping is None or grouping.num_groups == 1:
        return ""
    told = f"The {num_items:,} items are in {groups_text(grouping.num_groups, grouping.effective_items)}"
    if grouping.effective_items is None or grouping.widening is None or grouping.widening < _WORTH_TELLING:
        return f"{told}."
    return f"{told}, so the interval is {grouping.widening:.2g} times as wide."


_WORTH_TELLING = 1.05
"""A smaller widening of the interval is not told."""


def _limits(covers: Coverage | None, *, is_one_group: bool = False) -> str:
    if is_one_group:
        seeds = "this speaks of other seeds only" if covers else "with one seed nothing can be said about chance"
        return f"All items are of one group, so there is no interval over items: {seeds}."
    if covers == "items":
        return "One seed: this speaks of other items only; how much another seed would change it is unknown."
    if covers == "seeds":
        return "One item: this speaks of other seeds only."
    return "" if covers else "One item and one seed: nothing can be said about chance."


ALPHA = 0.05
POWER = 0.8
SMALLEST_LEVEL = 1e-12
"""Of an interval at a look that has next to nothing of alpha."""

Adjust = Callable[[Sequence[float | None]], Sequence[float | None]]
"""Adjusts the p values of several tests; None = not tested."""


def compare_arms(
    scores: Scores,
    *,
    baseline: str | None = None,
    direction: Direction = "higher",
    margin: float | None = None,
    weights: Mapping[int, float] | None = None,
    score_range: float | None = None,
    judge_variance: float | None = None,
    unit: str = "",
    labels: Mapping[str, str] | None = None,
    equal_answers: Mapping[str, float] | None = None,
    adjust: Adjust = holm,
    groups: Mapping[int, str] | None = None,
    is_about_answers: bool = True,
    looks: Looks | None = None,
) -> ComparisonTable:
    """Compare every arm with the baseline.

    Args:
        scores: arm to seed to item to score. Arms with the same seed count as paired.
        baseline: the first arm unless named.
        direction: which scores are better.
        margin: smaller differences do not matter; without a margin nothing is called equivalent.
        weights: denominators by item, if the scores are numerators of a ratio of sums (bytes, for NLL per byte).
        score_range: largest possible difference: 100 for a judge's scores, 1 for shares, None without bound.
        judge_variance: of one score, from `analysis.judge_variance`.
        unit: of the scores, for the explanations: `points`.
        labels: names of arms in the explanations, if the arm's own name says too little.
        equal_answers: by candidate the share of answers, 0-1, that are the baseline's to the letter. Equal answers have
            one verdict of the judge, so they add no noise to a difference; 1 with equal scores is called identical.
        adjust: p values for the number of tests; by default Holm's, over the arms of this table.
        groups: by item its group. Items of one group are one unit; an item without one, or with an empty one, is a unit
            of its own.
        is_about_answers: for the explanations; False where scores are of something else, as likelihoods are.
        looks: the looks so far, the last with all these seeds. Planned looks are allowed for: intervals, p values and
            verdicts hold for all looks together. It is said if looks were not planned.

    Raises:
        ConfigError: an unknown baseline, fewer than two arms, a margin that is not positive.
        DataError: all arms share no seed or no item, an infinite score, a bad weight.
    """
    common = common_scores(scores, weights, needs_items=False)
    first = _position(common.names, baseline)
    if margin is not None and not 0 < margin < np.inf:
        raise ConfigError(f"the margin is {margin}; expected a positive difference, in the unit of the scores")
    question = _Question(
        direction=direction,
        margin=margin,
        score_range=score_range,
        judge_variance=judge_variance,
        unit=unit,
        labels=labels or {},
        equal_answers=equal_answers or {},
        adjust=adjust,
        groups=groups or {},
        is_about_answers=is_about_answers,
        looks=looks,
    )
    return ComparisonTable(
        arms=tuple(
            _arm(name, scores[name], common.seeds, weights, missing)
            for name, missing in zip(common.names, common.num_missing_items, strict=True)
        ),
        comparisons=_comparisons(scores, common.names, first, weights, question),
        seeds=common.seeds,
        items=common.items,
        num_dropped_items=common.num_dropped_items,
        num_dropped_seeds=common.num_dropped_seeds,
        direction=direction,
    )


def verdict_of(
    difference: float, p_difference: float | None, p_equivalence: float | None, direction: Direction
) -> VerdictKind:
    """The rule: equivalent if that is shown, else better or worse if a difference is shown, else `cannot tell`.

    A difference that is shown to be smaller than the margin does not matter, even if it is certain.

    >>> verdict_of(3.0, 0.01, None, "higher")
    'better'
    >>> verdict_of(3.0, 0.2, 0.3, "higher")
    'cannot tell'
    """
    if p_equivalence is not None and p_equivalence < ALPHA:
        return "equivalent"
    if p_difference is None or p_difference >= ALPHA:
        return "cannot tell"
    if direction == "none":
        return "different"
    return "better" if (difference > 0) == (direction == "higher") else "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """The arguments of `compare_arms` without the scores."""

    direction: Direction
    margin: float | None
    score_range: float | None
    judge_variance: float | None
    unit: str
    labels: Mapping[str, str]
    equal_answers: Mapping[str, float]
    adjust: Adjust
    groups: Mapping[int, str]
    is_about_answers: bool
    looks: Looks | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tests:
    """The p values of one pair, for all looks together."""

    p: float | None
    p_equivalence: float | None
    correction: Correction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two arms on the items and seeds that both have."""

    names: tuple[str, str]
    differences: PairedDifferences
    scores: tuple[ArmScores, ArmScores]
    common: CommonScores


def _comparisons(
    scores: Scores, names: Sequence[str], first: int, weights: Mapping[int, float] | None, question: _Question
) -> tuple[Comparison, ...]:
    """Each arm against the baseline, on the items of these two arms: what a third one lacks does not matter."""
    baseline = names[first]
    pairs = []
    for name in names:
        if name != baseline:
            own = {baseline: scores[baseline], name: scores[name]}
            common = common_scores(own, weights)
            pairs.append(
                _Pair(
                    names=(baseline, name),
                    differences=differences(common, 0, 1, question.groups),
                    scores=(scores[baseline], scores[name]),
                    common=common,
                )
            )
    tests = [_tests(pair.differences, _correction(pair, question.looks), question) for pair in pairs]
    p_values = question.adjust([test.p for test in tests])
    equivalences = question.adjust([test.p_equivalence for test in tests])
    return tuple(
        _comparison(pair, test, p, same, alpha=ALPHA / len(pairs), question=question)
        for pair, test, p, same in zip(pairs, tests, p_values, equivalences, strict=True)
    )


def _correction(pair: _Pair, looks: Looks | None) -> Correction | None:
    """What a look must allow for, from the seeds' and items' variance as each look so far saw them."""
    if looks is None or not looks.is_corrected:
        return None
    seeds, found = pair.common.seeds, pair.differences
    known, numbers = [], list[int]()
    for taken in looks.taken:
        rows = [row for row, seed in enumerate(seeds) if seed in taken]
        if len(rows) > max(numbers, default=0):
            numbers.append(len(rows))
            spread = spread_of(replace(found, values=found.values[rows]), is_adjusted=False)
            known.append(information(spread, numbers, looks.planned[-1]))
    return Correction(known=tuple(known)) if known else None


def _tests(pair: PairedDifferences, correction: Correction | None, question: _Question) -> _Tests:
    margin, score_range = question.margin, question.score_range
    p = p_value(pair, score_range=score_range)
    same = equivalence_p_value(pair, margin, score_range=score_range) if margin else None
    if correction is not None:
        p, same = correction.p(p), correction.one_sided_p(same)
    return _Tests(p=p, p_equivalence=same, correction=correction)


def _has_next(looks: Looks | None) -> bool:
    """Whether the next look, with its own level and number of seeds, is planned."""
    return looks is not None and looks.is_corrected and looks.next is not None


def _strict(correction: Correction | None, alpha: float) -> float:
    """The level of this look alone."""
    return alpha if correction is None else max(correction.level(alpha), SMALLEST_LEVEL)


def _interval(
    pair: PairedDifferences, correction: Correction | None, alpha: float, score_range: float | None
) -> Interval | None:
    """At level 1 - alpha; where looks are allowed for, it holds for all of them together."""
    if correction is None:
        return confidence_interval(pair, level=1 - alpha, score_range=score_range)
    found = confidence_interval(pair, level=1 - _strict(correction, alpha), score_range=score_range)
    return None if found is None else replace(found, level=1 - alpha)


def _comparison(
    of: _Pair,
    tests: _Tests,
    p_holm: float | None,
    p_equivalence: float | None,
    *,
    alpha: float,
    question: _Question,
) -> Comparison:
    """One pair's result.

    Args:
        alpha: for plans: Holm's strictest step, so that a plan does not depend on the other arms.
    """
    pair, names = of.differences, of.names
    equal = question.equal_answers.get(names[1], 0.0)
    verdict = verdict_of(pair.mean, p_holm, p_equivalence, question.direction)
    p, correction, score_range = tests.p, tests.correction, question.score_range
    missing = _missing_of(of, verdict, tests, p_holm, question)
    if missing is not None and missing.changes_verdict:
        verdict = "cannot tell"
    if equal == 1 and missing is None and not pair.values.any():
        verdict = "identical"
    interval = _interval(pair, correction, ALPHA, score_range)
    narrow = _interval(pair, correction, 2 * ALPHA, score_range)
    needed = _needed(pair, alpha, question) if verdict == "cannot tell" else None
    num_better, num_worse, num_tied = _counts(pair, question.direction)
    groups = grouping(pair, level=1 - ALPHA, score_range=question.score_range)
    explanation = explain(
        verdict=verdict,
        names=(question.labels.get(names[0], names[0]), question.labels.get(names[1], names[1])),
        difference=pair.mean,
        interval=narrow if verdict == "equivalent" else interval,
        is_significant_alone=p is not None and p < ALPHA,
        margin=question.margin,
        needed=needed,
        covers=coverage(*pair.units.values.shape),
        unit=question.unit,
        num_items=pair.values.shape[1],
        missing=missing,
        grouping=groups,
        is_about_answers=question.is_about_answers,
        looks=question.looks,
    )
    return Comparison(
        baseline=names[0],
        candidate=names[1],
        difference=pair.mean,
        interval=interval,
        p_value=p,
        p_holm=p_holm,
        sign_flip=sign_flip(pair),
        margin=question.margin,
        p_equivalence=p_equivalence,
        equivalence_interval=narrow,
        verdict=verdict,
        explanation=str(explanation),
        comments=explanation.comments,
        needed=needed,
        minimum_detectable=_detectable(pair, alpha, question),
        components=variance_components(
            pair, judge_variance=None if question.judge_variance is None else (1 - equal) * question.judge_variance
        ),
        num_better=num_better,
        num_worse=num_worse,
        num_tied=num_tied,
        num_items=pair.values.shape[1],
        num_seeds=pair.values.shape[0],
        missing=missing,
        grouping=groups,
        worth=worth_of_more(
            spread_of(pair, score_range=score_range), alpha=_strict(correction, ALPHA), group_size=pair.group_size
        )
        if interval is not None and verdict != "identical" and not _has_next(question.looks)
        else None,
        seed_differences=tuple(pair.values.mean(axis=1).tolist()),
        look=None if correction is None else correction.test(p_value(pair, score_range=score_range), pair.mean, ALPHA),
    )


def _missing_of(
    of: _Pair, verdict: VerdictKind, tests: _Tests, p_holm: float | None, question: _Question
) -> Missing | None:
    """What items without a score may hide: how the verdict is if they are as bad for one arm, then for the other, as
    the scale allows.
    """
    if not any(of.common.num_missing_items):
        return None
    num_items = len(of.common.items) + of.common.num_dropped_items
    missing = Missing(
        in_baseline=of.common.num_missing_items[0],
        in_candidate=of.common.num_missing_items[1],
        num_items=num_items,
        low=None,
        high=None,
        changes_verdict=False,
    )
    if question.score_range is None:
        return missing
    low, high = (
        _filled(of, *ends, question.groups) for ends in ((question.score_range, 0.0), (0.0, question.score_range))
    )
    factor = p_holm / tests.p if tests.p and p_holm else 1.0
    extremes = [_verdict_alone(pair, question, tests.correction, factor=factor) for pair in (low, high)]
    return replace(
        missing,
        low=low.mean,
        high=high.mean,
        changes_verdict=verdict != "cannot tell" and any(extreme != verdict for extreme in extremes),
    )


def _filled(of: _Pair, baseline: float, candidate: float, groups: Mapping[int, str]) -> PairedDifferences:
    """The differences on all items, with these scores where there is none."""
    items = sorted(set[int]().union(*(arm[seed] for arm in of.scores for seed in of.common.seeds)))
    cells = [
        [[_or(arm[seed].get(item), fill) for item in items] for seed in of.common.seeds]
        for arm, fill in zip(of.scores, (baseline, candidate), strict=True)
    ]
    one, other = np.array(cells)
    return PairedDifferences(values=other - one, weights=np.ones(len(items)), groups=group_numbers(items, groups))


def _or(score: float | None, fill: float) -> float:
    return fill if score is None or np.isnan(score) else float(score)


def _verdict_alone(
    pair: PairedDifferences, question: _Question, correction: Correction | None, *, factor: float
) -> VerdictKind:
    """The verdict on one pair; its p values are multiplied as Holm's adjustment did."""
    tests = _tests(pair, correction, question)
    p, same = (None if found is None else min(1.0, factor * found) for found in (tests.p, tests.p_equivalence))
    return verdict_of(pair.mean, p, same, question.direction)


def _needed(pair: PairedDifferences, alpha: float, question: _Question) -> Needed | None:
    if pair.units.values.shape[1] < 2:
        return None
    return needed_to_settle(
        pair.mean,
        spread_of(pair, score_range=question.score_range),
        margin=question.margin,
        alpha=alpha,
        power=POWER,
        group_size=pair.group_size,
    )


def _detectable(pair: PairedDifferences, alpha: float, question: _Question) -> float | None:
    num_seeds, num_items = pair.values.shape
    found = spread_of(pair, score_range=question.score_range)
    if found.num_items < 2:
        return None
    return minimum_detectable_difference(
        components_of(found, group_size=pair.group_size),
        num_items=num_items,
        num_seeds=num_seeds,
        alpha=alpha,
        power=POWER,
        item_freedom=float(found.item_freedom),
    )


def _counts(pair: PairedDifferences, direction: Direction) -> tuple[int, int, int]:
    means = pair.values.mean(axis=0) * (-1.0 if direction == "lower" else 1.0)  # (I,)
    return int((means > 0).sum()), int((means < 0).sum()), int((means == 0).sum())


def _arm(
    name: str, scores: ArmScores, seeds: Sequence[int], weights: Mapping[int, float] | None, num_missing: int
) -> ArmSummary:
    own = {seed: scores[seed] for seed in seeds}
    values = common_scores({name: own, f"{name} again": own}, weights).values[0]  # (S, I)
    return ArmSummary(
        name=name,
        mean=float(values.mean()),
        seed_means=tuple(values.mean(axis=1).tolist()),
        num_missing_items=num_missing,
    )


def _position(names: tuple[str, ...], baseline: str | None) -> int:
    if baseline is None:
        return 0
    if baseline not in names:
        raise ConfigError(f"no arm {baseline!r} to compare with{suggestion(baseline, names)}")
    return names.index(baseline)
