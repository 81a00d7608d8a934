"""The forest plot: every difference with its interval on one scale, axes of a grid first, then arm by arm."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sftframe.comparison.report.palette import BAND, BETTER, CSS_NAMES, EVEN, OPEN, PAPER, WORSE, ZERO
from sftframe.comparison.result import ComparisonResult
from sftframe.comparison.tables import AxisTable
from sftframe.stages.report.svg import drawing_settings, svg_element
from sftframe.statistics import Comparison
from sftframe.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    "better": (BETTER, "s", BETTER),
    "worse": (WORSE, "s", WORSE),
    "different": (EVEN, "s", EVEN),
    "equivalent": (EVEN, "D", EVEN),
    "cannot tell": (OPEN, "o", PAPER),
}
"""Colour, mark and filling by verdict."""
_MAX_LETTERS = {False: 48, True: 36}
"""Of a label, by `is_narrow`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One difference."""

    label: str
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestGroup:
    """Differences to the same baseline."""

    title: str
    rows: tuple[ForestRow, ...]


def forest_groups(result: ComparisonResult) -> tuple[ForestGroup, ...]:
    """The axes, each averaged over all other choices, then all arms against the baseline."""
    axes = [
        ForestGroup(
            title=f"{axis.axis.removesuffix('.name')}, averaged over {_num_arms(axis)} arms each",
            rows=tuple(
                ForestRow(label=f"{found.candidate} instead of {found.baseline}", comparison=found)
                for found in axis.table.comparisons
            ),
        )
        for axis in result.axes
    ]
    arms = ForestGroup(
        title=f"arms against {result.baseline}",
        rows=tuple(ForestRow(label=found.candidate, comparison=found) for found in result.main.table.comparisons),
    )
    return (*axes, arms)


def forest_svg(result: ComparisonResult, *, is_narrow: bool = False) -> str:
    """The drawing as one `<svg>` element.

    Args:
        is_narrow: labels are above their intervals instead of next to them, for a phone.
    """
    with drawing_settings(13 if is_narrow else 10, salt=f"forest-{is_narrow}"), warnings.catch_warnings():
        # an emoji in a name is drawn by the browser, whatever matplotlib's own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        return svg_element(_figure(result, is_narrow), CSS_NAMES)


def _num_arms(axis: AxisTable) -> str:
    counts = sorted(set(axis.num_arms.values()))
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _figure(result: ComparisonResult, is_narrow: bool) -> Figure:
    from matplotlib.figure import Figure

    groups = forest_groups(result)
    num_lines = sum(1 + len(group.rows) for group in groups)
    height = 1.0 + num_lines * (0.56 if is_narrow else 0.36)
    figure = Figure(figsize=(4.6 if is_narrow else 11.0, height), layout="constrained")
    axes = figure.add_subplot()
    _draw_groups(axes, groups, result.main.margin, is_narrow)
    _finish(axes, result, num_lines, is_narrow)
    return figure


def _draw_groups(axes: Axes, groups: Sequence[ForestGroup], margin: float, is_narrow: bool) -> None:
    line = 0
    labels: dict[int, str] = {}
    for group in groups:
        _write(axes, line, _cut(group.title, is_narrow), is_heading=True)
        for row in group.rows:
            line += 1
            label = _cut(row.label, is_narrow)
            if is_narrow:
                _write(axes, line - 0.18, label)
            else:
                labels[line] = label
            middle, half = (line + 0.22, 0.24) if is_narrow else (line, 0.51)  # a little larger, or a gap shows
            _draw_nothing(axes, middle - half, middle + half, margin)
            _draw(axes, middle, row.comparison)
        line += 1
    axes.set_yticks([*labels])
    axes.set_yticklabels([*labels.values()], parse_math=False)


def _draw_nothing(axes: Axes, top: float, bottom: float, margin: float) -> None:
    """The line at zero and the band of no difference, in the background of one row."""
    axes.fill_betweenx([top, bottom], -margin, margin, color=BAND, linewidth=0, zorder=1.1)
    axes.plot([0, 0], [top, bottom], color=ZERO, linewidth=1.2, zorder=1.2)


def _write(axes: Axes, line: float, text: str, *, is_heading: bool = False) -> None:
    axes.text(
        0.0,
        line,
        text,
        transform=axes.get_yaxis_transform(),
        va="center",
        fontweight="bold" if is_heading else "normal",
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
        parse_math=False,
    )


def _draw(axes: Axes, line: float, found: Comparison) -> None:
    colour, mark, filling = _LOOKS[found.verdict]
    if found.interval is not None:
        axes.plot([found.interval.low, found.interval.high], [line, line], color=colour, linewidth=2.4, zorder=2)
    axes.plot(
        [found.difference],
        [line],
        marker=mark,
        markersize=8,
        markerfacecolor=filling,
        markeredgecolor=colour,
        markeredgewidth=2,
        linestyle="none",
        zorder=3,
    )


def _finish(axes: Axes, result: ComparisonResult, num_lines: int, is_narrow: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    yardstick = result.main.yardstick
    good = {"higher": "more is better", "lower": "less is better", "none": "neither side is better"}
    gap = "\n" if is_narrow else "; "
    axes.set_xlabel(f"difference in {yardstick.unit}{gap}{good[yardstick.direction]}", parse_math=False)
    axes.set_ylim(num_lines - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5 if is_narrow else 9))
    axes.grid(axis="x", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _cut(text: str, is_narrow: bool) -> str:
    plain, most = visible(" ".join(text.split())), _MAX_LETTERS[is_narrow]
    return plain if len(plain) <= most else plain[: most - 1] + "…"
