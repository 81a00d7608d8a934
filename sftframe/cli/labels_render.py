"""Prints what people's labels say of a judge: the corrected figure, and how judge and people agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from sftframe.analysis import Agreement, Corrected, CorrectedMean, PeopleFindings
from sftframe.cli.console import out, prose, untitled_columns
from sftframe.report import agreement_facts, bias_rows, bias_text, pair_rows


def show_corrected_mean(found: CorrectedMean) -> None:
    """The corrected mean beside the judge's own, the agreement, and what was left out."""
    mean = found.mean
    table = untitled_columns(f"people's labels · {mean.num_labels} of {mean.num_items} items")
    for label, text in (*_mean_rows(mean), *_agreement_rows(found.agreement)):
        table.add_row(label, Text(text))
    out().print(table)
    for note in found.notes:
        prose(out(), Text(f"{note[:1].upper()}{note[1:]}.", style="dim"))


def _mean_rows(mean: Corrected) -> Iterator[tuple[str, str]]:
    interval = mean.interval
    bounds = f", 95 % interval {interval.low:.1f} to {interval.high:.1f}" if interval else ""
    yield "corrected mean", f"{mean.value:.1f} of 100{bounds}"
    yield "judge alone", f"{mean.judge_alone:.1f}"
    alone = mean.labels_alone_interval
    bounds = f", 95 % interval {alone.low:.1f} to {alone.high:.1f}" if alone else ""
    yield "labels alone", f"{mean.labels_alone:.1f}{bounds}"
    yield "judge's weight", f"{mean.power_tuning:.2f} (0 = its scores say nothing about the labels)"


def _agreement_rows(found: Agreement) -> Iterator[tuple[str, str]]:
    yield from agreement_facts(found)
    for part in found.arms:
        yield "judge minus people", bias_text(part)
    for part in found.lengths:
        yield f"… {part.name}", bias_text(part)


def show_people(people: PeopleFindings) -> None:
    """What people and judge say of each candidate alone, and the judge's bias."""
    pairs = _numbers("candidate", ("labelled", "people and judge", "labels alone", "judge alone"))
    for row in pair_rows(people):
        pairs.add_row(Text(row.candidate), row.num_labels, row.corrected, row.labels_alone, row.judge_alone)
    bias = _numbers("labelled answers", ("number", "judge", "people", "judge minus people"))
    for part in bias_rows(people.agreement):
        bias.add_row(Text(part.part), part.num_answers, part.judge, part.people, part.difference)
    out().print(pairs)
    out().print(bias)
    for label, text in agreement_facts(people.agreement):
        prose(out(), Text(f"{label[:1].upper()}{label[1:]}: {text}"))


def _numbers(first: str, others: Sequence[str]) -> Table:
    table = Table(title_justify="left")
    table.add_column(first)
    for column in others:
        table.add_column(Text(column), justify="right", overflow="fold")
    return table
