"""How commands declare their arguments and flags, and those that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sftframe.cli import completion

Completer = Callable[[str], list[completion.Offer]]


MACHINE_PANEL = "Run"
"""Where help lists what concerns this machine and this one call."""


def option(
    *names: str,
    help: str,
    metavar: str | None = None,
    panel: str | None = None,
    complete: Completer | None = None,
    **more: Any,
) -> Any:
    """A flag whose default is not shown, because its help says it or there is none."""
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, autocompletion=complete, show_default=False, **more
    )


def argument(metavar: str, help: str, complete: Completer | None = None) -> Any:
    """A positional argument that must be given."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, autocompletion=complete)


Run = Annotated[Path, argument("RUN", "A run's folder.", completion.runs)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
