"""The calls by which anything gets onto the disk, in one place: the seam into which a test can put a fault.

Takes paths and bytes.
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
    """Something that the system would not write or read: no room, no permission, a broken disk."""


class Disk:
    """Every way in which sftframe changes a disk. All methods raise `OSError`, with what was done before it left."""

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
        """Give a file or a folder another name; a file that has it is replaced."""
        source.replace(target)

    def make_dir(self, path: Path) -> None:
        """Make a folder with all that is missing above it; that it is there already is no error."""
        path.mkdir(parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Delete a file, a link or a folder with all that is in it; that it is not there is no error."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


_current: ContextVar[Disk] = ContextVar("disk")
_REAL = Disk()


def disk() -> Disk:
    """What everything is written through here and now."""
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
    """Say of a system error which file it was about.

    Raises:
        DiskError: instead of the system error.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DiskError(f"cannot {doing} {path}: {reason}") from error
