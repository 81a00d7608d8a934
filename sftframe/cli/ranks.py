"""Commands that several processes do together: started by `--nproc N`, or by torchrun."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated

import typer

from sftframe.cli.options import MACHINE_PANEL, option
from sftframe.distributed import Place, check_torch, keep_signals_back

if TYPE_CHECKING:
    from sftframe.distributed.ranks import Ranks

NumProcesses = Annotated[
    int | None,
    option(
        "--nproc",
        min=1,
        metavar="N",
        panel=MACHINE_PANEL,
        help="Processes of this machine that work together, one for each GPU.",
    ),
]

_ranks: ContextVar[Ranks | None] = ContextVar("ranks", default=None)


def other_ranks() -> Ranks | None:
    """The other processes that work on this command; None = this one is alone."""
    return _ranks.get()


@contextmanager
def among_ranks() -> Iterator[None]:
    """Join the other processes, if there are any. Only rank 0 runs the body; the others end when it has ended."""
    place = Place.read()
    if place.is_alone:
        yield
        return
    from sftframe.cli.render import fail

    check_torch()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch tells of a lost process with a list of addresses
    if not place.leads:
        keep_signals_back()
    from sftframe.distributed.ranks import Ranks  # imports torch, which starts threads

    ranks = Ranks(place, tell=fail)
    if not place.leads:
        from sftframe.distributed.following import follow

        follow(ranks)
        gc.freeze()
        sys.exit(0)
    token = _ranks.set(ranks)
    try:
        yield
    finally:
        _ranks.reset(token)
        ranks.dismiss()
        gc.freeze()  # or Python looks for garbage among all that torch has loaded, for seconds, before it ends


def start_processes(number: int | None) -> None:
    """With `--nproc`, run this command again in several processes, and end with their exit code."""
    if number is None or number == 1 or not Place.read().is_alone:
        return
    check_torch()
    from sftframe.distributed.launching import launch

    try:
        raise typer.Exit(launch(sys.argv[1:], number))
    finally:
        gc.freeze()
