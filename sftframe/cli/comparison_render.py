"""Prints a comparison of arms: the verdict, the main table, all yardsticks in short, and changed answers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sftframe.analysis import ComparisonResult, YardstickTable
from sftframe.cli.console import one_line, out, prose, untitled_columns
from sftframe.formatting import p_text

NUM_FLIPS = 3
"""Number of changed answers that are shown."""


def show_comparison_result(result: ComparisonResult) -> None:
    """The verdict with its figures."""
    console = out()
    console.print(_differences(result.main))
    if len(result.tables) > 1:
        console.print(_all_yardsticks(result))
    prose(console, Text(result.sentence, style="bold"))
    for note in result.notes:
        prose(console, Text(note, style="dim"))


def show_flips(result: ComparisonResult, count: int = NUM_FLIPS) -> None:
    """The answers that changed most, between the baseline and the first arm with changed answers."""
    candidate = next((name for name, flips in result.flips.items() if flips), None)
    if candidate is None:
        return
    flips = result.flips[candidate]
    table = untitled_columns(f"largest changes of {len(flips)}: {result.baseline} → {candidate}", justify="right")
    for flip in flips[:count]:
        lines = (
            " ".join(part for part in (flip.baseline.instruction, flip.baseline.input) if part),
            f"reference  {flip.baseline.reference}",
            f"{result.baseline}  {flip.baseline.answer}",
            f"{candidate}  {flip.candidate.answer}",
        )
        table.add_row(result.main.yardstick.signed(flip.difference), Text("\n".join(one_line(line) for line in lines)))
    out().print(table)


def _differences(main: YardstickTable) -> Table:
    """A table of every arm against the baseline on one yardstick."""
    yardstick, table = main.yardstick, main.table
    means = {arm.name: arm.mean for arm in table.arms}
    baseline = table.comparisons[0].baseline
    shown = Table(
        title=Text(
            f"{yardstick.label} in {yardstick.unit} · {len(table.items)} items · {len(table.seeds)} "
            f"seed{'s' * (len(table.seeds) != 1)} · ±{main.margin:.3g} counts as none"
        ),
        title_justify="left",
    )
    shown.add_column("arm", min_width=_widest_word(list(means)))
    for column in ("mean", "difference [95 % interval]", "p (Holm)"):
        shown.add_column(Text(column), justify="right", overflow="fold")
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
