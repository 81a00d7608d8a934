"""A run's curves, read from its metrics, and drawn as PNG and SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

from sftframe.errors import DataError
from sftframe.records import EvalRecord, StepRecord
from sftframe.report.rendering import drawing_settings, scale_values, svg_element
from sftframe.runs import read_record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MAX_ROWS = 12
"""Rows of the table next to a chart, unless they are evaluations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All steps and evaluations of a run, each in the order of their steps; either may be empty."""

    steps: tuple[StepRecord, ...] = ()
    evals: tuple[EvalRecord, ...] = ()

    @property
    def tokens_seen(self) -> dict[int, int]:
        """Tokens seen by each step that was recorded, in the order of the steps; 0 tokens at step 0."""
        trained = {step.step: step.tokens_seen for step in self.steps}
        evaluated = {evaluation.step: evaluation.tokens_seen for evaluation in self.evals}
        return dict(sorted({0: 0, **evaluated, **trained}.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """One line of the table next to the chart; None if nothing was measured at that step."""

    step: int
    tokens_seen: int
    train_loss: float | None
    """Running mean up to this step, as drawn."""
    evaluation: EvalRecord | None


def read_curves(lines: Iterable[Mapping[str, Any]]) -> Curves:
    """The curves of the lines of `metrics.jsonl`.

    A step that was logged twice (a run was killed and resumed from an earlier checkpoint) counts once, with its last
    record. Kinds and fields of a later version are ignored.

    Raises:
        DataError: a line lacks a field of its kind; the message has the line's number.
    """
    steps: dict[int, StepRecord] = {}
    evals: dict[int, EvalRecord] = {}
    for number, line in enumerate(lines, start=1):
        if line.get("kind") == "step":
            step = _record(StepRecord, line, number)
            steps[step.step] = step
        elif line.get("kind") == "eval":
            evaluation = _record(EvalRecord, line, number)
            evals[evaluation.step] = evaluation
    return Curves(
        steps=tuple(steps[step] for step in sorted(steps)),
        evals=tuple(evals[step] for step in sorted(evals)),
    )


def mean_window(num_steps: int) -> int:
    """Number of steps in the running mean of the train loss: a 40th of the run, 5 to 50; 1 = no mean, for up to 50
    steps.

    >>> [mean_window(n) for n in (1, 50, 51, 234, 5000)]
    [1, 1, 5, 5, 50]
    """
    return 1 if num_steps <= 50 else min(max(5, num_steps // 40), 50)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and up to `window - 1` before it; values that are not finite are left out of the mean.

    >>> running_mean([4.0, 2.0, 6.0, float("nan")], 2)
    [4.0, 3.0, 4.0, 6.0]
    """
    finite = [math.isfinite(value) for value in values]
    sums = [0.0, *accumulate(value if is_finite else 0.0 for value, is_finite in zip(values, finite, strict=True))]
    counts = [0, *accumulate(map(int, finite))]
    starts = [max(0, end - window) for end in range(1, len(sums))]
    return [
        (sums[end] - sums[start]) / (counts[end] - counts[start]) if counts[end] > counts[start] else math.nan
        for end, start in enumerate(starts, start=1)
    ]


def curve_rows(curves: Curves) -> tuple[CurveRow, ...]:
    """The chart's figures at every evaluation and at the last step; without evaluations, at up to 12 even steps."""
    tokens_seen = curves.tokens_seen
    means = running_mean([step.loss for step in curves.steps], mean_window(len(curves.steps)))
    losses = {step.step: mean for step, mean in zip(curves.steps, means, strict=True)}
    evaluations = {evaluation.step: evaluation for evaluation in curves.evals}
    shown = {*(evaluations or even_steps(losses, MAX_ROWS)), *[*losses][-1:]}
    return tuple(
        CurveRow(
            step=step,
            tokens_seen=tokens_seen[step],
            train_loss=losses.get(step),
            evaluation=evaluations.get(step),
        )
        for step in sorted(shown)
    )


def even_steps(steps: Iterable[int], most: int) -> list[int]:
    """Up to `most` of the steps, evenly spread, with the first and the last.

    >>> even_steps(range(0, 101, 10), 3)
    [0, 50, 100]
    """
    ordered = sorted(set(steps))
    if len(ordered) <= most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]


_Record = TypeVar("_Record", StepRecord, EvalRecord)


def _record(kind: type[_Record], line: Mapping[str, Any], number: int) -> _Record:
    missing = [f.name for f in fields(kind) if f.name not in line and f.default is MISSING]
    if missing:
        raise DataError(
            f"metrics.jsonl, line {number}: a {line['kind']} without {', '.join(missing)}; "
            "expected what `sftframe train` writes: remove the line, or train again"
        )
    values = {f.name: _finite_or_nan(line[f.name]) for f in fields(kind) if f.name in line}
    return read_record(kind, values, f"metrics.jsonl, line {number}")


def _finite_or_nan(value: Any) -> Any:
    return math.nan if value is None else value


MAX_POINTS = 1000
"""Points of the raw train line; longer runs show the least and the greatest loss of each stretch of steps."""

