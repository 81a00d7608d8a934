"""Markdown tables, for all generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GENERATED_NOTE = "<!-- made by `python -m recipes.docs`; edit the code that it describes, not this page -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table.

    >>> table(("a", "b"), [("1", "2")])
    ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def cell(text: object) -> str:
    """Text for a cell: on one line, its bars escaped.

    >>> cell("a | b")
    'a \\\\| b'
    """
    return " ".join(str(text or "").split()).replace("|", "\\|")
