"""The loss chart of a run: as a PNG file, and as SVG inside an HTML page.

matplotlib is imported only when a chart is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sftframe.stages.report.curves import Curves, mean_window, running_mean
from sftframe.stages.report.svg import drawing_settings, scale_values, svg_element

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    data = io.BytesIO()
    with drawing_settings(_WIDE.font_pt, salt="png"):
        figure = _figure(curves, collate, _WIDE)
        figure.savefig(data, format="png", dpi=150, metadata={"Software": None})
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
    """A second x axis on top: round numbers of tokens, each at the step at which so many were seen."""
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
