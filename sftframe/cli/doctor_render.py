"""Prints findings of `sftframe doctor` row by row with advice below, or as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sftframe.cli.console import err, out, prose
from sftframe.cli.streams import write_json
from sftframe.doctor import Finding, document
from sftframe.escaping import escape_controls

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("problem", "bold red")}
_TOPIC_WIDTH = 9
_MARK_WIDTH = 8


class Rows:
    """Prints rows on stdout, and on stderr what it checks now. Used as a context manager around the examination."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._out = out()
        # on a terminal one console must print both, or rows end up in the spinner's line
        shared = self._out if self._out.is_terminal and err().is_terminal else err()
        self._status = shared.status("", spinner="line" if shared.options.ascii_only else "dots")
        self._topic = ""

    def __enter__(self) -> Self:
        if self._status.console.is_terminal and self._out.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def begin(self, topic: str) -> None:
        """Say what is checked now."""
        self._status.update(Text(f"checking {topic}"))

    def add(self, finding: Finding) -> None:
        """Print a finding."""
        if self._is_silent:
            return
        topic = finding.topic if finding.topic != self._topic else ""
        self._topic = finding.topic
        label, style = _MARKS[finding.status]
        row = Table.grid(padding=(0, 1))
        row.add_column(width=_TOPIC_WIDTH)
        row.add_column(width=_MARK_WIDTH - 1)
        row.add_column(overflow="fold")
        row.add_row(Text(topic, style="bold"), Text(label, style=style), Text(escape_controls(finding.found)))
        self._out.print(row)
        if finding.advice:
            advice = Text.assemble(("→ ", style), escape_controls(finding.advice))
            self._out.print(Padding(advice, (0, 0, 0, _TOPIC_WIDTH + 1 + _MARK_WIDTH), expand=False))

    def conclude(self, findings: Sequence[Finding]) -> None:
        """Print the last line."""
        problems = sum(finding.status == "problem" for finding in findings)
        notes = sum(finding.status == "note" for finding in findings)
        noted = f"; {notes} note{'s' * (notes != 1)}" if notes else ""
        if problems:
            text = f"{problems} problem{'s' * (problems != 1)}: a run would not work{noted}"
        else:
            text = f"A run works here{noted}. Next  sftframe run"
        prose(self._out, Text(f"\n{text}", style="bold"))


def show_document(findings: Sequence[Finding]) -> None:
    """The findings as JSON."""
    write_json(document(findings))
