"""All calls that change the disk, in one place, so that tests can make them fail.

Only paths and bytes are passed here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from sftframe.errors import ConfigError


class DiskError(ConfigError):
    """The system cannot write or read something: no room, no permission, a broken disk."""


class Disk:
    """Every way in which sftframe changes a disk. All methods raise `OSError`; work done before the error stays."""

    def open(self, path: Path, mode: str) -> IO[bytes]:
        """Open a file for writing, without a buffer of our own.

        Args:
            mode: `wb` or `ab`.
        """
        file: IO[bytes] = path.open(mode, buffering=0)
        return file

    def write(self, file: IO[bytes], data: bytes) -> None:
        """Write all of the bytes to an open file."""
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]

    def truncate(self, file: IO[bytes], size: int) -> None:
        """Cut an open file to its first bytes."""
        file.truncate(size)

    def fill(self, path: Path, write: Callable[[Path], None]) -> None:
        """Have other code write a file or into a folder, for instance safetensors' own writer."""
        write(path)

    def sync(self, path: Path) -> None:
        """Flush a file, or a folder's entries: only then are they safe from a power cut."""
        # Windows flushes only what is open for writing
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file or a folder; a file that has the new name is replaced."""
        source.replace(target)

    def make_dir(self, path: Path) -> None:
        """Make a folder and its missing parents; an existing folder is no error."""
        path.mkdir(parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Delete a file, a link or a folder with its contents; a missing one is no error."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


_current: ContextVar[Disk] = ContextVar("disk")
_REAL = Disk()


def disk() -> Disk:
    """The `Disk` in use."""
    return _current.get(_REAL)


@contextmanager
def using_disk(other: Disk) -> Iterator[None]:
    """Write through another `Disk` in this block, for instance one that fails."""
    token = _current.set(other)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def explained(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn a system error into one that names the file.

    Raises:
        DiskError: instead of the system error.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DiskError(f"cannot {doing} {path}: {reason}") from error
