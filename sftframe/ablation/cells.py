"""The runs of a grid: one at a time in this process, or several in worker processes that end with the command."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

from sftframe.ablation.grid import Cell
from sftframe.config import Layer
from sftframe.errors import ConfigError, Interrupted, SftframeError
from sftframe.files import check_vacant, is_run
from sftframe.files.locks import hold, owner
from sftframe.interrupts import deferred_interrupt, interruptible
from sftframe.pipeline import Session, check_made_with
from sftframe.plugins import CellEvent, CellOutcome
from sftframe.progress import Observer
from sftframe.registry import Registry, load_registry
from sftframe.report import summary_document
from sftframe.runs import RunStore, read_object


class AblationObserver:
    """Gets the events of all cells; every method may be overridden, none has to be."""

    def planned(self, cells: Sequence[Cell]) -> None:
        """The cells, in the order in which they start."""

    def happened(self, event: CellEvent) -> None:
        """Something happened in a cell."""

    def note(self, text: str) -> None:
        """Useful information about the whole ablation, one line."""

    def warn(self, text: str) -> None:
        """A warning, one line."""


class CellObserver(Observer):
    """A run's observer that passes on its events as those of a cell."""

    def __init__(self, number: int, tell: Callable[[CellEvent], None]) -> None:
        self._number = number
        self._tell = tell

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        self._tell(CellEvent(number=self._number, kind="begin", text=stage, total=total))

    def advance(self, amount: int = 1, **figures: float) -> None:
        self._tell(CellEvent(number=self._number, kind="advance", amount=amount, figures=figures))

    def end(self) -> None:
        self._tell(CellEvent(number=self._number, kind="end"))

    def note(self, text: str) -> None:
        self._tell(CellEvent(number=self._number, kind="note", text=text))

    def warn(self, text: str) -> None:
        self._tell(CellEvent(number=self._number, kind="warn", text=text))


