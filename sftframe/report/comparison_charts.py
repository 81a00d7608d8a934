"""The charts of a comparison: forest plots and loss curves of every arm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sftframe.analysis import AxisTable, ComparedArm, Comparison, ComparisonResult, ComparisonTable
from sftframe.escaping import escape_controls
from sftframe.files import read_json_lines
from sftframe.report.curves import Curves, even_steps, mean_window, read_curves, running_mean
from sftframe.report.rendering import drawing_settings, scale_values, svg_element
from sftframe.runs import RunStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_HUES = ("#0072b2", "#d55e00", "#00855f", "#b8478f", "#8f7000", "#6548c7", "#5a6570")
_DASHES = ((), (6, 2), (2, 2), (6, 2, 2, 2))

BETTER, WORSE, EVEN, OPEN = "#0b7048", "#a83a08", "#0a5fa8", "#59636e"
"""Of verdicts."""
BAND, ZERO, PAPER, SEED = "#dfe8f2", "#222222", "#fefefe", "#6b4a00"
"""Of the margin, of the line at zero, of what a drawing lies on, and of single seeds."""

CSS_NAMES = {
    **{hue: f"arm-{number}" for number, hue in enumerate(_HUES)},
    BETTER: "better",
    WORSE: "worse",
    EVEN: "even",
    OPEN: "open",
    BAND: "band",
    ZERO: "zero",
    PAPER: "paper",
    SEED: "seed",
}
"""Name of the CSS property `--chart-NAME` by colour as drawn."""


@dataclass(frozen=True, slots=True)
class Look:
    """How an arm's lines are drawn."""

    colour: str
    dashes: tuple[int, ...]
    """Lengths of strokes and gaps in line widths; empty = a full line."""

    @property
    def css_colour(self) -> str:
        """The colour as a page names it."""
        return f"var(--chart-{CSS_NAMES[self.colour]}, {self.colour})"


def look_of(position: int) -> Look:
    """The look of the arm at this position; looks repeat after 28 arms.

    >>> look_of(0) == look_of(28), look_of(0).colour == look_of(7).colour, len({look_of(i) for i in range(28)})
    (True, True, 28)
    """
    return Look(_HUES[position % len(_HUES)], _DASHES[position % len(_DASHES)])


MAX_POINTS = 200
"""Points of a line."""

_FONT_PT, _NARROW_FONT_PT, _NARROW_IN = 10, 12.5, 5.0
"""Narrow drawings are shown smaller than they are, so their text is larger."""

ArmCurves = Mapping[int, Curves]
"""One arm's curves by seed."""
Line = Mapping[int, float]
"""Value by step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLines:
    """One arm in a drawing."""

    position: int
    """Position among all arms; it decides the line's look."""
    name: str
    by_seed: Mapping[int, Line]

    @property
    def mean(self) -> Line:
        """Over the seeds, at the steps that all of them have."""
        return mean_line([*self.by_seed.values()])


@dataclass(frozen=True, slots=True, kw_only=True)
class LossGroup:
    """Arms whose training losses are means over the same tokens."""

    title: str
    arms: tuple[ArmLines, ...]


def read_arm_curves(arms: Iterable[ComparedArm]) -> dict[str, dict[int, Curves]]:
    """The curves of every run, by arm and seed; empty for a run without any.

    Raises:
        DataError: a line of a `metrics.jsonl` lacks a field.
    """

    def read(folder: RunStore) -> Curves:
        return read_curves(read_json_lines(folder.metrics_path) if folder.metrics_path.exists() else [])

    return {arm.name: {seed: read(RunStore(run.path)) for seed, run in arm.runs.items()} for arm in arms}


def validation_lines(arms: Sequence[ComparedArm], curves: Mapping[str, ArmCurves]) -> tuple[ArmLines, ...]:
    """Response NLL per byte on the validation part over the optimizer steps."""
    return _lines(arms, curves, lambda run: {record.step: record.response_nll_per_byte for record in run.evals})


def loss_groups(arms: Sequence[ComparedArm], curves: Mapping[str, ArmCurves]) -> tuple[LossGroup, ...]:
    """Training losses, in separate drawings if prompt style, mask or tokenizer differ: the tokens differ then."""
    lines = _lines(arms, curves, _training_loss)
    titles = _titles(arms)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for position, arm in enumerate(arms):
        groups.setdefault(_what_counts(arm), []).append(position)
    return tuple(
        LossGroup(title=titles[own[0]], arms=tuple(line for line in lines if line.position in own))
        for own in groups.values()
        if any(line.position in own for line in lines)
    )


def mean_line(lines: Sequence[Line]) -> dict[int, float]:
    """The mean at every step that all lines have.

    >>> mean_line([{0: 4.0, 10: 2.0}, {0: 6.0, 10: 3.0, 20: 1.0}])
    {0: 5.0, 10: 2.5}
    """
    common = set.intersection(*(set(line) for line in lines)) if lines else set()
    return {step: fmean(line[step] for line in lines) for step in sorted(common)}


def lines_svg(lines: Sequence[ArmLines], *, label: str, salt: str, width: float, height: float) -> str:
    """The lines as one `<svg>` element over the optimizer steps; the page has the legend.

    Args:
        label: of the y axis.
        salt: different for every drawing on a page.
        width: in inches of 72 points, as is `height`.
    """
    with drawing_settings(_FONT_PT if width > _NARROW_IN else _NARROW_FONT_PT, salt=salt):
        return svg_element(_figure(lines, label, width, height), CSS_NAMES)


