"""One process works on a run at a time, and whatever stops it ends in a message that says how to continue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sftframe.errors import Interrupted, SftframeError, TrainingError
from sftframe.files import DiskError, remove_leftovers
from sftframe.interrupts import interruptible
from sftframe.plugins.guard import is_out_of_memory
from sftframe.runs import RunStore

if TYPE_CHECKING:
    from sftframe.distributed.ranks import Ranks


@contextmanager
def locked_run(folder: RunStore, ranks: Ranks | None = None) -> Iterator[None]:
    """Lock a run's folder, and turn Ctrl-C, SIGTERM and SIGHUP into a message that says how to continue.

    Args:
        ranks: the other processes that work on it; if one is lost, the message names it.

    Raises:
        ConfigError: another process works on the run.
        DiskError: the disk is full, or cannot be written for another reason; what was done before it is saved.
        Interrupted: somebody stopped it; what was done is saved.
        TrainingError: memory ran out, or another process of the run has gone.
    """
    try:
        with interruptible(), folder.lock(), _naming_ranks(ranks, folder):
            remove_leftovers(folder.path)
            yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped, what was saved so far is kept; continue with: sftframe run --resume {folder.path}"
        ) from None
    except DiskError as error:
        raise DiskError(
            f"{error}; what was saved before it is kept: make room or repair the disk, then continue with: "
            f"sftframe run --resume {folder.path}"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "out of memory while measuring or answering: lower generate.batch_size or "
            "generate.max_cache_bytes, and --batch-size, or choose a smaller model; "
            f"what was saved so far is kept in {folder.path}"
        ) from error


@contextmanager
def _naming_ranks(ranks: Ranks | None, folder: RunStore) -> Iterator[None]:
    """On several processes, name the one that was lost, or whose memory ran out."""
    if ranks is not None:
        ranks.run = folder.path
    try:
        yield
    except (RuntimeError, SftframeError) as error:
        lost = None if ranks is None else ranks.explained(error)
        if lost is not None:
            raise TrainingError(
                f"{lost}; what was saved before it is kept, continue with: sftframe run --resume {folder.path}"
            ) from error
        if ranks is not None and isinstance(error, TrainingError) and is_out_of_memory(error.__cause__ or error):
            raise TrainingError(f"{ranks.name(0)}: {error}") from error
        raise
