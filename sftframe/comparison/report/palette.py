"""Colours of the charts: one look per arm, one per verdict, each with a CSS property for the page's shade.

Hues after Okabe and Ito (jfly.uni-koeln.de/color), darkened until each has a contrast of 3 to 1 with white; arms also
differ in their dashes, verdicts in their marks, so that no meaning depends on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

_HUES = ("#0072b2", "#d55e00", "#00855f", "#b8478f", "#8f7000", "#6548c7", "#5a6570")
_DASHES = ((), (6, 2), (2, 2), (6, 2, 2, 2))

BETTER, WORSE, EVEN, OPEN = "#0b7048", "#a83a08", "#0a5fa8", "#59636e"
"""Of verdicts."""
BAND, ZERO, PAPER = "#dfe8f2", "#222222", "#fefefe"
"""Of the margin, of the line at zero and of what a drawing lies on."""

CSS_NAMES = {
    **{hue: f"arm-{number}" for number, hue in enumerate(_HUES)},
    BETTER: "better",
    WORSE: "worse",
    EVEN: "even",
    OPEN: "open",
    BAND: "band",
    ZERO: "zero",
    PAPER: "paper",
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
