"""Prints a preview of examples and batches.

In a terminal the roles have colours, targets that count are underlined, and control tokens are in reverse. Without
colours, each stretch of one role begins with the role's name, a second line under each line of text marks the targets
that count with `^`, and control tokens are in double brackets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sftframe.cli.console import out, prose
from sftframe.cli.streams import write_json
from sftframe.config import RunConfig
from sftframe.escaping import escape_controls
from sftframe.pipeline import Against, BatchView, Previewed, RowDifference, TokenView
from sftframe.pipeline import Token as DumpToken
from sftframe.prompts.tokens import LengthReport
from sftframe.records import Batch, TokenizedExample
from sftframe.training import LABELS, PADDING, TargetCounts

if TYPE_CHECKING:
    from torch import Tensor

Shown = Sequence[tuple[str, TokenizedExample, list[TokenView]]]
"""The part of the data that an example is in, the example, and its tokens."""

_STYLES = {
    "template": "dim",
    "instruction": "cyan",
    "input": "magenta",
    "response": "green",
    "end": "bold yellow",
    "system": "blue",
    "tool": "bright_magenta",
    "padding": "dim red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts about the data as a whole."""

    collate: str
    counts: TargetCounts
    lengths: LengthReport
    unused_columns: tuple[str, ...]
    num_measured: int
    num_examples: int

    @classmethod
    def of(cls, config: RunConfig, data: Previewed, counts: TargetCounts) -> Facts:
        """The facts of a preview."""
        return cls(
            collate=config.collate.name,
            counts=counts,
            lengths=data.prepared.lengths,
            unused_columns=tuple(column.name for column in data.prepared.dataset.unused_columns),
            num_measured=data.num_measured,
            num_examples=data.num_examples,
        )

    def document(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return {
            "lengths": asdict(self.lengths),
            "counted_share": self.counts.shares,
            "unused_columns": list(self.unused_columns),
            "measured": {"examples": self.num_measured, "of": self.num_examples},
        }


def show_examples(shown: Shown, facts: Facts, *, with_ids: bool, as_json: bool) -> None:
    """Print examples token by token, then the lengths and the shares of targets that count."""
    if as_json:
        write_json(
            {
                "collate": facts.collate,
                "examples": [
                    {
                        "index": example.index,
                        "part": part,
                        "turn_weights": list(example.turn_weights),
                        "tokens": [asdict(token) for token in tokens],
                    }
                    for part, example, tokens in shown
                ],
                **facts.document(),
            }
        )
        return
    console = out()
    for part, example, every_token in shown:
        tokens = list(_with_padding_counted(every_token)) if not with_ids else every_token
        of_part = "" if part == "train" else f" ({part})"
        console.rule(f"example {example.index}{of_part}, {len(example.ids)} tokens", align="left")
        first = 0
        for turn, group in itertools.groupby(tokens, key=lambda token: token.turn):
            own = list(group)
            if len(example.turn_weights) > 1:
                console.print(Text(_about_exchange(turn, example)))
            _show_tokens(console, own, first=first, with_ids=with_ids)
            first += len(own)
    if console.is_terminal and not console.no_color:
        console.print(_legend(has_controls=any(token.is_control for *_, row in shown for token in row)))
    _show_totals(console, facts, _weights(token for _, _, tokens in shown for token in tokens))


def show_against(path: Path, found: Against, most: int, *, collate: str, as_json: bool) -> None:
    """Print where another trainer's rows differ from ours, in sum and for the first rows.

    Args:
        most: rows that are shown.
        collate: the name of our collate strategy.
    """
    if as_json:
        write_json({"dump": str(path), "collate": collate, **found.document()})
        return
    console = out()
    part = "training rows" if found.part == "train" else "rows of all parts"
    prose(console, f"{path}: {found.num_theirs:,} rows, compared with our {found.num_ours:,} {part} ({collate})")
    if not found.has_labels:
        prose(console, "The dump has no labels and no mask, so all of its tokens are taken to count.")
    if found.is_same:
        prose(console, "All are the same: every token, and every label.")
        return
    if found.is_reordered:
        prose(console, "The order is another one: each row is compared with the one of ours that is most like it.")
    if found.num_unmatched:
        prose(console, f"{found.num_unmatched:,} rows of the dump are like none of ours.")
    if found.num_missing:
        prose(console, f"{found.num_missing:,} of our rows are not in the dump.")
    num_labels_only = found.num_labels_differ - sum(1 for row in found.differences if row.kind and row.label)
    prose(
        console,
        f"{found.num_same:,} rows are the same; in {found.num_tokens_differ:,} tokens differ, in {num_labels_only:,} "
        "only labels.",
    )
    for kind, number in list(found.kinds.items())[:_MOST_KINDS]:
        prose(console, f"  {number:,} × {kind}")
    _show_labels(console, found)
    for row in found.differences[:most]:
        for line in _difference_lines(row):
            prose(console, line)
    if len(found.differences) > most:
        prose(console, f"… and {len(found.differences) - most:,} more rows; -n shows more, --json lists all")


_MOST_KINDS = 8


def _show_labels(console: Console, found: Against) -> None:
    if any(counts.ours or counts.theirs for counts in found.labels.values()):
        table = Table("role", "count in both", "only in ours", "only in theirs", "in none", title_justify="left")
        table.title = "labels of the tokens that both have"
        for column in table.columns[1:]:
            column.justify = "right"
        for role, counts in found.labels.items():
            table.add_row(
                role, *(f"{number:,}" for number in (counts.both, counts.ours, counts.theirs, counts.neither))
            )
        console.print(table)
    if found.has_weights:
        prose(console, "Some of our targets count with a weight other than 1; a dump has no weights.")


def _difference_lines(row: RowDifference) -> Iterator[str]:
    yield f"{row.place}, our example {row.index}:"
    if row.kind:
        ours = "our row ends" if row.ours is None else f"ours {_named(row.ours)}"
        theirs = "theirs ends" if row.theirs is None else f"theirs {_named(row.theirs)}"
        at = row.ours or row.theirs
        yield f"  {row.kind}; first at token {at.position if at else 0}: {ours}, {theirs}"
        yield f"    ours   {row.our_text!r}"
        yield f"    theirs {row.their_text!r}"
    if row.label is not None:
        other = "not in theirs" if row.counts_in == "ours" else "not in ours"
        token = f"token {row.label.position}, {_named(row.label)}"
        yield f"  first label that differs: {token} counts in {row.counts_in}, {other}"


def _named(token: DumpToken) -> str:
    role = f" ({token.role})" if token.role else ""
    return f"{token.text!r} [{token.id}]{role}"


def _about_exchange(turn: int, example: TokenizedExample) -> str:
    weight = example.turn_weights[turn]
    counts = "" if weight == 1 else f"; its answer has the weight {weight:g}"
    return f"exchange {turn + 1} of {len(example.turn_weights)}{counts}"


def _show_tokens(console: Console, tokens: Sequence[TokenView], *, first: int, with_ids: bool) -> None:
    if with_ids:
        console.print(_id_table(tokens, first))
    elif console.is_terminal and not console.no_color:
        console.print(_coloured(tokens), soft_wrap=False)
    else:
        console.print(Text("\n".join(_marked(tokens, console.width))), soft_wrap=True)


def show_batches(views: Sequence[BatchView], facts: Facts, *, as_json: bool) -> None:
    """Print every batch's shape, targets that count and padding, and the tensors if they are given."""
    if as_json:
        write_json({"collate": facts.collate, "batches": [_batch_document(view) for view in views], **facts.document()})
        return
    console = out()
    table = Table("batch", "shape", "counted", "padding", title=f"{len(views)} batches", title_justify="left")
    for column in table.columns:
        column.justify = "right"
    for number, view in enumerate(views):
        rows, positions = view.shape
        padding = f"{view.padding} ({view.padding / (rows * positions):.0%})"
        table.add_row(str(number), f"{rows} x {positions}", str(view.counted), padding)
    console.print(table)
    for number, view in enumerate(views):
        if view.tensors is not None:
            console.print(Text(_tensor_text(number, view, view.tensors)), soft_wrap=True)
    _show_totals(console, facts)


def _batch_document(view: BatchView) -> dict[str, Any]:
    document = {field: getattr(view, field) for field in ("shape", "counted", "padding", "indices")}
    if view.tensors is not None:
        document |= {name: None if rows is None else rows.tolist() for name, rows in _tensors(view.tensors)}
    return document


def _tensors(batch: Batch) -> Iterator[tuple[str, Tensor | None]]:
    yield from (("inputs", batch.inputs), ("targets", batch.targets), ("weights", batch.weights))


def _tensor_text(number: int, view: BatchView, batch: Batch) -> str:
    """Print a batch's tensors as torch does, with every number."""
    lines = ["", f"batch {number}, examples {', '.join(map(str, view.indices))}"]
    for name, tensor in _tensors(batch):
        if tensor is None:
            lines.append(f"{name}: 1 for every target that is not -100")
            continue
        rows = [[f"{value:g}" if isinstance(value, float) else str(value) for value in row] for row in tensor.tolist()]
        width = max(len(word) for row in rows for word in row)
        lines += [f"{name} {tuple(tensor.shape)}:"]
        lines += ["[" + ", ".join(word.rjust(width) for word in row) + "]" for row in rows]
    return "\n".join(lines)


def _weights(tokens: Iterable[TokenView]) -> dict[str, str]:
    """The weights of each role's counted targets, where they are not all 1: `0.25`, or the least and the greatest."""
    found: dict[str, set[float]] = {}
    for token in tokens:
        if token.weight > 0:
            found.setdefault(token.role, set()).add(token.weight)
    if all(weights == {1.0} for weights in found.values()):
        return {}
    return {role: " to ".join(f"{weight:g}" for weight in sorted({min(w), max(w)})) for role, w in found.items()}


def _show_totals(console: Console, facts: Facts, weights: Mapping[str, str] = {}) -> None:
    lengths = facts.lengths
    console.print()
    console.print(
        f"Lengths: mean {lengths.mean:.1f} tokens, longest {lengths.longest}, at most {lengths.max_length}; "
        f"{len(lengths.over_long)} over, {lengths.num_dropped} dropped, {lengths.num_truncated} cut"
    )
    if facts.num_measured < facts.num_examples:
        console.print(
            f"Lengths and shares are from {facts.num_measured:,} of the {facts.num_examples:,} examples; "
            "--lengths measures all.",
            soft_wrap=True,
        )
    table = Table("role", "targets that count", title=f"collate strategy {facts.collate}", title_justify="left")
    table.columns[1].justify = "right"
    if weights:
        table.add_column("weight in these examples", justify="right")
    for role, share in facts.counts.shares.items():
        table.add_row(role, f"{share:.1%}", *([weights.get(role, "–")] if weights else []))
    console.print(table)


def _with_padding_counted(tokens: Sequence[TokenView]) -> Iterator[TokenView]:
    """The padding at the end of a row as one token with its number."""
    for is_padding, group in itertools.groupby(tokens, key=lambda token: token.role == LABELS[PADDING]):
        run = list(group)
        yield from [replace(run[0], text=f"{run[0].text} x {len(run)}")] if is_padding else run


def _coloured(tokens: Sequence[TokenView]) -> Text:
    text = Text()
    for token in tokens:
        style = _STYLES[token.role] + " underline" * (token.weight > 0) + " reverse" * token.is_control
        shown = escape_controls(token.text)
        text.append(shown.replace("\n", "⏎\n") if token.weight > 0 else shown, style)
    return text


def _legend(*, has_controls: bool) -> Text:
    roles = [Text(role, style) for role, style in _STYLES.items()]
    controls = ("; ", ("reversed", "reverse"), " = one control token") if has_controls else ()
    return Text.assemble(Text(", ").join(roles), "; ", ("underlined", "underline"), " = counts in the loss", *controls)


def _marked(tokens: Sequence[TokenView], width: int) -> Iterator[str]:
    """Lines of text, each followed by a line that marks the counted targets."""
    margin = max(len(role) for role in _STYLES) + 1
    for role, group in itertools.groupby(tokens, key=lambda token: token.role):
        first = True
        for text, marks in _wrapped(list(group), max(width - margin, 20)):
            yield f"{role if first else '':<{margin}}{text}"
            if marks.strip():
                yield " " * margin + marks.rstrip()
            first = False


def _wrapped(tokens: Sequence[TokenView], width: int) -> Iterator[tuple[str, str]]:
    """The text and its marks, cut at line breaks and at the width."""
    text = marks = ""
    for token in tokens:
        shown = f"⟦{token.text}⟧" if token.is_control else token.text
        for character in escape_controls(shown).replace("\n", "⏎\n"):
            cells = cell_len(character)
            if character == "\n" or cell_len(text) + cells > width:
                yield text, marks
                text = marks = ""
            if character != "\n":
                text += character
                marks += ("^" if token.weight > 0 else " ") * cells
    if text:
        yield text, marks


def _id_table(tokens: Sequence[TokenView], first: int) -> Table:
    table = Table("position", "id", "token", "role", "weight as a target")
    for column in ("position", "id", "weight as a target"):
        next(c for c in table.columns if c.header == column).justify = "right"
    has_controls = any(token.is_control for token in tokens)
    if has_controls:
        table.add_column("control token")
    for position, token in enumerate(tokens, start=first):
        weight = f"{token.weight:g}" if token.weight > 0 else "–"
        control = ["yes" if token.is_control else ""] if has_controls else []
        role = Text(token.role, _STYLES[token.role])
        table.add_row(str(position), str(token.id), Text(repr(token.text)), role, weight, *control)
    return table