# Okabe and Ito's palette (jfly.uni-koeln.de/color), distinct in all common forms of colour blindness.
_TRAIN, _VALIDATION, _RESPONSE = "#0072b2", "#d55e00", "#009e73"
_CSS_NAMES = {_TRAIN: "train", _VALIDATION: "validation", _RESPONSE: "response"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Sizes of one rendering; inches at 72 points."""

    width: float
    height: float
    font_pt: float
    num_ticks: int
    legend_columns: int


_WIDE = _Layout(width=9.0, height=5.2, font_pt=10, num_ticks=8, legend_columns=4)
_NARROW = _Layout(width=4.6, height=5.0, font_pt=10.5, num_ticks=4, legend_columns=2)


def loss_chart(curves: Curves, *, collate: str) -> bytes:
    """The chart as a PNG, 1350 x 780 pixels: train, validation and response-only loss over steps and tokens."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    data = io.BytesIO()
    with drawing_settings(_WIDE.font_pt, salt="png"):
        figure = _figure(curves, collate, _WIDE)
        figure.set_dpi(150)
        canvas: Any = FigureCanvasAgg(figure)  # matplotlib's is untyped
        canvas.print_png(data, metadata={"Software": None})
    return data.getvalue()


def loss_svg(curves: Curves, collate: str, *, is_narrow: bool = False) -> str:
    """The chart as one `<svg>` element with text as text; the same input gives the same characters.

    Args:
        is_narrow: taller than wide, with fewer ticks, for a phone.
    """
    layout = _NARROW if is_narrow else _WIDE
    with drawing_settings(layout.font_pt, salt="narrow" if is_narrow else "wide"):
        return svg_element(_figure(curves, collate, layout), _CSS_NAMES)


def _figure(curves: Curves, collate: str, layout: _Layout) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(layout.width, layout.height), layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(f"Loss, collate strategy {collate}", fontsize=layout.font_pt + 3, parse_math=False)
    axes.set_title(_comparison_note(layout), fontsize=layout.font_pt - 1, pad=10)
    _draw_train(axes, curves)
    _draw_evaluations(axes, curves)
    _label_axes(axes, curves, layout)
    if axes.lines:
        _add_token_axis(axes, curves, layout)
        figure.legend(loc="outside lower center", ncols=layout.legend_columns)
    else:
        axes.text(0.5, 0.5, "no step was recorded", transform=axes.transAxes, ha="center")
    return figure


def _comparison_note(layout: _Layout) -> str:
    gap = "\n" if layout is _NARROW else " "
    return f"Compare train and validation loss only with the same mask;{gap}response NLL compares with every run."


def _draw_train(axes: Axes, curves: Curves) -> None:
    if not curves.steps:
        return
    steps = [record.step for record in curves.steps]
    losses = [record.loss for record in curves.steps]
    window = mean_window(len(steps))
    if window > 1:
        axes.plot(*thinned(steps, losses), color=_TRAIN, linewidth=1.0, alpha=0.4, label="train, each step")
        means = running_mean(losses, window)
        axes.plot(steps, means, color=_TRAIN, linewidth=2.2, label=f"train, mean of {window} steps")
    else:
        axes.plot(steps, losses, color=_TRAIN, linewidth=2.2, marker=".", markersize=7, label="train")


def _draw_evaluations(axes: Axes, curves: Curves) -> None:
    if not curves.evals:
        return
    steps = [record.step for record in curves.evals]
    losses = [record.validation_loss for record in curves.evals]
    responses = [record.response_nll_per_token for record in curves.evals]
    axes.plot(steps, losses, color=_VALIDATION, linestyle="--", marker="o", linewidth=1.8, label="validation")
    axes.plot(
        steps, responses, color=_RESPONSE, linestyle="-.", marker="s", linewidth=1.8, label="validation, response only"
    )


def _label_axes(axes: Axes, curves: Curves, layout: _Layout) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("optimizer steps")
    axes.xaxis.set_major_locator(MaxNLocator(layout.num_ticks, integer=True))
    axes.grid(linewidth=0.6)
    axes.spines["right"].set_visible(False)
    last_step = max(1, *curves.tokens_seen)
    axes.set_xlim(-0.02 * last_step, 1.02 * last_step)
    scale_values(axes, _drawn_losses(curves), "loss, nats per token", is_from_zero=True)


def _drawn_losses(curves: Curves) -> Iterator[float]:
    yield from (record.loss for record in curves.steps)
    for record in curves.evals:
        yield from (record.validation_loss, record.response_nll_per_token)


def _add_token_axis(axes: Axes, curves: Curves, layout: _Layout) -> None:
    """A second x axis on top: round numbers of tokens, each at the step by which they were seen."""
    import numpy as np
    from matplotlib.ticker import EngFormatter, MaxNLocator

    steps, tokens = [*curves.tokens_seen], [*curves.tokens_seen.values()]
    round_tokens = MaxNLocator(layout.num_ticks - 1).tick_values(0, max(1, *tokens))
    shown = [count for count in round_tokens if 0 <= count <= tokens[-1]]
    top = axes.secondary_xaxis("top")
    label = EngFormatter(sep="")
    top.set_xticks(np.interp(shown, tokens, steps), [label(count) for count in shown])
    top.set_xlabel("tokens seen")


def thinned(steps: Sequence[int], losses: Sequence[float]) -> tuple[list[int], list[float]]:
    """At most `MAX_POINTS` points that keep every peak and dip."""
    if len(steps) <= MAX_POINTS:
        return list(steps), list(losses)
    stretch = -(-len(steps) * 2 // MAX_POINTS)
    kept: list[int] = []
    for start in range(0, len(steps), stretch):
        inside = range(start, min(start + stretch, len(steps)))
        kept += sorted({min(inside, key=losses.__getitem__), max(inside, key=losses.__getitem__)})
    return [steps[i] for i in kept], [losses[i] for i in kept]
