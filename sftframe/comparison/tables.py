"""Tables of arms on every yardstick: arm by arm, and value by value of each axis, averaged over the other axes.

All numbers come from `sftframe.statistics`; this module decides what is compared with what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sftframe.comparison.runs import ComparedArm
from sftframe.comparison.yardsticks import YARDSTICKS, Yardstick, scored
from sftframe.config import settings_in_words
from sftframe.errors import DataError
from sftframe.statistics import ComparisonTable, Scores, compare_arms


@dataclass(frozen=True, slots=True, kw_only=True)
class YardstickTable:
    """One yardstick: every arm against the baseline."""

    yardstick: Yardstick
    margin: float
    """In the yardstick's unit."""
    table: ComparisonTable
    num_unscored: Mapping[str, int]
    """Per arm: items without a score, summed over its seeds; they are left out in all arms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisTable:
    """One axis on the main yardstick: its values compared, averaged over all other choices."""

    axis: str
    table: ComparisonTable
    num_arms: Mapping[str, int]
    """How many arms were averaged per value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLevels:
    """The arms of each value of an axis, each group with the same other choices."""

    axis: str
    arms: Mapping[str, Sequence[str]]
    """Names of the arms by value."""


def compare_on_all_yardsticks(
    arms: Sequence[ComparedArm],
    *,
    baseline: str | None = None,
    margins: Mapping[str, float] | None = None,
    judge_variance: float | None = None,
) -> list[YardstickTable]:
    """A table for every yardstick for which all arms have scores.

    Args:
        baseline: the first arm unless named.
        margins: by yardstick key, instead of the yardstick's own margin.
        judge_variance: of one score of the judge, if it was measured.

    Raises:
        DataError: no common item or seed.
    """
    tables = []
    for yardstick in YARDSTICKS:
        scores = _scores(arms, yardstick)
        if not any(value is not None for arm in scores.values() for seed in arm.values() for value in seed.values()):
            continue  # never judged
        margin = (margins or {}).get(yardstick.key) or yardstick.margin_at(_baseline_mean(arms, yardstick, baseline))
        table = compare_arms(
            scores,
            baseline=baseline,
            direction=yardstick.direction,
            margin=margin or None,
            weights=_weights(arms, yardstick),
            score_range=yardstick.score_range,
            judge_variance=judge_variance if yardstick.key == "judge" else None,
            unit=yardstick.unit,
        )
        missing = {
            name: sum(value is None for seed in arm.values() for value in seed.values()) for name, arm in scores.items()
        }
        tables.append(YardstickTable(yardstick=yardstick, margin=margin, table=table, num_unscored=missing))
    if not tables:
        raise DataError("no arm has an answer with a measurement")
    return tables


def compare_levels(
    arms: Sequence[ComparedArm], levels: Sequence[AxisLevels], yardstick: Yardstick, margin: float
) -> list[AxisTable]:
    """The values of each axis, averaged over all other choices: the general effect of the axis."""
    scores, tables = _scores(arms, yardstick), []
    for axis in levels:
        averaged = {value: _averaged([scores[name] for name in names]) for value, names in axis.arms.items()}
        table = compare_arms(
            averaged,
            direction=yardstick.direction,
            margin=margin or None,
            weights=_weights(arms, yardstick),
            score_range=yardstick.score_range,
            unit=yardstick.unit,
            labels={value: settings_in_words({axis.axis: value}) for value in axis.arms},
        )
        num_arms = {value: len(names) for value, names in axis.arms.items()}
        tables.append(AxisTable(axis=axis.axis, table=table, num_arms=num_arms))
    return tables


def axis_levels(settings: Mapping[str, Mapping[str, Any]]) -> list[AxisLevels]:
    """The axes over which arms can be averaged: every value occurs with the same other choices.

    Args:
        settings: per arm its value by axis.

    >>> grid = {"a·x": {"p": "a", "c": "x"}, "a·y": {"p": "a", "c": "y"},
    ...         "b·x": {"p": "b", "c": "x"}, "b·y": {"p": "b", "c": "y"}}
    >>> [(axis.axis, dict(axis.arms)) for axis in axis_levels(grid)][0]
    ('p', {'a': ['a·x', 'a·y'], 'b': ['b·x', 'b·y']})
    """
    found = []
    for axis in dict.fromkeys(axis for own in settings.values() for axis in own):
        groups: dict[str, list[str]] = {}
        others: dict[str, set[str]] = {}
        for name, own in settings.items():
            value = str(own.get(axis, "–"))
            groups.setdefault(value, []).append(name)
            others.setdefault(value, set()).add(str({key: own[key] for key in own if key != axis}))
        is_balanced = len({frozenset(choices) for choices in others.values()}) == 1
        if len(groups) > 1 and is_balanced and len(settings) > len(groups):
            found.append(AxisLevels(axis=axis, arms=groups))
    return found


def _scores(arms: Sequence[ComparedArm], yardstick: Yardstick) -> Scores:
    """Score by arm, seed and item; an item without the same denominator everywhere has none."""
    uneven = _uneven(arms, yardstick)
    return {
        arm.name: {
            seed: {index: None if index in uneven else score for index, score in scored(yardstick, run.items).items()}
            for seed, run in arm.runs.items()
        }
        for arm in arms
    }


def _uneven(arms: Sequence[ComparedArm], yardstick: Yardstick) -> set[int]:
    """Items whose denominator differs between runs, because only one template had to cut the reference."""
    if yardstick.weight is None:
        return set()
    known: dict[int, float] = {}
    return {
        item.index
        for arm in arms
        for run in arm.runs.values()
        for item in run.items
        if known.setdefault(item.index, yardstick.weight(item)) != yardstick.weight(item)
    }


def _weights(arms: Sequence[ComparedArm], yardstick: Yardstick) -> dict[int, float] | None:
    if yardstick.weight is None:
        return None
    return {item.index: yardstick.weight(item) for item in arms[0].any_run().items}


def _baseline_mean(arms: Sequence[ComparedArm], yardstick: Yardstick, baseline: str | None) -> float:
    arm = next((arm for arm in arms if arm.name == baseline), arms[0])
    items = [item for run in arm.runs.values() for item in run.items]
    values = [(yardstick.score(item), yardstick.weight(item) if yardstick.weight else 1.0) for item in items]
    total = sum(weight for value, weight in values if value is not None)
    return sum(value for value, _ in values if value is not None) / total if total else 0.0


def _averaged(arms: Sequence[Mapping[int, Mapping[int, float | None]]]) -> dict[int, dict[int, float | None]]:
    """Mean over arms per seed and item; None where one of them has no score."""
    seeds = set.intersection(*(set(arm) for arm in arms))
    return {seed: {item: _mean([arm[seed].get(item) for arm in arms]) for item in arms[0][seed]} for seed in seeds}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
