"""The consoles that all commands print through: rich's, but a text is shown as it is, whatever is in it.

Texts come from data files, models, judges, plugins and paths. rich lets most control characters in them pass, and reads
`[en]` as a style and `:cat:` as a picture; here a text is never markup: what is to be styled is a `Text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from enum import IntEnum
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from sftframe.cli.streams import output
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

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """A text as something that can be laid out; rich's `Text` drops some control characters."""
        return super().render_str(visible(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is about to be written, piece by piece; a piece with `control` is rich's own."""
        if isinstance(renderable, Text):
            renderable = _shown(renderable)
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def prose(console: Console, text: str | Text) -> None:
    """Print a sentence: a terminal gets it broken between words, a file or a pipe on one line.

    A word that is longer than a line, as a path may be, is never cut in two.
    """
    shown = Text(visible(text)) if isinstance(text, str) else _shown(text)
    if console.is_terminal:
        shown = Text("\n").join(part for line in shown.split("\n") for part in _between_words(line, console.width))
    console.print(shown, soft_wrap=True)


def out() -> Console:
    """For results; a command has one."""
    command = output()
    return _kept(command.consoles, "out", file=command.results)


def err() -> Console:
    """For messages; a command has one, so that a progress bar knows of what is printed beside it."""
    return _kept(output().consoles, "err", stderr=True)


def _kept(consoles: dict[str, Any], name: str, **settings: Any) -> Console:
    if name not in consoles:
        consoles[name] = SafeConsole(**settings)
    found: Console = consoles[name]
    return found


def _between_words(line: Text, width: int) -> Iterator[Text]:
    breaks, start = [], 0
    for word in re.finditer(r"(?<=\s)\S+", line.plain):
        if cell_len(line.plain[start : word.end()]) > width:
            start = word.start()
            breaks.append(start)
    for part in line.divide(breaks):
        part.rstrip()
        yield part


def _shown(text: Text) -> Text:
    """The text with its hidden characters shown before it is laid out, so that lines keep their width."""
    hidden = [place for place, sign in enumerate(text.plain) if visible(sign) != sign]
    if not hidden:
        return text
    shown = text.blank_copy()
    for piece in text.divide(sorted({*hidden, *(place + 1 for place in hidden)})):
        piece.plain = visible(piece.plain)
        shown.append_text(piece)
    return shown