def _lines(
    arms: Sequence[ComparedArm], curves: Mapping[str, ArmCurves], line: Callable[[Curves], Line]
) -> tuple[ArmLines, ...]:
    found = []
    for position, arm in enumerate(arms):
        by_seed = {seed: _finite(line(run)) for seed, run in curves.get(arm.name, {}).items()}
        known = {seed: points for seed, points in by_seed.items() if points}
        if known:
            found.append(ArmLines(position=position, name=arm.name, by_seed=known))
    return tuple(found)


def _training_loss(run: Curves) -> Line:
    means = running_mean([step.loss for step in run.steps], mean_window(len(run.steps)))
    return {step.step: mean for step, mean in zip(run.steps, means, strict=True)}


def _finite(line: Line) -> Line:
    return {step: value for step, value in line.items() if math.isfinite(value)}


def _what_counts(arm: ComparedArm) -> tuple[Any, ...]:
    """A key that is equal if the same tokens count."""
    run = arm.any_run()
    settings = sorted((key, str(run.settings[key])) for key in run.settings if _is_about_tokens(key))
    return (*settings, str((run.manifest.get("tokenizer") or {}).get("sha256")))


def _is_about_tokens(key: str) -> bool:
    return key.startswith(("collate.", "prompt.", "tokens."))


def _titles(arms: Sequence[ComparedArm]) -> list[str]:
    """Per arm its mask, with other settings of the counted tokens that differ between arms of this mask."""
    settings = [arm.any_run().settings for arm in arms]
    keys = [key for key in dict.fromkeys(key for own in settings for key in own) if _is_about_tokens(key)]
    varied = [key for key in keys if len({str(own[key]) for own in settings if key in own}) > 1]
    shown = [*dict.fromkeys(["collate.name", *varied])]
    return [
        " · ".join(
            str(own[key]) if key.endswith(".name") else f"{key.rpartition('.')[2]} {own[key]}"
            for key in shown
            if key in own
        )
        for own in settings
    ]


def _figure(lines: Sequence[ArmLines], label: str, width: float, height: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for arm in lines:
        look = look_of(arm.position)
        if len(arm.by_seed) > 1:
            for line in arm.by_seed.values():
                axes.plot(*_thinned(line), color=look.colour, linewidth=0.8, alpha=0.4)
        dashes = (0, look.dashes) if look.dashes else "solid"
        axes.plot(*_thinned(arm.mean), color=look.colour, linewidth=2.2, linestyle=dashes)
    axes.set_xlabel("optimizer steps")
    scale_values(axes, (value for arm in lines for value in arm.mean.values()), label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(linewidth=0.6)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    return figure


def _thinned(line: Line) -> tuple[list[int], list[float]]:
    steps = even_steps(line, MAX_POINTS)
    return steps, [line[step] for step in steps]


_LOOKS = {
    "better": (BETTER, "s", BETTER),
    "worse": (WORSE, "s", WORSE),
    "different": (EVEN, "s", EVEN),
    "equivalent": (EVEN, "D", EVEN),
    "identical": (EVEN, "D", EVEN),
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
    effect: str = ""
    """The difference in words."""
    by_seed: tuple[tuple[int, float], ...] = ()
    """The difference in each seed; empty if there is one seed."""


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
                _forest_row(f"{found.candidate} instead of {found.baseline}", found, axis.table, result)
                for found in axis.table.comparisons
            ),
        )
        for axis in result.axes
    ]
    arms = ForestGroup(
        title=f"arms against {result.baseline}",
        rows=tuple(
            _forest_row(found.candidate, found, result.main.table, result) for found in result.main.table.comparisons
        ),
    )
    return (*axes, arms)


def _forest_row(label: str, found: Comparison, table: ComparisonTable, result: ComparisonResult) -> ForestRow:
    effect = result.main.yardstick.effect_in_words(found.difference, table.means_of(found))
    by_seed = found.seed_differences if len(table.seeds) > 1 else ()
    return ForestRow(
        label=label,
        comparison=found,
        effect=effect,
        by_seed=tuple(zip(table.seeds, by_seed, strict=True)) if by_seed else (),
    )


def forest_svg(result: ComparisonResult, *, is_narrow: bool = False) -> str:
    """The drawing as one `<svg>` element.

    Args:
        is_narrow: labels are above their intervals instead of next to them, for a phone.
    """
    with drawing_settings(13 if is_narrow else 10, salt=f"forest-{is_narrow}"), warnings.catch_warnings():
        # an emoji in a name is drawn by the browser, whatever matplotlib's own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        return svg_element(_forest_figure(result, is_narrow), CSS_NAMES)


def _num_arms(axis: AxisTable) -> str:
    counts = sorted(set(axis.num_arms.values()))
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _forest_figure(result: ComparisonResult, is_narrow: bool) -> Figure:
    from matplotlib.figure import Figure

    groups = forest_groups(result)
    num_lines = sum(1 + len(group.rows) for group in groups)
    height = 1.0 + num_lines * ((0.56 if is_narrow else 0.36) + 0.1 * any(row.by_seed for row in groups[-1].rows))
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
            below = middle + (0.19 if is_narrow else 0.27)
            axes.plot(
                [difference for _, difference in row.by_seed],
                [below] * len(row.by_seed),
                marker="o",
                markersize=6,
                markerfacecolor=SEED,
                markeredgecolor=PAPER,
                markeredgewidth=0.8,
                linestyle="none",
                zorder=2.5,
            )
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
    plain, most = escape_controls(" ".join(text.split())), _MAX_LETTERS[is_narrow]
    return plain if len(plain) <= most else plain[: most - 1] + "…"
