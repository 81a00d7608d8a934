"""Files and folders that appear whole or not at all: made next to their place, flushed, renamed."""

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
"""Names of unfinished and replaced files and folders, which a killed process leaves."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EISDIR)
"""Errors of Windows and some network disks for a folder; a rename there cannot be made safer."""


def write_whole(path: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) to `path`: a reader finds the old content or the new one, never a part.

    Raises:
        DiskError: it cannot be written; the old file does not change.
    """
    content = data.encode() if isinstance(data, str) else data
    with whole_file(path) as making, disk().open(making, "wb") as file:
        disk().write(file, content)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all; `plain` says how records are written."""
    write_whole(path, _document(value))


def write_json_part(path: Path, value: object) -> None:
    """Write a value as indented JSON into a folder that `whole_dir` is making; `whole_dir` flushes it later.

    Raises:
        DiskError: it cannot be written.
    """
    with explained(path), disk().open(path, "wb") as file:
        disk().write(file, _document(value))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name for a file. It is renamed to `path` if the block succeeds, and deleted if not.

    Raises:
        DiskError: it cannot be written or renamed; the old file does not change.
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
    """A new folder to fill. It becomes `target` (see `replace_dir`) if the block succeeds, and is deleted if not.

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
    """Rename the finished folder `making` to `target`, on the same disk; an old `target` is deleted.

    A new target appears by one rename. Over an old one it takes two: a kill exactly between them leaves the old folder
    as `.NAME.old` and the new one as `making`, both whole; `remove_leftovers` then brings the old one back.

    Raises:
        DiskError: it cannot be renamed; the old `target` does not change.
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
        with suppress(OSError):  # the new folder is in its place, even if the old one cannot be deleted
            disk().remove(old)


def remove_leftovers(folder: Path) -> None:
    """Delete unfinished files of killed processes from a folder; no other process may be writing to it.

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
    """Whether a file or folder is the unfinished copy of one of these names."""
    found = _LEFT_OVER.fullmatch(path.name)
    return found is not None and found["name"] in names


def sync_dir(folder: Path) -> None:
    """Flush a folder's entries to the disk, if the system can: only then is a rename safe from a power cut."""
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
