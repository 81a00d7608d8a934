"""A judge's mean, or a comparison of arms, corrected by people's labels, with how judge and people agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sftframe.analysis.agreement import Agreement, LabelledAnswer, agreement
from sftframe.analysis.intervals import components_of, holm, sign_flip
from sftframe.analysis.label_files import AnsweredArms, MatchedLabels, PeopleLabels, match_labels
from sftframe.analysis.labels import (
    EVERYTHING,
    FEW_LABELS,
    LEAST_LABELS,
    SCALE,
    Corrected,
    Design,
    Estimate,
    LabelledScores,
    corrected,
    estimate,
    labelled_scores,
    power_tuning,
)
from sftframe.analysis.pairs import (
    ArmScores,
    ArmSummary,
    CommonScores,
    Comparison,
    ComparisonTable,
    Grouping,
    Missing,
    PairedDifferences,
    Scores,
    SignFlip,
    VerdictKind,
    common_scores,
)
from sftframe.analysis.verdicts import ALPHA, Adjust, explain, verdict_of
from sftframe.errors import DataError
from sftframe.records import JudgeItem

JudgeScores = Mapping[str, Mapping[int, Mapping[int, float | None]]]
"""Arm to seed to item to the judge's score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedMean:
    """What people's labels say of one set of answers that a judge scored."""

    mean: Corrected
    agreement: Agreement
    notes: tuple[str, ...]
    """What was left out or is rough, one line each."""


def correct_mean(
    items: Sequence[JudgeItem],
    scores: Mapping[int, float | None],
    labels: PeopleLabels,
    *,
    name: str = "the answers",
    groups: Mapping[int, str] | None = None,
) -> CorrectedMean:
    """The mean of a judge's scores, corrected.

    Args:
        scores: by item; None = the judge gave none, and the item is left out.
        name: of the answers, for messages.
        groups: by item its group; items of one group are one unit.

    Raises:
        DataError: the labels are of other answers, or too few.
    """
    only = 0
    arms = {name: {only: items}}
    matched = match_labels(labels, arms)
    known = {item.index: score for item in items if (score := scores.get(item.index)) is not None}
    if not known:
        raise DataError(f"{name}: the judge gave no scores, so there is nothing to correct")
    found = labelled_scores({only: known}, matched.scores[name], design=matched.design, groups=groups)
    mean = corrected(found)
    return CorrectedMean(
        mean=mean,
        agreement=agreement_of(matched, arms, {name: {only: scores}}, groups),
        notes=(*matched.notes, *few_labels(mean.num_labels)),
    )


def agreement_of(
    matched: MatchedLabels, arms: AnsweredArms, scores: JudgeScores, groups: Mapping[int, str] | None = None
) -> Agreement:
    """How judge and people agree on all answers that have both a score and a label."""
    labels = matched.labels
    return agreement(
        list(_labelled_answers(matched, arms, scores)),
        is_binary=labels.is_binary,
        num_people=labels.num_people,
        num_twice=labels.num_twice,
        alpha=labels.alpha,
        groups=groups,
    )


def _labelled_answers(matched: MatchedLabels, arms: AnsweredArms, scores: JudgeScores) -> Iterator[LabelledAnswer]:
    for arm, runs in arms.items():
        for seed, items in runs.items():
            for item in items:
                label, score = matched.scores[arm][seed].get(item.index), scores[arm][seed].get(item.index)
                if label is not None and score is not None:
                    yield LabelledAnswer(arm=arm, index=item.index, length=len(item.answer), judge=score, people=label)


