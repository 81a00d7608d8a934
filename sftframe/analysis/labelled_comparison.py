"""A comparison of runs whose verdict comes from the judge's scores and people's labels together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from sftframe.analysis.compare import (
    AxisLevels,
    AxisTable,
    ComparisonResult,
    PeopleFindings,
    axis_levels,
)
from sftframe.analysis.corrections import CorrectedArms, agreement_of, compare_labelled, few_labels
from sftframe.analysis.intervals import holm
from sftframe.analysis.label_files import DrawnItem, MatchedLabels, PeopleLabels, draw_items, match_labels
from sftframe.analysis.pairs import ComparisonTable, Scores
from sftframe.analysis.runs import groups_of
from sftframe.analysis.verdicts import Adjust
from sftframe.analysis.yardsticks import Yardstick
from sftframe.errors import ConfigError, DataError
from sftframe.records import AnsweredItem

KEY = "judge_and_people"
"""Key of the corrected yardstick."""


def with_labels(result: ComparisonResult, labels: PeopleLabels) -> ComparisonResult:
    """The same comparison with a further yardstick, which the verdict is about: the judge corrected by people.

    Raises:
        ConfigError: the verdict is about another yardstick than the judge's score.
        DataError: the labels are of other answers, or an arm has too few.
    """
    judged = result.main
    if judged.yardstick.key != "judge":
        raise ConfigError(
            f"people's labels correct the judge's score, but the yardstick is {judged.yardstick.key}: leave out "
            "--yardstick or --labels"
        )
    arms = {arm.name: {seed: run.items for seed, run in arm.runs.items()} for arm in result.arms}
    matched = match_labels(labels, arms)
    scores = _judged(arms)
    groups = groups_of(result.arms)
    found = compare_labelled(
        scores,
        matched.scores,
        design=matched.design,
        baseline=result.baseline,
        margin=judged.margin or None,
        equal_answers={one.candidate: 1.0 for one in judged.table.comparisons if one.verdict == "identical"},
        groups=groups,
    )
    num_labels = min(pair.num_labels for pair in found.pairs.values())
    yardstick = _yardstick(judged.yardstick, num_labels, len(found.table.items), result.arms[0].any_run().judge)
    table = replace(judged, yardstick=yardstick, table=found.table)
    axes, about_axes = _axes(result, scores, matched, groups)
    return replace(
        result,
        main=table,
        tables=(table, *result.tables),
        axes=axes,
        notes=(*result.notes, *_about_cautions(result), *matched.notes, *few_labels(num_labels), *about_axes),
        people=PeopleFindings(
            agreement=agreement_of(matched, arms, scores, groups), pairs=found.pairs, judged=judged.table
        ),
    )


def draw_for_labels(result: ComparisonResult, number: int, *, seed: int = 0) -> list[DrawnItem]:
    """Items of a comparison for people to label, see `draw_items`."""
    arms = {arm.name: {one: run.items for one, run in arm.runs.items()} for arm in result.arms}
    return draw_items(arms, _judged(arms), number, seed=seed)


def _judged(arms: Mapping[str, Mapping[int, Sequence[AnsweredItem]]]) -> Scores:
    return {
        name: {seed: {item.index: item.score for item in items} for seed, items in runs.items()}
        for name, runs in arms.items()
    }


def _about_cautions(result: ComparisonResult) -> list[str]:
    if not result.cautions:
        return []
    return ["what the judge warns of is corrected by the labels; the warning holds for its scores alone"]


def _yardstick(judged: Yardstick, num_labels: int, num_items: int, judge: str) -> Yardstick:
    return replace(
        judged,
        key=KEY,
        label="Judge's score, corrected by people's labels",
        short_label="judge + people",
        meaning="What people would say of all answers, 0-100: scores of the judge, corrected. Higher is better.",
        decided_by=f"people's labels of {num_labels:,} of {num_items:,} items and the scores of {judge or 'the judge'}",
    )


def _axes(
    result: ComparisonResult, scores: Scores, matched: MatchedLabels, groups: Mapping[int, str]
) -> tuple[tuple[AxisTable, ...], list[str]]:
    """The corrected axes, or none with a note if too few items are labelled in all arms of an axis."""
    levels = {axis.axis: axis for axis in axis_levels(result.settings)} if result.axes else {}

    def tables(adjust: Adjust) -> list[AxisTable]:
        return [
            replace(axis, table=_axis(axis.table, levels[axis.axis], scores, matched, groups, result, adjust).table)
            for axis in result.axes
        ]

    try:
        alone = [axis.table.comparisons for axis in tables(lambda values: values)]
        found = [
            iter(holm([getattr(one, kind) for comparisons in alone for one in comparisons]))
            for kind in ("p_value", "p_equivalence")
        ]
        turns = itertools.cycle(found)  # every table asks for its p values first, then for those of equivalence
        return tuple(tables(lambda values: list(itertools.islice(next(turns), len(values))))), []
    except DataError:
        return (), ["the verdict is arm by arm: too few items have a label in every arm to average over settings"]


def _axis(
    judged: ComparisonTable,
    levels: AxisLevels,
    scores: Scores,
    matched: MatchedLabels,
    groups: Mapping[int, str],
    result: ComparisonResult,
    adjust: Adjust,
) -> CorrectedArms:
    """The values of an axis, averaged over the arms of each."""
    people = {value: _averaged([matched.scores[name] for name in names]) for value, names in levels.arms.items()}
    return compare_labelled(
        {value: _averaged([scores[name] for name in names]) for value, names in levels.arms.items()},
        people,
        design=matched.design,
        baseline=judged.comparisons[0].baseline,
        margin=result.main.margin or None,
        adjust=adjust,
        groups=groups,
    )


def _averaged(arms: Sequence[Mapping[int, Mapping[int, float | None]]]) -> dict[int, dict[int, float]]:
    """Mean over arms per seed and item, where all have a value."""
    seeds = set.intersection(*(set(arm) for arm in arms))
    found: dict[int, dict[int, float]] = {}
    for seed in sorted(seeds):
        found[seed] = {}
        for item in arms[0][seed]:
            values = [value for arm in arms if (value := arm[seed].get(item)) is not None]
            if len(values) == len(arms):
                found[seed][item] = fmean(values)
    return found
