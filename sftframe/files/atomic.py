"""Files and folders that appear whole or not at all, and JSON lines that survive a kill at any byte.

All that changes the disk goes through `Disk`, so that a test can make each change fail, and count them.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

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


def plain(value: Any) -> Any:
    """A value in JSON's own types: records become objects, paths text, enumerations their name in lower case.

    A number that is not finite becomes null, because JSON has no NaN.

    >>> plain({"path": Path("a") / "b", "loss": float("nan"), "shape": (8, 74)})
    {'path': 'a/b', 'loss': None, 'shape': [8, 74]}
    """
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.as_posix() if isinstance(value, Path) else value


def encoded(value: object, indent: int | None = None) -> bytes:
    """A value as JSON in UTF-8, in one line unless `indent` says otherwise."""
    made = plain(value)
    try:
        return json.dumps(made, ensure_ascii=False, allow_nan=False, indent=indent).encode()
    except UnicodeEncodeError:
        # a lone surrogate, which a judge's answer may contain: only its escape can be written
        return json.dumps(made, allow_nan=False, indent=indent).encode()


def decoded(data: bytes) -> Any:
    """The JSON value in bytes of UTF-8; all its numbers are finite and of at most 64 bits.

    Raises:
        ValueError: it is no JSON, or nested too deeply, or a number is not finite or has more than 64 bits.
    """
    try:
        return _DECODER.decode(data.decode().removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decoded_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None if it contains anything else, see `decoded`."""
    try:
        value = decoded(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is not finite")
    return value


def _of_64_bits(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= 2**64:
        raise ValueError(f"the number {text[:20]}… has more than 64 bits")
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_of_64_bits, parse_constant=_finite)


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


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, in order. A last line that a kill has cut is left out.

    Raises:
        DiskError: the file cannot be read.
        ConfigError: any line but the last is not a JSON object.
    """
    with explained(path, "read"):
        content = path.read_bytes()
    *lines, tail = content.split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        record = decoded_object(line)
        if record is None:
            raise ConfigError(
                f"{path}: line {number} is not a JSON object with finite numbers: the file was changed or is damaged"
            )
        records.append(record)
    last = decoded_object(tail)
    return records if last is None else [*records, last]


def write_json_lines(path: Path, records: Iterable[object]) -> None:
    """Write these records to a file, one per line, whole or not at all; the bytes are the same as from `JsonLines`.

    Raises:
        DiskError: it cannot be written; the old file does not change.
    """
    write_whole(path, b"".join(encoded(record) + b"\n" for record in records))


class JsonLines:
    """Appends records to a JSON Lines file, one `write` per line; opening drops a line that a kill has cut.

    Raises:
        DiskError: the file cannot be opened, or a line cannot be written; the lines before it stay whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with explained(path):
            self._file = disk().open(path, "ab")
            try:
                self._repair()
            except BaseException:
                self._file.close()
                raise

    def append(self, record: object) -> None:
        """Write one record (a dataclass or a mapping) as one line."""
        line = encoded(record) + b"\n"
        start = self._file.seek(0, os.SEEK_END)
        with explained(self._path):
            try:
                disk().write(self._file, line)
            except BaseException:
                # the next line would be appended to half a line
                self._file.truncate(start)
                raise

    def sync(self) -> None:
        """Flush to the disk: lines that other files rely on must survive a power cut."""
        with explained(self._path):
            disk().sync(self._path)

    def close(self) -> None:
        """Flush to the disk and close."""
        if not self._file.closed:
            with self._file:
                self.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(DiskError) if error else nullcontext():  # the first error is the one to tell
            self.close()

    def _repair(self) -> None:
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return
        if decoded_object(content[whole:]) is None:
            disk().truncate(self._file, whole)
        else:
            disk().write(self._file, b"\n")
