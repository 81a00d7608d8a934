"""Prints a comparison of arms: the verdict, the main table, all yardsticks in short, and changed answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sftframe.analysis import ComparisonResult, YardstickTable
from sftframe.cli.console import one_line, out, prose, untitled_columns
from sftframe.cli.labels_render import show_people
from sftframe.formatting import p_text
from sftframe.records import AnsweredItem
from sftframe.report import LOOK_COLUMNS, look_rows, next_questions

NUM_FLIPS = 3
"""Number of changed answers that are shown."""


def show_comparison_result(result: ComparisonResult) -> None:
    """The verdict, its figures, and what would settle it."""
    console = out()
    prose(console, Text(result.sentence, style="bold"))
    _show(console, _differences(result.main), _differences_as_lines(result.main))
    if len(result.tables) > 1:
        _show(console, _all_yardsticks(result), _yardsticks_as_lines(result))
    if rows := look_rows(result):
        _show(console, _looks(rows), _looks_as_lines(rows))
    if result.people is not None:
        show_people(result.people)
    for question, lines in next_questions(result):
        prose(console, Text.assemble((f"{question}: ", "bold"), lines[0]))
        for line in lines[1:]:
            prose(console, Text(line))
    for note in result.notes:
        prose(console, Text(note, style="dim"))


_SLACK = 4
"""Columns that Rich may need beyond its own least width of a table."""


def _show(console: Console, table: Table, lines: Iterable[str]) -> None:
    """The table, or where the terminal is too narrow for it the same in lines: a cut-off table hides the verdict."""
    needed = Measurement.get(console, console.options.update(width=1000), table).minimum + _SLACK
    if needed <= console.width:
        console.print(table)
        return
    prose(console, Text(str(table.title)))
    for line in lines:
        prose(console, Text(f"- {line}"))


def show_flips(result: ComparisonResult) -> None:
    """The answers that changed most, between the baseline and the first arm with changed answers."""
    candidate = next((name for name, flips in result.flips.items() if flips), None)
    if candidate is None:
        return
    flips = result.flips[candidate]
    table = untitled_columns(f"largest changes of {len(flips)}: {result.baseline} → {candidate}", justify="right")
    for flip in flips[:NUM_FLIPS]:
        lines = (
            _question(flip.baseline),
            f"reference  {flip.baseline.reference}",
            f"{result.baseline}  {flip.baseline.answer}",
            f"{candidate}  {flip.candidate.answer}",
        )
        table.add_row(result.main.yardstick.signed(flip.difference), Text("\n".join(one_line(line) for line in lines)))
    out().print(table)


def _question(item: AnsweredItem) -> str:
    """What is asked; in a conversation after its first question, since the last one says little without it."""
    first = f"{item.turns[0].instruction} …" if item.turns else ""
    return " ".join(part for part in (first, item.instruction, item.input) if part)


def _differences(main: YardstickTable) -> Table:
    """A table of every arm against the baseline on one yardstick."""
    yardstick, table = main.yardstick, main.table
    means = {arm.name: arm.mean for arm in table.arms}
    baseline = table.comparisons[0].baseline
    shown = Table(
        title=Text(
            f"{yardstick.label} in {yardstick.unit} · {len(table.items)} items{main.in_groups} · {len(table.seeds)} "
            f"seed{'s' * (len(table.seeds) != 1)} · ±{main.margin:.3g} counts as none"
        ),
        title_justify="left",
    )
    shown.add_column("arm", min_width=_widest_word(list(means)))
    for column, narrowest in (("mean", 4), ("difference [95 % interval]", 11), ("p (Holm)", 8)):
        shown.add_column(Text(column), justify="right", overflow="fold", min_width=narrowest)
    shown.add_column("verdict", no_wrap=True)
    shown.add_row(Text(baseline), yardstick.text(means[baseline]), "", "", "baseline")
    for found in table.comparisons:
        interval = found.interval
        bounds = f" [{yardstick.signed(interval.low)}, {yardstick.signed(interval.high)}]" if interval else ""
        shown.add_row(
            Text(found.candidate),
            yardstick.text(means[found.candidate]),
            Text(f"{yardstick.signed(found.difference)}{bounds}"),
            p_text(found.p_holm),
            Text(found.verdict, style={"better": "green", "worse": "red"}.get(found.verdict, "")),
        )
    return shown


def _differences_as_lines(main: YardstickTable) -> Iterator[str]:
    yardstick, table = main.yardstick, main.table
    means = {arm.name: arm.mean for arm in table.arms}
    baseline = table.comparisons[0].baseline
    yield f"{baseline}: mean {yardstick.text(means[baseline])}, baseline"
    for found in table.comparisons:
        interval = found.interval
        bounds = f" [{yardstick.signed(interval.low)}, {yardstick.signed(interval.high)}]" if interval else ""
        yield (
            f"{found.candidate}: mean {yardstick.text(means[found.candidate])}, difference "
            f"{yardstick.signed(found.difference)}{bounds}, p (Holm) {p_text(found.p_holm)}, {found.verdict}"
        )


def _yardsticks_as_lines(result: ComparisonResult) -> Iterator[str]:
    for table in result.tables:
        arms = ", ".join(f"{arm.name} {' '.join(_summed_up(table, arm.name).split())}" for arm in result.arms)
        yield f"{table.yardstick.short_label}: {arms}"


def _all_yardsticks(result: ComparisonResult) -> Table:
    """A table of every arm's means and verdicts on all yardsticks."""
    names = [arm.name for arm in result.arms]
    title = Text("all yardsticks: mean, verdict against the baseline; ? = cannot tell")
    shown = Table(title=title, title_justify="left")
    shown.add_column("arm", min_width=_widest_word(names))
    for table in result.tables:
        shown.add_column(Text(table.yardstick.short_label), justify="right")
    for name in names:
        shown.add_row(Text(name), *(Text(_summed_up(table, name)) for table in result.tables))
    return shown


def _looks(rows: Sequence[Sequence[str]]) -> Table:
    """A table of what every look found."""
    shown = Table(title=Text("looks, one after the other"), title_justify="left")
    for column in LOOK_COLUMNS:
        is_text = column in ("arm", "verdict")
        shown.add_column(Text(column), justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def _looks_as_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        named = zip(LOOK_COLUMNS[1:], row[1:], strict=True)
        yield f"{row[0]} seeds: {', '.join(f'{name} {text}' for name, text in named if text)}"


def _summed_up(table: YardstickTable, name: str) -> str:
    mean = next(arm.mean for arm in table.table.arms if arm.name == name)
    verdicts = [
        "?" if found.verdict == "cannot tell" else found.verdict
        for found in table.table.comparisons
        if found.candidate == name
    ]
    return "\n".join([table.yardstick.text(mean), *verdicts])


def _widest_word(names: Sequence[str]) -> int:
    return min(24, max(len(word) for name in names for word in name.split()))
