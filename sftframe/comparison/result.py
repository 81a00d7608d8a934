"""A whole comparison: arms, tables of all yardsticks, axes, flipped items, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.comparison.flips import FlippedItem, flipped_items
from sftframe.comparison.identity import check_identity
from sftframe.comparison.runs import ComparedArm, check_comparable
from sftframe.comparison.tables import (
    AxisTable,
    YardstickTable,
    axis_levels,
    compare_levels,
    compare_on_all_yardsticks,
)
from sftframe.comparison.yardsticks import find_yardstick
from sftframe.errors import ConfigError, suggestion
from sftframe.statistics import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """The result of comparing arms."""

    arms: tuple[ComparedArm, ...]
    baseline: str
    main: YardstickTable
    """The yardstick that the verdict is about."""
    tables: tuple[YardstickTable, ...]
    """All yardsticks, with the main one."""
    axes: tuple[AxisTable, ...]
    """On the main yardstick, for grids in which every value of an axis occurs with the same other choices."""
    flips: Mapping[str, tuple[FlippedItem, ...]]
    """On the main yardstick: per candidate the items that changed, largest first."""
    notes: tuple[str, ...]
    """What the arms do not share, one line each."""
    remedy: str = ""
    """The command that may settle open comparisons, in a sentence; empty if none is known."""

    @property
    def sentence(self) -> str:
        """The verdict in a sentence for each thing that was varied."""
        explanations = " ".join(comparison.explanation for comparison in self.told)
        sentences = dict.fromkeys(explanations.removesuffix(".").split(". "))  # a shared sentence is said once
        return " ".join(part for part in (". ".join(sentences) + ".", self.remedy) if part)

    @property
    def told(self) -> list[Comparison]:
        """The comparisons in the verdict: axis by axis if there are axes, else arm by arm."""
        by_axis = [comparison for axis in self.axes for comparison in axis.table.comparisons]
        return by_axis or list(self.main.table.comparisons)

    def comparison_of(self, candidate: str) -> Comparison:
        """The main yardstick's comparison of one arm with the baseline."""
        return next(found for found in self.main.table.comparisons if found.candidate == candidate)


def compare(
    arms: Sequence[ComparedArm],
    *,
    yardstick: str = "judge",
    margin: float | None = None,
    baseline: str | None = None,
    by_design: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    judge_variance: float | None = None,
) -> ComparisonResult:
    """Compare arms on all yardsticks; the verdict is about one of them.

    Args:
        yardstick: the key of the one that the verdict is about.
        margin: differences of it up to this count as none; by default the yardstick's own.
        baseline: the first arm unless named.
        by_design: as for `check_comparable`.
        settings: per arm its value by axis, if the arms are a grid.
        judge_variance: of one score, if it was measured.

    Raises:
        ConfigError: an unknown baseline or yardstick, a yardstick without measurements, or different judges.
        DataError: the arms cannot be compared, or cells of one arm are not made of the same pieces.
    """
    notes = check_comparable(arms, by_design=by_design) + check_identity(arms, is_grid=by_design is not None)
    names = [arm.name for arm in arms]
    if baseline is not None and baseline not in names:
        raise ConfigError(f"no arm {baseline!r} to compare with{suggestion(baseline, names)}")
    wanted = find_yardstick(yardstick)
    _check_one_judge(arms)
    tables = compare_on_all_yardsticks(
        arms, baseline=baseline, margins={wanted.key: margin} if margin else {}, judge_variance=judge_variance
    )
    main = next((table for table in tables if table.yardstick == wanted), None)
    if main is None:
        raise ConfigError(
            f"no arm has measurements of {yardstick!r}: judge the runs first, or choose another --yardstick"
        )
    first = baseline or names[0]
    base_arm = arms[names.index(first)]
    return ComparisonResult(
        arms=tuple(arms),
        baseline=first,
        main=main,
        tables=tuple(tables),
        axes=tuple(compare_levels(arms, axis_levels(settings or {}), wanted, main.margin)),
        flips={arm.name: tuple(flipped_items(base_arm, arm, wanted)) for arm in arms if arm.name != first},
        notes=tuple(notes),
    )


def _check_one_judge(arms: Sequence[ComparedArm]) -> None:
    runs = [run for arm in arms for run in arm.runs.values()]
    other = next((run for run in runs if run.judge != runs[0].judge), None)
    if other is not None:
        raise ConfigError(
            f"{runs[0].path} was judged by {runs[0].judge}, {other.path} by {other.judge}: scores of different judges "
            f"cannot be compared; judge all runs with one judge, for instance sftframe judge {other.path} --judge "
            "reference"
        )
