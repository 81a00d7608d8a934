"""The training of every arm: losses and the comparable yardstick, one line per arm and a thin one per seed.

Training losses share a drawing only if they are means over the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sftframe.comparison.report.palette import CSS_NAMES, look_of
from sftframe.comparison.runs import ComparedArm
from sftframe.runs import RunFolder, read_json_lines
from sftframe.stages.report.curves import Curves, mean_window, read_curves, running_mean
from sftframe.stages.report.svg import drawing_settings, scale_values, svg_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 200
"""Points of a line."""
MAX_ROWS = 12
"""Steps in the table next to the drawing."""

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

    def read(folder: RunFolder) -> Curves:
        return read_curves(read_json_lines(folder.metrics_path) if folder.metrics_path.exists() else [])

    return {arm.name: {seed: read(RunFolder(run.path)) for seed, run in arm.runs.items()} for arm in arms}


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


def even_steps(steps: Iterable[int], most: int) -> list[int]:
    """Up to `most` of the steps, evenly spread, with the first and the last.

    >>> even_steps(range(0, 101, 10), 3)
    [0, 50, 100]
    """
    ordered = sorted(set(steps))
    if len(ordered) <= most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]


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
