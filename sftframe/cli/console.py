"""The consoles that all commands print through. They never read a text as markup, and show its control characters.

Texts come from data files, models, judges, plugins and paths. rich itself passes most control characters on, and reads
`[en]` as a style and `:cat:` as a picture. Styled text must be a `Text`.
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
from rich.table import Table
from rich.text import Text

from sftframe.cli.streams import output
from sftframe.escaping import escape_controls


class Talk(IntEnum):
    """How much a command prints on stderr, apart from warnings and errors."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


talk: ContextVar[Talk] = ContextVar("talk", default=Talk.NORMAL)
"""The level that `-q` or `-v` of the running command set."""


class SafeConsole(Console):
    """A console that shows control characters of the text (see `sftframe.escaping`); its own colours stay."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """A text that rich can lay out; rich's `Text` drops some control characters."""
        return super().render_str(escape_controls(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make pieces of output safe; a piece with `control` is rich's own."""
        if isinstance(renderable, Text):
            renderable = _shown(renderable)
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)


def prose(console: Console, text: str | Text) -> None:
    """Print a sentence. A terminal gets it wrapped between words; a file or a pipe gets it on one line.

    Further lines of a sentence begin under its first word. A word that is longer than a line, such as a path, is never
    cut.
    """
    shown = Text(escape_controls(text)) if isinstance(text, str) else _shown(text)
    if console.is_terminal:
        shown = Text("\n").join(part for line in shown.split("\n") for part in _between_words(line, console.width))
    console.print(shown, soft_wrap=True)


def out() -> Console:
    """The console for results; a command has one."""
    command = output()
    return _kept(command.consoles, "out", file=command.results)


def err() -> Console:
    """The console for messages; a command has one, so that a progress bar knows of other messages."""
    return _kept(output().consoles, "err", stderr=True)


def _kept(consoles: dict[str, Any], name: str, **settings: Any) -> Console:
    if name not in consoles:
        consoles[name] = SafeConsole(**settings)
    found: Console = consoles[name]
    return found


def _between_words(line: Text, width: int) -> Iterator[Text]:
    breaks, start = [], 0
    indent = " " * (len(line.plain) - len(line.plain.lstrip(" ")))
    for word in re.finditer(r"(?<=\s)\S+", line.plain):
        if word.start() > len(indent) and cell_len(line.plain[start : word.end()]) > width - len(indent) * (start > 0):
            start = word.start()
            breaks.append(start)
    for number, part in enumerate(line.divide(breaks)):
        part.rstrip()
        yield Text(indent).append_text(part) if number else part


def _shown(text: Text) -> Text:
    """Shows a text's hidden characters before its layout, so that lines keep their width."""
    hidden = [place for place, sign in enumerate(text.plain) if escape_controls(sign) != sign]
    if not hidden:
        return text
    shown = text.blank_copy()
    for piece in text.divide(sorted({*hidden, *(place + 1 for place in hidden)})):
        piece.plain = escape_controls(piece.plain)
        shown.append_text(piece)
    return shown


def one_line(text: str, most: int = 160) -> str:
    """A text without line breaks, cut after `most` characters."""
    flat = escape_controls(" ".join(text.split()))
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def untitled_columns(title: str, **first: Any) -> Table:
    """A table with a title and two columns without names.

    Args:
        first: settings of the first column.
    """
    table = Table(title=Text(title), title_justify="left", show_header=False)
    table.add_column(no_wrap=True, **first)
    table.add_column()
    return table
