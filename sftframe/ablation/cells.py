"""The cells of a grid as runs: one after the other in this process, or several at a time in processes of their own.

A cell is a wall: whatever goes wrong in one is said and written down, and the others go on. Only a stop that the user
asks for ends them all.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from sftframe.ablation.progress import AblationObserver, CellEvent, CellObserver
from sftframe.config import Layer
from sftframe.errors import Interrupted, SftframeError
from sftframe.pipeline import Session
from sftframe.places import is_run
from sftframe.registry import Registry, load_registry
from sftframe.runs import RunFolder
from sftframe.stages.report import summary_document

Tell = Callable[[CellEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell that is to be run. Can be pickled."""

    number: int
    path: Path
    layer: Layer
    """The run's whole configuration, folder aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job."""

    number: int
    error: str = ""
    """One line; empty where the run is complete."""


def is_done(path: Path) -> bool:
    """The run is complete: nothing would be done if it were gone on with."""
    folder = RunFolder(path)
    return is_run(path) and folder.summary_path.exists() and folder.items_path.exists()


def run_here(jobs: Sequence[Job], registry: Registry, observer: AblationObserver) -> Iterator[Outcome]:
    """Run the jobs one after the other in this process.

    Raises:
        Interrupted: the user asked for a stop; the cell at work is saved.
    """
    for job in jobs:
        yield _run(job, registry, observer.happened)


def run_in_processes(
    jobs: Sequence[Job], *, num_processes: int, disabled: Sequence[str], observer: AblationObserver
) -> Iterator[Outcome]:
    """Run several jobs at a time, in processes that load the installed plugins anew. Yields in the order of the ends.

    A process that dies takes its cell with it and no other.

    Args:
        disabled: plugins that are to be left alone.

    Raises:
        Interrupted: the user asked for a stop; the cells at work are saved.
    """
    waiting, workers = deque(jobs), [_Worker(disabled) for _ in range(min(num_processes, len(jobs)))]
    try:
        while True:
            for position, worker in enumerate(workers):
                if worker.job is None and waiting:
                    workers[position] = worker = worker if worker.is_alive else _Worker(disabled)
                    worker.give(waiting.popleft())
            busy = {worker.connection: worker for worker in workers if worker.job is not None}
            if not busy:
                return
            for connection in multiprocessing.connection.wait(list(busy)):
                outcome = busy[cast(Connection, connection)].hear(observer)
                if outcome is not None:
                    yield outcome
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that runs one cell after the other, and the line to it."""

    def __init__(self, disabled: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, tuple(disabled)))
        self._process.start()
        theirs.close()  # or its death would not be an end of file
        self.job: Job | None = None

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def give(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # it has died: hearing it will tell
            self.connection.send(job)

    def hear(self, observer: AblationObserver) -> Outcome | None:
        """Pass on what it says; give the outcome if that was its last word on its job.

        Raises:
            Interrupted: it was asked to stop.
        """
        assert self.job is not None, "only a worker with a job is listened to"
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            message = (
                f"its process ended with code {self._process.exitcode}, perhaps for want of memory: "
                "try fewer --jobs, or a smaller --batch-size"
            )
            said = _failed(self.job, message, 0.0, observer.happened)
        if isinstance(said, CellEvent):
            observer.happened(said)
            return None
        self.job = None
        if isinstance(said, Interrupted):
            raise said
        assert isinstance(said, Outcome), "a worker says events and outcomes"
        return said

    def stop(self) -> None:
        """End it; a cell at work is saved first."""
        if self.job is not None and self._process.is_alive() and self._process.pid is not None:
            with suppress(OSError):
                os.kill(self._process.pid, signal.SIGINT)
        self.connection.close()
        self._process.join()


def _work(connection: Connection, disabled: Sequence[str]) -> None:
    """What a worker process does."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C is the parent's to pass on, once
    with suppress(EOFError, OSError, KeyboardInterrupt):  # the parent has gone, or wants no more
        registry = load_registry(disabled=disabled)
        while True:
            connection.send(_outcome(connection.recv(), registry, connection))


def _outcome(job: Job, registry: Registry, connection: Connection) -> Outcome | Interrupted:
    def tell(event: CellEvent) -> None:
        with suppress(OSError):  # nobody listens any more: the cell is saved all the same
            connection.send(event)

    try:
        return _run(job, registry, tell)
    except Interrupted as stop:
        return stop


def _run(job: Job, registry: Registry, tell: Tell) -> Outcome:
    start = time.monotonic()
    tell(CellEvent(number=job.number, kind="started"))
    try:
        summary = _summary(job, registry, CellObserver(job.number, tell))
    except Interrupted:
        raise
    except SftframeError as error:
        return _failed(job, str(error), time.monotonic() - start, tell)
    except Exception as error:  # a plugin's or our own mistake: the other arms may still be fine
        return _failed(job, f"internal error: {type(error).__name__}: {error}", time.monotonic() - start, tell)
    tell(CellEvent(number=job.number, kind="done", summary=summary, seconds=time.monotonic() - start))
    return Outcome(number=job.number)


def _failed(job: Job, message: str, seconds: float, tell: Tell) -> Outcome:
    tell(CellEvent(number=job.number, kind="failed", text=message, seconds=seconds))
    return Outcome(number=job.number, error=message)


def _summary(job: Job, registry: Registry, observer: CellObserver) -> dict[str, Any]:
    if is_done(job.path):
        known: dict[str, Any] = json.loads(RunFolder(job.path).summary_path.read_text(encoding="utf-8"))
        return known
    if is_run(job.path):
        session = Session.reopen(job.path, registry, observer)
        session.check_judge()
    else:
        session = Session.start({**job.layer, "out": job.path}, registry, observer, force=True, skip_memory_check=True)
    return dict(summary_document(session.run_all()))
