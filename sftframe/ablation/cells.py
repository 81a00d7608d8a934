"""The cells of a grid as runs, one after the other; `sftframe.ablation.workers` runs several at a time.

An error in one cell is reported and written down, and the other cells continue. Only the user's stop ends them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.ablation.progress import AblationObserver, CellEvent, CellObserver
from sftframe.config import Layer
from sftframe.errors import Interrupted, SftframeError
from sftframe.pipeline import Session
from sftframe.pipeline.manifest import check_made_with
from sftframe.places import check_vacant, is_run
from sftframe.registry import Registry
from sftframe.runs import RunFolder
from sftframe.stages.report import summary_document
from sftframe.stored import read_object

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
    """The result of a job."""

    number: int
    error: str = ""
    """One line; empty where the run is complete."""


def is_done(path: Path) -> bool:
    """The run is complete: a resume would do nothing."""
    folder = RunFolder(path)
    return is_run(path) and folder.summary_path.exists() and folder.items_path.exists()


def run_here(jobs: Sequence[Job], registry: Registry, observer: AblationObserver) -> Iterator[Outcome]:
    """Run the jobs one after the other in this process.

    Raises:
        Interrupted: the user asked for a stop; the cell at work is saved.
    """
    for job in jobs:
        yield run_cell(job, registry, observer.happened)


def run_cell(job: Job, registry: Registry, tell: Tell) -> Outcome:
    """Run one job.

    Args:
        tell: gets an event for everything that happens in the cell.

    Raises:
        Interrupted: the user asked for a stop; the cell is saved.
    """
    start = time.monotonic()
    tell(CellEvent(number=job.number, kind="started"))
    try:
        summary = _summary(job, registry, CellObserver(job.number, tell))
    except Interrupted:
        raise
    except SftframeError as error:
        return failed(job, str(error), time.monotonic() - start, tell)
    except Exception as error:  # a plugin's or our own mistake: the other arms may still be fine
        return failed(job, f"internal error: {type(error).__name__}: {error}", time.monotonic() - start, tell)
    tell(CellEvent(number=job.number, kind="done", summary=summary, seconds=time.monotonic() - start))
    return Outcome(number=job.number)


def failed(job: Job, message: str, seconds: float, tell: Tell) -> Outcome:
    """The outcome of a job that failed, after telling of it."""
    tell(CellEvent(number=job.number, kind="failed", text=message, seconds=seconds))
    return Outcome(number=job.number, error=message)


def _summary(job: Job, registry: Registry, observer: CellObserver) -> dict[str, Any]:
    if is_run(job.path):
        check_made_with(RunFolder(job.path), job.layer, registry)
    if is_done(job.path):
        return read_object(RunFolder(job.path).summary_path)
    if is_run(job.path):
        session = Session.reopen(job.path, registry, observer)
        session.check_judge()
    else:
        check_vacant(job.path)
        session = Session.start({**job.layer, "out": job.path}, registry, observer, skip_memory_check=True)
    return dict(summary_document(session.run_all()))
