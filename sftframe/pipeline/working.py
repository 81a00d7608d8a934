"""Work on a run's folder, and messages for an early end: each one says how to continue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sftframe.errors import Interrupted, TrainingError
from sftframe.files import DiskError, remove_leftovers
from sftframe.interrupts import interruptible
from sftframe.registry.wall import is_out_of_memory
from sftframe.runs import RunFolder


@contextmanager
def at_work_on(folder: RunFolder) -> Iterator[None]:
    """Lock a run's folder, and turn Ctrl-C, SIGTERM and SIGHUP into a message that says how to continue.

    Raises:
        ConfigError: another process works on the run.
        DiskError: the disk is full, or cannot be written for another reason; what was done before it is saved.
        Interrupted: somebody stopped it; what was done is saved.
        TrainingError: memory ran out.
    """
    with _saying_how_to_go_on(folder.path), interruptible(), folder.lock():
        try:
            remove_leftovers(folder.path)
            yield
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped, what was saved so far is kept; continue with: sftframe run --resume {folder.path}"
            ) from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                "out of memory while measuring or answering: lower generate.batch_size or "
                "generate.max_cache_bytes, and --batch-size, or choose a smaller model; "
                f"what was saved so far is kept in {folder.path}"
            ) from error


@contextmanager
def _saying_how_to_go_on(path: Path) -> Iterator[None]:
    try:
        yield
    except DiskError as error:
        raise DiskError(
            f"{error}; what was saved before it is kept: make room or repair the disk, then continue with: "
            f"sftframe run --resume {path}"
        ) from error
