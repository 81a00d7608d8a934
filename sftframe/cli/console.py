"""The consoles that all commands print through: rich's, which no text can make send control characters of its own.

rich lets most control characters in a text pass; texts here come from data files, models, judges and plugins.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from enum import IntEnum

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sftframe.visible import visible


class Talk(IntEnum):
    """How much a command says on stderr besides warnings and errors."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


talk: ContextVar[Talk] = ContextVar("talk", default=Talk.NORMAL)
"""What `-q` and `-v` of the command that is running ask for."""


class SafeConsole(Console):
    """A console that shows control characters of the text (see `sftframe.visible`); its own colours are left alone."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is about to be written, piece by piece; a piece with `control` is rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def out() -> Console:
    """For results."""
    return SafeConsole(highlight=False)


def err() -> Console:
    """For talk."""
    return SafeConsole(stderr=True, highlight=False)
