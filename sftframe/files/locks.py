"""Locks: one process at a time in a folder, and which process it is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from sftframe.errors import ConfigError
from sftframe.files.atomic import disk, write_json

_LOCK = ".lock"
_OWNER = ".lock-owner.json"
LOCK_FILES = (_LOCK, _OWNER)
"""The files of a lock; the system's lock is on the first one, so it stays."""


@contextmanager
def hold(folder: Path, *, patience_s: float = 0.0) -> Iterator[None]:
    """Lock a folder. The system releases the lock when the process ends, for whatever reason.

    Args:
        patience_s: how long to wait for another process to release it.

    Raises:
        ConfigError: another process has the lock, or a lock cannot be made there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, timeout=patience_s)
    try:
        for name in LOCK_FILES:
            if (folder / name).is_symlink():  # locking would empty the link's target
                raise ConfigError(f"{folder / name} is a link, expected sftframe's own file: remove it")
        lock.acquire()
    except Timeout:
        raise ConfigError(f"{folder} is in use by {owner(folder)}: wait for it to end, or stop it") from None
    except OSError as error:
        raise ConfigError(f"cannot lock {folder}: {error.strerror or error}") from error
    try:
        # a separate file: on Windows nobody can read a locked one
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        write_json(folder / _OWNER, {"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        yield
    finally:
        with suppress(OSError):  # the next process writes its own
            disk().remove(folder / _OWNER)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether another process holds a folder now; nothing in the folder is changed."""
    from filelock import FileLock, Timeout

    if not (folder / _LOCK).is_file():
        return False
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written to is nobody's work
        return False
    lock.release()
    return False


def owner(folder: Path) -> str:
    """The process that has a folder's lock, in words: `process 4711 on host since …`."""
    try:
        found = json.loads((folder / _OWNER).read_bytes())
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