def few_labels(number: int) -> list[str]:
    """A note if the interval is rough."""
    if number >= FEW_LABELS:
        return []
    return [f"only {number} items have labels: the interval is wide, and rough below {FEW_LABELS}; label more"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedArms:
    """Arms compared by people's labels and the judge's scores together."""

    table: ComparisonTable
    pairs: Mapping[str, Corrected]
    """By candidate its difference to the baseline, with what the judge and the labels say alone."""


def compare_labelled(
    scores: Scores,
    people: Mapping[str, Mapping[int, Mapping[int, float]]],
    *,
    design: Design = EVERYTHING,
    baseline: str | None = None,
    margin: float | None = None,
    equal_answers: Mapping[str, float] | None = None,
    adjust: Adjust = holm,
    groups: Mapping[int, str] | None = None,
) -> CorrectedArms:
    """Compare every arm with the baseline by the judge's scores, corrected by people's labels.

    A label counts in a comparison if the other arm's answer to the same item in the same seed has one too. lambda is
    estimated once for all comparisons.

    Args:
        scores: of the judge, as for `compare_arms`.
        people: arm to seed to item to label, 0-100.
        design: how the labelled items were drawn.
        baseline, margin, equal_answers, adjust, groups: as for `compare_arms`.

    Raises:
        DataError: an arm has too few items that are labelled in the baseline too.
    """
    common = common_scores(scores, needs_items=False)
    first = baseline or common.names[0]
    pairs = {
        name: _Pair.of(scores, people, (first, name), design, groups or {}) for name in common.names if name != first
    }
    tuning = power_tuning([pair.scores for pair in pairs.values()])
    found = {name: estimate(pair.scores, tuning) for name, pair in pairs.items()}
    p_values = [one.p_value() for one in found.values()]
    equivalences = [margin and one.equivalence_p_value(margin) for one in found.values()]
    tests = zip(p_values, adjust(p_values), adjust(equivalences), strict=True)
    corrections = {name: corrected(pair.scores, tuning=tuning) for name, pair in pairs.items()}
    comparisons = [
        _comparison(
            pairs[name],
            found[name],
            corrections[name],
            *test,
            margin=margin,
            is_equal=(equal_answers or {}).get(name) == 1,
        )
        for name, test in zip(pairs, tests, strict=True)
    ]
    arms = [
        _arm(name, missing, scores[name], people, common, design, tuning, groups or {})
        for name, missing in zip(common.names, common.num_missing_items, strict=True)
    ]
    table = ComparisonTable(
        arms=tuple(arms),
        comparisons=tuple(comparisons),
        seeds=common.seeds,
        items=common.items,
        num_dropped_items=common.num_dropped_items,
        num_dropped_seeds=common.num_dropped_seeds,
        direction="higher",
    )
    return CorrectedArms(table=table, pairs=corrections)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two arms on the items and seeds that the judge scored in both."""

    names: tuple[str, str]
    common: CommonScores
    scores: LabelledScores

    @classmethod
    def of(
        cls,
        scores: Scores,
        people: Mapping[str, Mapping[int, Mapping[int, float]]],
        names: tuple[str, str],
        design: Design,
        groups: Mapping[int, str],
    ) -> _Pair:
        baseline, candidate = names
        common = common_scores({name: scores[name] for name in names})
        differences = {
            seed: dict(zip(common.items, (common.values[1, place] - common.values[0, place]).tolist(), strict=True))
            for place, seed in enumerate(common.seeds)
        }
        labels = {
            seed: {
                item: label - people[baseline][seed][item]
                for item, label in people[candidate].get(seed, {}).items()
                if item in people[baseline].get(seed, {})
            }
            for seed in common.seeds
        }
        what = f"a label of {baseline} and of {candidate}"
        found = labelled_scores(differences, labels, design=design, groups=groups, is_difference=True, what=what)
        return cls(names=names, common=common, scores=found)


def _comparison(
    pair: _Pair,
    found: Estimate,
    correction: Corrected,
    p: float | None,
    p_holm: float | None,
    p_equivalence: float | None,
    *,
    margin: float | None,
    is_equal: bool,
) -> Comparison:
    verdict = verdict_of(found.value, p_holm, p_equivalence, "higher")
    missing = _missing(pair, found, verdict, p, p_holm, margin)
    if missing is not None and missing.changes_verdict:
        verdict = "cannot tell"
    if is_equal and missing is None and not pair.scores.judge.any():
        verdict = "identical"
    interval, narrow = found.interval(1 - ALPHA), found.interval(1 - 2 * ALPHA)
    labels = pair.scores.people_means[pair.scores.is_labelled]
    groups = pair.scores.groups
    grouping = groups if groups is None else _grouping(groups)
    explanation = explain(
        verdict=verdict,
        names=pair.names,
        difference=found.value,
        interval=narrow if verdict == "equivalent" else interval,
        is_significant_alone=p is not None and p < ALPHA,
        margin=margin,
        needed=None,
        covers=interval.covers if interval else None,
        unit=UNIT,
        num_items=pair.scores.judge.shape[1],
        missing=missing,
        grouping=grouping,
        settles=_more_labels(correction),
    )
    return Comparison(
        baseline=pair.names[0],
        candidate=pair.names[1],
        difference=found.value,
        interval=interval,
        p_value=p,
        p_holm=p_holm,
        sign_flip=_sign_flip(pair.scores),
        margin=margin,
        p_equivalence=p_equivalence,
        equivalence_interval=narrow,
        verdict=verdict,
        explanation=str(replace(explanation, comments=(*explanation.comments, _alone(correction)))),
        comments=explanation.comments,
        needed=None,
        minimum_detectable=None,
        components=components_of(found.spread),
        num_better=int((labels > 0).sum()),
        num_worse=int((labels < 0).sum()),
        num_tied=int((labels == 0).sum()),
        num_items=pair.scores.judge.shape[1],
        num_seeds=pair.scores.judge.shape[0],
        missing=missing,
        grouping=grouping,
        seed_differences=found.seed_values,
    )


UNIT = "points of 100"


def _grouping(groups: NDArray[np.intp]) -> Grouping:
    return Grouping(
        num_groups=int(groups.max()) + 1,
        largest=int(np.bincount(groups).max()),
        effective_items=None,
        half_width=None,
        half_width_ungrouped=None,
    )


def _more_labels(correction: Corrected) -> str:
    return (
        f"More labels make the interval narrower, down to about ±{correction.half_width_of_all:.2g} points if all "
        f"{correction.num_items:,} items had one."
    )


def _alone(correction: Corrected) -> str:
    """What the two sources say by themselves."""
    interval = correction.labels_alone_interval
    bounds = f" (95 % interval {interval.low:+.3g} to {interval.high:+.3g})" if interval else ""
    return (
        f"People labelled {correction.num_labels:,} of the {correction.num_items:,} items; their labels alone say "
        f"{correction.labels_alone:+.3g} points{bounds}, the judge alone {correction.judge_alone:+.3g}."
    )


def _missing(
    pair: _Pair, found: Estimate, verdict: VerdictKind, p: float | None, p_holm: float | None, margin: float | None
) -> Missing | None:
    """The worst case for items without a score of the judge: as far apart as the scale allows, either way."""
    if not any(pair.common.num_missing_items):
        return None
    num_items = len(pair.common.items) + pair.common.num_dropped_items
    share = pair.common.num_dropped_items / num_items
    factor = p_holm / p if p and p_holm else 1.0
    ends, verdicts = [], []
    for end in (-SCALE, SCALE):
        moved = replace(
            found, value=(1 - share) * found.value + share * end, spread=found.spread.scaled((1 - share) ** 2)
        )
        raw = (moved.p_value(), margin and moved.equivalence_p_value(margin))
        adjusted = [None if one is None else min(1.0, factor * one) for one in raw]
        ends.append(moved.value)
        verdicts.append(verdict_of(moved.value, adjusted[0], adjusted[1], "higher"))
    return Missing(
        in_baseline=pair.common.num_missing_items[0],
        in_candidate=pair.common.num_missing_items[1],
        num_items=num_items,
        low=ends[0],
        high=ends[1],
        changes_verdict=verdict != "cannot tell" and any(one != verdict for one in verdicts),
    )


def _sign_flip(scores: LabelledScores) -> SignFlip:
    """Of the labels alone."""
    inside = scores.is_labelled
    labels = scores.people_means[inside][None]
    groups = None if scores.groups is None else np.unique(scores.groups[inside], return_inverse=True)[1]
    return sign_flip(PairedDifferences(values=labels, weights=np.ones(labels.shape[1]), groups=groups))


def _arm(
    name: str,
    num_missing: int,
    scores: ArmScores,
    people: Mapping[str, Mapping[int, Mapping[int, float]]],
    common: CommonScores,
    design: Design,
    tuning: float,
    groups: Mapping[int, str],
) -> ArmSummary:
    """An arm's corrected mean on its own items, with the labels that all arms have if these are enough."""
    alone = common_scores({name: {seed: scores[seed] for seed in common.seeds}, f"{name} again": scores})
    judge = {
        seed: dict(zip(alone.items, alone.values[0, place].tolist(), strict=True))
        for place, seed in enumerate(common.seeds)
    }
    shared = {
        seed: {
            item: label
            for item, label in people[name].get(seed, {}).items()
            if item in judge[seed] and all(item in people[other].get(seed, {}) for other in common.names)
        }
        for seed in common.seeds
    }
    number = len({item for own in shared.values() for item in own})
    labels = shared if number >= LEAST_LABELS else people[name]
    found = estimate(labelled_scores(judge, labels, design=design, groups=groups), tuning)
    return ArmSummary(name=name, mean=found.value, seed_means=found.seed_values, num_missing_items=num_missing)
