"""Files and folders that appear whole or not at all: made beside their place, flushed, renamed."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sftframe.files.disk import disk, explained
from sftframe.files.values import encoded

_LEFT_OVER = re.compile(r"\.(?P<name>.+)\.(?:\d+\.part|old)")
"""Names under which a process that was killed leaves what it was making or replacing."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EISDIR)
"""What Windows and some network disks say of a folder; a rename there is as safe as they make it."""


def write_whole(path: Path, data: bytes | str) -> None:
    """Make `path` hold `data` (text as UTF-8): a reader finds the old content or the new, never a part of either.

    Raises:
        DiskError: it cannot be written; what was there before is untouched.
    """
    content = data.encode() if isinstance(data, str) else data
    with whole_file(path) as making, disk().open(making, "wb") as file:
        disk().write(file, content)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all; `plain` says how records are written."""
    write_whole(path, _document(value))


def write_json_part(path: Path, value: object) -> None:
    """Write a value as indented JSON into a folder that `whole_dir` is making, which flushes all that is in it.

    Raises:
        DiskError: it cannot be written.
    """
    with explained(path), disk().open(path, "wb") as file:
        disk().write(file, _document(value))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write a file under, which becomes `path` when the block ends well, and goes if not.

    Raises:
        DiskError: it cannot be written or renamed; what was there before is untouched.
    """
    making = _beside(path)
    with explained(path):
        try:
            yield making
            disk().sync(making)
            disk().rename(making, path)
        except BaseException:
            with suppress(OSError):
                disk().remove(making)
            raise
        sync_dir(path.parent)


@contextmanager
def whole_dir(target: Path) -> Iterator[Path]:
    """A new folder to fill, which becomes `target` when the block ends well, as `replace_dir` does it, and goes if not.

    Raises:
        DiskError: it cannot be made, filled or renamed.
    """
    making = _beside(target)
    with explained(target):
        disk().remove(making)
        disk().make_dir(making)
        try:
            yield making
            replace_dir(making, target)
        finally:
            with suppress(OSError):
                disk().remove(making)


def replace_dir(making: Path, target: Path) -> None:
    """Give the finished folder `making` the name `target`, which must be on the same disk; an old `target` goes.

    A new target appears by one rename. Over an old one it takes two: a kill exactly between them leaves the old folder
    as `.NAME.old` and the new one as `making`, both whole; `remove_leftovers` then brings the old one back.

    Raises:
        DiskError: it cannot be done; the old `target` is untouched.
    """
    old = target.with_name(f".{target.name}.old")
    with explained(target):
        for path in making.rglob("*"):
            sync_dir(path) if path.is_dir() else disk().sync(path)
        sync_dir(making)
        if old.is_dir():
            disk().remove(old)
        _swap(making, target, old)
        sync_dir(target.parent)
        with suppress(OSError):  # the new folder is in its place, whatever becomes of the old one
            disk().remove(old)


def remove_leftovers(folder: Path) -> None:
    """Delete what processes that were killed left half made in a folder; nobody else may be writing to it.

    Raises:
        DiskError: something cannot be deleted.
    """
    with explained(folder):
        for path in sorted(folder.glob(".*")):
            found = _LEFT_OVER.fullmatch(path.name)
            if found is None:
                continue
            target = folder / found["name"]
            if path.suffix == ".old" and path.is_dir() and not target.exists():
                disk().rename(path, target)
            else:
                disk().remove(path)


def is_leftover(path: Path, names: Collection[str]) -> bool:
    """Whether a file or folder is what a process left that was killed while it made one of these names."""
    found = _LEFT_OVER.fullmatch(path.name)
    return found is not None and found["name"] in names


def sync_dir(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can: a rename is safe from a power cut only then."""
    try:
        disk().sync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _document(value: object) -> bytes:
    return encoded(value, indent=2) + b"\n"


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _swap(making: Path, target: Path, old: Path) -> None:
    if target.is_dir():
        disk().rename(target, old)
    try:
        disk().rename(making, target)
    except BaseException:
        if old.is_dir() and not target.exists():
            disk().rename(old, target)
        raise
