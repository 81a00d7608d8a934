"""Drawings of matplotlib as SVG inside an HTML page, for light and dark pages.

Text stays text, and colours are CSS properties (`--chart-ink`, …) with a light scheme as default. matplotlib is
imported only when a drawing is made, pyplot never; matplotlib's settings do not change.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#333333", "#dddddd"
"""Colours of text and axes, and of the lines in the background, in every drawing."""

_METADATA = ("Creator", "Date", "Format", "Type")
_ATTRIBUTES = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'stroke-linejoin="round" stroke-linecap="butt"'
)


def drawing_settings(font_pt: float, salt: str) -> Any:
    """A context in which figures are made and saved.

    Args:
        salt: makes the ids inside a drawing different from those of the page's other drawings.
    """
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.size": font_pt,
            "font.family": "sans-serif",
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": GRID,
            "legend.frameon": False,
        }
    )


LOG_RATIO = 4
"""A loss that falls to less than one part in so many gets a logarithmic axis: on a linear one its end looks flat."""


def scale_values(axes: Axes, values: Iterable[float], label: str, *, is_from_zero: bool = False) -> None:
    """Choose the y axis by what is drawn, and say on the axis when it is logarithmic.

    Args:
        is_from_zero: a linear axis begins at 0.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    finite = [value for value in values if math.isfinite(value)]
    if finite and 0 < min(finite) < max(finite) / LOG_RATIO:
        axes.set_yscale("log")
        is_short = max(finite) < 30 * min(finite)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8) if is_short else (1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel(f"{label} (logarithmic axis)")
    else:
        axes.set_ylabel(label)
        if is_from_zero:
            axes.set_ylim(bottom=0)


def svg_element(figure: Figure, colours: Mapping[str, str]) -> str:
    """The figure as an `<svg>` element; the same figure gives the same characters.

    Args:
        colours: name by colour as drawn, `#0072b2`: `train` becomes `var(--chart-train, #0072b2)`.
    """
    data = io.StringIO()
    figure.savefig(data, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return _embeddable(data.getvalue(), {INK: "ink", GRID: "grid", **colours})


def _embeddable(svg: str, colours: Mapping[str, str]) -> str:
    """Only the `<svg>` element: no prologue or style sheet, only ids that are used, colours as CSS properties."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    assert view_box is not None, "matplotlib writes a view box"
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in referred else "", body)
    for colour, name in colours.items():
        body = body.replace(colour, f"var(--chart-{name}, {colour})")
    return f"<svg {view_box[0]} {_ATTRIBUTES}>{body.strip()}"
