"""`sftframe runs`: what runs there are, and what of them can go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sftframe.cli import completion
from sftframe.cli.commands import Commands, Group
from sftframe.cli.options import Json, argument
from sftframe.cli.streams import write, write_json
from sftframe.errors import ConfigError
from sftframe.formatting import file_size

if TYPE_CHECKING:
    from sftframe.runs import ListedRun

Runs = Annotated[
    list[Path],
    argument("RUN…", "Folders of runs.", completion.runs),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Order = Literal["name", "when", "size", "judge", "exact", "steps", "state"]


class _ListByDefault(Group):
    """`sftframe runs [DIR]` is `sftframe runs list [DIR]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What comes first names a command, asks for help, or belongs to `list`."""
        is_own = bool(args) and (args[0] in self.commands or args[0] in ("-h", "--help"))
        return list(super().parse_args(ctx, args if is_own else ["list", *args]))


app = Commands(
    cls=_ListByDefault,
    help="List runs, delete them, or free the disk that finished ones do not need. Alone it lists them.",
)


@app.command("list")
def list_runs(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Where to look, folders below too. Default: runs and ablations."),
    ] = None,
    sort: Annotated[Order, typer.Option("--sort", help="What the list is sorted by.")] = "when",
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order around.")] = False,
    as_json: Json = False,
) -> None:
    """List runs: when, which pieces, how far, how good, how large. The word `list` may be left out.

    Example: sftframe runs list ablations --sort size
    """
    from dataclasses import asdict

    from sftframe.runs import runs_in

    folders = [Path("runs"), Path("ablations")] if folder is None else [folder]
    runs = [run for place in folders if place.is_dir() or folder for run in runs_in(place)]
    found = sorted(runs, key=lambda run: _key(run, sort), reverse=_is_falling(sort) != reverse)
    if as_json:
        write_json({"runs": [asdict(run) for run in found]})
        return
    _show(found)


@app.command("rm")
def remove(paths: Runs, yes: Yes = False, as_json: Json = False) -> None:
    """Delete runs with all that is in their folders.

    Example: sftframe runs rm runs/mine runs/other
    """
    from sftframe.runs import check_is_run, delete_run, runs_in

    for path in paths:
        check_is_run(path)
    rows = [row for path in paths for row in runs_in(path)]
    total = sum(row.num_bytes for row in rows)
    _ask(f"Delete {', '.join(map(str, paths))} ({file_size(total)})?", is_agreed=yes)
    for path in paths:
        delete_run(path)
    _tell("deleted", paths, total, as_json=as_json)


@app.command("free")
def free(paths: Runs, yes: Yes = False, as_json: Json = False) -> None:
    """Delete checkpoints and optimizer states of runs; model, answers and reports stay.

    Example: sftframe runs free runs/mine
    """
    from sftframe.runs import check_is_run, free_run, runs_in

    for path in paths:
        check_is_run(path)
    rows = [row for path in paths for row in runs_in(path)]
    cut_short = [row.path for row in rows if row.state == "interrupted"]
    if cut_short:
        _ask(
            f"{', '.join(cut_short)}: interrupted; without checkpoints the training starts again. Free all the same?",
            is_agreed=yes,
        )
    total = sum(free_run(path) for path in paths)
    _tell("freed", paths, total, as_json=as_json)


def _key(run: ListedRun, sort: Order) -> tuple[bool, Any]:
    """Runs that do not have what is sorted by come at one end."""
    values = {
        "name": run.path,
        "when": run.created,
        "size": run.num_bytes,
        "judge": run.judge_mean,
        "exact": run.exact_match,
        "steps": run.steps,
        "state": run.state,
    }
    value = values[sort]
    return value is not None, value if value is not None else 0


def _is_falling(sort: Order) -> bool:
    """The newest, largest and best come first."""
    return sort not in ("name", "state")


def _ask(question: str, *, is_agreed: bool) -> None:
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} There is no terminal to answer in: say so with --yes")
    typer.confirm(question, abort=True, err=True)


def _tell(verb: str, paths: list[Path], num_bytes: int, *, as_json: bool) -> None:
    from sftframe.escaping import escape_controls

    if as_json:
        write_json({verb: [str(path) for path in paths], "bytes": num_bytes})
    else:
        write(escape_controls(f"{verb} {', '.join(map(str, paths))}: {file_size(num_bytes)}\n"))


def _show(runs: list[ListedRun]) -> None:
    from rich.table import Table
    from rich.text import Text

    from sftframe.cli.console import out
    from sftframe.cli.render import note

    if not runs:
        note("no runs here; sftframe run makes one")
        return
    console = out()
    if console.width < _NARROW:
        for run in runs:
            console.print(Text(f"{run.path}\n  {'  '.join(filter(None, _fields(run)))}"))
    else:
        table = Table(box=None, pad_edge=False)
        table.add_column("run", overflow="fold")
        for column in ("when", "pieces", "data"):
            table.add_column(column, overflow="fold")
        for column in ("steps", "state", "judge", "exact", "size"):
            table.add_column(column, justify="left" if column == "state" else "right", no_wrap=True)
        for run in runs:
            table.add_row(*(Text(text) for text in (run.path, *_fields(run))))
        console.print(table)
    freeable = sum(run.freeable_bytes for run in runs if run.state in ("finished", "trained"))
    total = f"{len(runs)} run{'s' * (len(runs) != 1)}, {file_size(sum(run.num_bytes for run in runs))}"
    hint = f"; {file_size(freeable)} are checkpoints of finished runs: sftframe runs free RUN" if freeable else ""
    note(f"{total}{hint}")


_NARROW = 100
"""Columns below which a run takes two lines, not a row of a table."""


def _fields(run: ListedRun) -> tuple[str, ...]:
    pieces = " · ".join(part for part in (run.model, run.prompt, run.collate) if part)
    return (
        (run.created or "")[:16].replace("T", " "),
        pieces,
        run.data or "",
        "" if run.steps is None else f"{run.steps:,}",
        run.state,
        "" if run.judge_mean is None else f"{run.judge_mean:.1f}",
        "" if run.exact_match is None else f"{run.exact_match:.0%}",
        file_size(run.num_bytes),
    )
