"""One process at a time in a folder, and who it is.

Takes a folder, gives a context in which no other process holds it. Does not know what the folder is for.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from sftframe.errors import ConfigError
from sftframe.files import disk, write_json

_LOCK = ".lock"
_OWNER = ".lock-owner.json"
LOCK_FILES = (_LOCK, _OWNER)
"""What holding leaves in a folder; the system ties the lock to the first, so it stays."""


@contextmanager
def hold(folder: Path, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a folder. The system lets go for a process that dies, however it dies.

    Args:
        patience_s: how long to wait for another process that holds it.

    Raises:
        ConfigError: another process holds it, or a lock cannot be made there.
    """
    from filelock import FileLock, Timeout

    for name in LOCK_FILES:
        if (folder / name).is_symlink():  # locking would empty what it leads to
            raise ConfigError(f"{folder / name} is a link, expected a file of sftframe's own: remove it")
    lock = FileLock(folder / _LOCK, timeout=patience_s)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(f"{folder} is in use by {owner(folder)}: wait for it to end, or stop it") from None
    except OSError as error:
        raise ConfigError(f"cannot lock {folder}: {error.strerror or error}") from error
    try:
        # a file of its own: Windows lets nobody read one that is locked
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        write_json(folder / _OWNER, {"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        yield
    finally:
        with suppress(OSError):  # whoever comes next writes its own
            disk().remove(folder / _OWNER)
        lock.release()


def owner(folder: Path) -> str:
    """Who holds a folder, in words: `process 4711 on host since …`."""
    try:
        found = json.loads((folder / _OWNER).read_bytes())
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
