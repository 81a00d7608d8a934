"""Drawings of matplotlib as SVG inside an HTML page, for light and dark pages.

Text stays text, and colours are CSS properties (`--chart-ink`, …) with a light scheme as default. matplotlib is
imported only when a drawing is made, pyplot never; matplotlib's settings do not change.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
