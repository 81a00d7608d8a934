"""Starts several processes of a command on this machine, by torch's elastic agent, as `torchrun` does."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sftframe.distributed.place import EXIT_TOLD, LAUNCHED_VARIABLE, named
from sftframe.errors import TrainingError

SHUTDOWN_S = 300
"""Seconds that the processes have to save their state after a stop."""


def launch(command: Sequence[str], num_processes: int) -> int:
    """Run a command of sftframe in several processes; the one with rank 0 has this process's streams.

    Args:
        command: what comes after `sftframe`.

    Returns:
        The exit code of the run. If it is not 0, rank 0 has printed the message.

    Raises:
        TrainingError: a process was killed, or ended without a message; this message names it.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with _no_logs(), tempfile.TemporaryDirectory(prefix="sftframe-ranks-") as folder, _variable(LAUNCHED_VARIABLE, "1"):
        others = dict.fromkeys(range(1, num_processes), Std.ALL)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            run_id=uuid.uuid4().hex,
            shutdown_timeout=SHUTDOWN_S,
            logs_specs=DefaultLogsSpecs(log_dir=folder, redirects=others),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "sftframe", *command)
        except SignalException:
            return 130  # rank 0 has got the signal too, and has said what it saved
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode == EXIT_TOLD or (rank == 0 and failure.exitcode > 0):
                return failure.exitcode
            raise TrainingError(
                f"{named(rank, socket.gethostname())} {_end_in_words(failure.exitcode, Path(folder), rank)}; what was "
                "saved before it is kept: continue with sftframe run --resume RUN"
            ) from None
    return 0


def _end_in_words(exit_code: int, folder: Path, rank: int) -> str:
    """How a process ended, with the last line that it wrote."""
    if exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    logs = sorted(folder.glob(f"*/attempt_*/{rank}/stderr.log"))
    lines = [line for log in logs for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line]
    return f"ended with exit code {exit_code}" + (f" ({lines[-1].strip()})" if lines else "")


@contextmanager
def _no_logs() -> Iterator[None]:
    """Torch's agent logs several screens where one line says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable that started processes inherit."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