Tell = Callable[[CellEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell that is to be run. Can be pickled."""

    number: int
    path: Path
    layer: Layer
    """The run's whole configuration, folder aside."""
    is_tuning: bool = False
    """Only train and measure the validation part: no answers, no judge, no test item."""

    @property
    def is_done(self) -> bool:
        """Nothing is left to do."""
        return is_run(self.path) and RunStore(self.path).is_trained if self.is_tuning else is_done(self.path)


def is_done(path: Path) -> bool:
    """The run is complete: a resume would do nothing."""
    folder = RunStore(path)
    return is_run(path) and folder.is_finished


def run_here(jobs: Sequence[Job], registry: Registry, observer: AblationObserver) -> Iterator[CellOutcome]:
    """Run the jobs one after the other in this process.

    Raises:
        Interrupted: the user asked for a stop; the cell at work is saved.
    """
    for job in jobs:
        yield run_cell(job, registry, observer.happened)


def run_cell(job: Job, registry: Registry, tell: Tell) -> CellOutcome:
    """Run one job.

    Args:
        tell: gets an event for everything that happens in the cell.

    Raises:
        Interrupted: the user asked for a stop; the cell is saved.
    """
    start, was_done = time.monotonic(), job.is_done
    tell(CellEvent(number=job.number, kind="started"))
    try:
        summary = _summary(job, registry, CellObserver(job.number, tell))
    except Interrupted:
        raise
    except SftframeError as error:
        return failed(job, str(error), time.monotonic() - start, tell)
    except Exception as error:  # a plugin's or our own mistake: the other arms may still be fine
        return failed(job, f"internal error: {type(error).__name__}: {error}", time.monotonic() - start, tell)
    seconds = 0.0 if was_done else time.monotonic() - start
    tell(CellEvent(number=job.number, kind="done", summary=summary, seconds=seconds))
    return CellOutcome(number=job.number)


def failed(job: Job, message: str, seconds: float, tell: Tell) -> CellOutcome:
    """The outcome of a job that failed, after telling of it."""
    tell(CellEvent(number=job.number, kind="failed", text=message, seconds=seconds))
    return CellOutcome(number=job.number, error=message)


def _summary(job: Job, registry: Registry, observer: CellObserver) -> dict[str, Any]:
    if job.is_tuning:
        _train_only(job, registry, observer)
        return {}
    if is_run(job.path):
        check_made_with(RunStore(job.path), job.layer, registry)
    if is_done(job.path):
        return read_object(RunStore(job.path).summary_path)
    if is_run(job.path):
        session = Session.reopen(job.path, registry, observer)
        session.check_judge()
    else:
        check_vacant(job.path)
        session = Session.start({**job.layer, "out": job.path}, registry, observer, skip_memory_check=True)
    return dict(summary_document(session.run_all()))


def _train_only(job: Job, registry: Registry, observer: CellObserver) -> None:
    if job.is_done:
        return
    if is_run(job.path):
        session = Session.reopen(job.path, registry, observer)
    else:
        check_vacant(job.path)
        layer = {**job.layer, "out": job.path}
        session = Session.start(layer, registry, observer, skip_memory_check=True, needs_judge=False)
    with session.at_work():
        session.train()


_LOOK_S = 0.25
"""How often the parent checks for a stop, and a worker checks that its parent is still there."""
_PATIENCE_S = 60.0
"""How long earlier workers may take to save their cells: the rest of a step and a checkpoint."""


def run_in_processes(
    jobs: Sequence[Job], *, num_processes: int, disabled: Sequence[str], locks_dir: Path, observer: AblationObserver
) -> Iterator[CellOutcome]:
    """Run several jobs at a time, in processes that load the installed plugins. Yields outcomes as jobs end.

    A process that dies ends only its own cell. The first Ctrl-C, SIGTERM or SIGHUP stops every worker after its step,
    the second stops them at once, the third kills them. All workers have ended when this function ends.

    Args:
        disabled: plugins that are not loaded.
        locks_dir: a folder for the workers' locks, made if it does not exist.

    Raises:
        Interrupted: the user asked for a stop; the cells at work are saved.
    """

    def tell() -> None:
        observer.note("stopping: every running cell saves its step first; once more stops at once, without saving")

    waiting = deque(jobs)
    lock_dirs = [locks_dir / str(number) for number in range(min(num_processes, len(jobs)))]
    for lock_dir in lock_dirs:
        lock_dir.mkdir(parents=True, exist_ok=True)
    workers: list[_Worker] = []
    with deferred_interrupt(tell) as stop:
        try:
            workers += [_Worker(disabled, lock_dir) for lock_dir in lock_dirs]
            while not stop.requested:
                for position, worker in enumerate(workers):
                    if worker.job is None and waiting:
                        workers[position] = worker = worker if worker.is_alive else _Worker(disabled, worker.place)
                        worker.give(waiting.popleft())
                busy = {worker.connection: worker for worker in workers if worker.job is not None}
                if not busy:
                    return
                for connection in multiprocessing.connection.wait(list(busy), _LOOK_S):
                    outcome = busy[cast("Connection", connection)].hear(observer)
                    if outcome is not None:
                        yield outcome
            raise Interrupted("stopped")
        finally:
            _end(workers)


def await_earlier_workers(locks_dir: Path, observer: AblationObserver, *, patience_s: float = _PATIENCE_S) -> None:
    """Wait for the workers of an earlier process that died, if they are still saving their cells.

    Args:
        locks_dir: as for `run_in_processes`; it need not exist.

    Raises:
        ConfigError: they took longer than `patience_s`; the message names the process.
    """
    for place in sorted(path for path in locks_dir.glob("*") if path.is_dir()):
        try:
            with hold(place):
                continue
        except ConfigError:
            observer.note(f"{owner(place)}, a worker of an earlier sftframe ablate, still saves its cell: waiting")
        try:
            with hold(place, patience_s=patience_s):
                continue
        except ConfigError:
            raise ConfigError(
                f"{owner(place)}, a worker of an earlier sftframe ablate, is still busy with a cell of "
                f"{locks_dir.parent} after {patience_s:.0f} s of waiting: try again later, or stop that process"
            ) from None


class _Worker:
    """A process that runs one cell after the other, and the pipe to it."""

    def __init__(self, disabled: Sequence[str], place: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.place = place
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, tuple(disabled), place, os.getpid()))
        self._process.start()
        theirs.close()  # or its death would not be an end of file
        self.job: Job | None = None

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def give(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # it has died; reading from it will show that
            self.connection.send(job)

    def hear(self, observer: AblationObserver) -> CellOutcome | None:
        """Pass on its message; return the outcome if its job has ended.

        Raises:
            Interrupted: this worker alone was stopped.
        """
        assert self.job is not None, "only a worker with a job is read from"
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            message = (
                f"its process ended with code {self._process.exitcode}, perhaps because memory ran out: "
                "try fewer --jobs, or a smaller --batch-size"
            )
            said = failed(self.job, message, 0.0, observer.happened)
        if isinstance(said, CellEvent):
            observer.happened(said)
            return None
        self.job = None
        if isinstance(said, Interrupted):
            raise said
        assert isinstance(said, CellOutcome), "a worker sends events and outcomes"
        return said

    def close(self) -> None:
        """Ask it to end; a running cell is saved first."""
        self.connection.close()

    def join(self) -> None:
        self._process.join()

    def terminate(self) -> None:
        """End it without saving its current step."""
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _end(workers: Sequence[_Worker]) -> None:
    """Ask all workers to end and wait for them; more signals from the user end them faster."""
    for worker in workers:
        worker.close()
    for hurry in (_Worker.terminate, _Worker.kill):
        try:
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            for worker in workers:
                hurry(worker)
    for worker in workers:
        worker.join()


def _work(connection: Connection, disabled: Sequence[str], place: Path, parent: int) -> None:
    """What a worker process does."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # the parent passes on Ctrl-C from the terminal
    # a parent in a script's background ignores SIGINT, and its children would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):
        os.dup2(2, 1)  # standard output is for the command's result, whatever a plugin prints here
    jobs: SimpleQueue[Job | None] = SimpleQueue()
    with suppress(OSError, KeyboardInterrupt, ConfigError), hold(place):
        with interruptible():
            threading.Thread(target=_listen, args=(connection, jobs, parent), daemon=True).start()
            registry = load_registry(disabled=disabled)
            while (job := jobs.get()) is not None:
                connection.send(_outcome(job, registry, connection))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the listener's signal may come when all is done


def _listen(connection: Connection, jobs: SimpleQueue[Job | None], parent: int) -> None:
    """Read from the parent; when the pipe or the parent ends, ask the main thread to stop."""
    with suppress(EOFError, OSError):
        while os.getppid() == parent:  # a process that it forked may hold the pipe open
            if connection.poll(_LOOK_S):
                jobs.put(connection.recv())
    with suppress(OSError):  # nobody reads any more, and a terminal that was closed cannot be written to
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    jobs.put(None)
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)  # also ends a waiting system call
    else:
        signal.raise_signal(signal.SIGINT)


def _outcome(job: Job, registry: Registry, connection: Connection) -> CellOutcome | Interrupted:
    def tell(event: CellEvent) -> None:
        with suppress(OSError):  # nobody reads any more: the cell is saved anyway
            connection.send(event)

    try:
        return run_cell(job, registry, tell)
    except Interrupted as stop:
        return stop
    except KeyboardInterrupt:
        return Interrupted("stopped before the run had started")
