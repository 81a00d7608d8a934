"""Prints what an audit of data found."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from sftframe.audit import Audit, Cleaning, Finding, Lengths, Sighting, advice, dropped_path, settings_for
from sftframe.cli.console import one_line, out, prose
from sftframe.data import DroppedRow
from sftframe.formatting import fixed, percent


def show_audit(found: Audit, most: int) -> None:
    """Print an audit: what is there, and then every finding with examples and its remedy.

    Args:
        most: examples of each finding.
    """
    console = out()
    parts = ", ".join(f"{number:,} {part}" for part, number in found.parts.items())
    prose(console, Text.assemble((found.source, "bold"), f": {_rows(found.num_rows)}{f' ({parts})' if parts else ''}"))
    for line in _facts(found):
        prose(console, line)
    console.print()
    for length in found.lengths:
        prose(console, _length_line(length))
    prose(
        console, f"answer by prompt: {fixed(found.ratio, 2)} (median over the rows). {_sentence(advice(found.ratio))}"
    )
    for text in _invalid_lines(found.invalid, most):
        prose(console, text)
    if not found.findings:
        prose(console, f"\nNothing found of: {', '.join(found.looked_for)}")
        return
    for finding in found.findings:
        console.print()
        for text in _finding_lines(finding, found.num_rows, most):
            prose(console, text)
    missing = [name for name in found.looked_for if found.finding(name) is None]
    if missing:
        prose(console, f"\nNothing found of: {', '.join(missing)}")


def show_cleaning(path: Path, cleaning: Cleaning) -> None:
    """Print what was written."""
    console = out()
    console.print()
    reasons = cleaning.reasons() | ({"invalid": len(cleaning.invalid)} if cleaning.invalid else {})
    dropped = ", ".join(f"{number:,} {name}" for name, number in reasons.items())
    prose(
        console,
        f"{path}: {_rows(len(cleaning.kept))} written, {len(cleaning.dropped) + len(cleaning.invalid):,} left out",
    )
    if dropped:
        prose(console, f"{dropped_path(path)}: the rows left out, with the reasons ({dropped})")
    settings = "".join(f" --set {setting}" for setting in settings_for(cleaning))
    prose(console, f"Train with it: sftframe run --data {shlex.quote(str(path))}{settings}")


def _facts(found: Audit) -> Iterator[str]:
    yield f"read as {found.read_as}"
    for change, number in found.changes.items():
        yield f"{number:,} × {change}"
    if found.num_conversations or found.num_systems:
        yield f"{found.num_conversations:,} with earlier turns, {found.num_systems:,} with a system message"
    if found.instructions:
        text, number = found.instructions[0]
        yield (
            f"{found.num_instructions:,} different instructions; the most frequent has {number:,} rows: "
            f"{one_line(text, 60)!r}"
        )
    if found.languages:
        told = sum(number for _, number in found.languages)
        shares = ", ".join(f"{code} {percent(number / told)}" for code, number in found.languages[:5])
        more = f" and {len(found.languages) - 5} more" if len(found.languages) > 5 else ""
        yield f"languages of the {told:,} answers that are long enough to tell: {shares}{more}"
    if found.style:
        yield f"tokens are counted with prompt style {found.style} and the tokenizer of {found.tokenizer}"
    yield from found.notes


_BARS = "▁▂▃▄▅▆▇█"


def _length_line(length: Lengths) -> str:
    figures = f"median {length.median:,.0f}, 95 % up to {length.p95:,.0f}, longest {length.most:,}"
    return f"{length.what} in {length.unit}: {figures} {_histogram(length)}"


def _histogram(length: Lengths) -> str:
    """A bar for each bin, each twice as wide as the one before; ASCII where the terminal has no more."""
    top = max(bar.num_rows for bar in length.bins)
    if out().options.ascii_only:
        return ""
    bars = (" " if not bar.num_rows else _BARS[bar.num_rows * (len(_BARS) - 1) // top] for bar in length.bins)
    return f"[{length.bins[0].low:,} {''.join(bars)} {length.bins[-1].high:,}]"


def _invalid_lines(rows: Sequence[DroppedRow], most: int) -> Iterator[str | Text]:
    if not rows:
        return
    yield ""
    yield Text.assemble(("invalid", "bold yellow"), f"  {_rows(len(rows))} that cannot be used")
    for row in rows[:most]:
        yield f"  {row.place}: {row.message}"
    if len(rows) > most > 0:
        yield f"  … and {len(rows) - most:,} more; --json lists all"
    yield "  Mend them, or --set data.invalid=drop leaves them out of a run; --write leaves them out too."


def _finding_lines(finding: Finding, num_rows: int, most: int) -> Iterator[str | Text]:
    rows, kind = len(finding.sightings), finding.kind
    counted = f"{_rows(rows)} ({percent(rows / num_rows)})"
    yield Text.assemble((kind.name, "bold yellow"), f"  {counted}: {kind.title}")
    for sighting in finding.sightings[:most]:
        yield f"  {_sighting_text(sighting)}"
    if rows > most > 0:
        yield f"  … and {rows - most:,} more; --json lists all"
    yield f"  {_sentence(kind.remedy)}"


def _sighting_text(sighting: Sighting) -> str:
    where = f"{sighting.index}" if sighting.other is None else f"{sighting.index} like {sighting.other}"
    field = "" if sighting.other is not None else f" {sighting.field}"
    note = f" ({one_line(sighting.note)})" if sighting.note else ""
    return f"{where}{field}: {one_line(sighting.excerpt, 100) or '(empty)'}{note}"


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
