"""Files and folders that appear whole or not at all, and JSON lines that survive a kill at any byte.

Takes paths and values, gives files: written beside the target, flushed to the disk, renamed over it. Knows nothing of
what is in a run's folder; that is `sftframe.runs`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sftframe.errors import ConfigError


def write_whole(path: Path, data: bytes | str) -> None:
    """Make `path` hold `data` (text as UTF-8): a reader finds the old content or the new, never a part of either.

    Raises:
        ConfigError: it cannot be written; what was there before is untouched.
    """
    content = data.encode() if isinstance(data, str) else data
    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _explained(path):
        try:
            with making.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            making.replace(path)
        except BaseException:
            with suppress(OSError):
                making.unlink()
            raise
        sync_dir(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all; `plain` says how records are written."""
    write_whole(path, _encoded(value, indent=2) + b"\n")


def plain(value: Any) -> Any:
    """A value in JSON's own types: records become objects, paths text, enumerations their name in lower case.

    A number that is not finite becomes null, which JSON has and NaN it has not.

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


def replace_dir(making: Path, target: Path) -> None:
    """Give the finished folder `making` the name `target`, which must be on the same disk; an old `target` goes.

    A new target appears by one rename. Over an old one it takes two: a kill exactly between them leaves the old folder
    as `.NAME.old` and the new one as `making`, both whole.

    Raises:
        ConfigError: it cannot be done; the old `target` is untouched.
    """
    old = target.with_name(f".{target.name}.old")
    with _explained(target):
        for path in making.rglob("*"):
            sync_dir(path) if path.is_dir() else _sync(path)
        _remove_dir(old)
        if target.is_dir():
            target.rename(old)
        try:
            making.rename(target)
        except OSError:
            if old.is_dir():
                old.rename(target)
            raise
        sync_dir(target.parent)
        _remove_dir(old)


@contextmanager
def whole_dir(target: Path) -> Iterator[Path]:
    """A new folder to fill, which becomes `target` when the block ends well, as `replace_dir` does it, and goes if not.

    Raises:
        ConfigError: it cannot be made or renamed.
    """
    making = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _explained(target):
        _remove_dir(making)
        making.mkdir(parents=True)
    try:
        yield making
        replace_dir(making, target)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, in order. A last line that was cut by a kill is left out.

    Raises:
        ConfigError: the file cannot be read, or any other line is not a JSON object.
    """
    with _explained(path, "read"):
        content = path.read_bytes()
    *lines, tail = content.split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        record = _object(line)
        if record is None:
            raise ConfigError(f"{path}: line {number} is not a JSON object: the file was changed or is damaged")
        records.append(record)
    last = _object(tail)
    return records if last is None else [*records, last]


class JsonLines:
    """Appends records to a JSON Lines file, one `write` per line; a line that a kill had cut is dropped on opening.

    Raises:
        ConfigError: the file cannot be opened, or a line cannot be written; the lines before it stay whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _explained(path):
            self._file = path.open("ab", buffering=0)
            self._repair()

    def append(self, record: object) -> None:
        """Write one record (a dataclass or a mapping) as a line of its own."""
        line = _encoded(record) + b"\n"
        start = self._file.seek(0, os.SEEK_END)
        with _explained(self._path):
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BaseException:
                # half a line would swallow the next one
                self._file.truncate(start)
                raise

    def close(self) -> None:
        """Flush to the disk and close."""
        if not self._file.closed:
            with self._file, _explained(self._path):
                os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _repair(self) -> None:
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return
        if _object(content[whole:]) is None:
            self._file.truncate(whole)
        else:
            self._file.write(b"\n")


def sync_dir(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can: a rename is safe from a power cut only then."""
    with suppress(OSError):
        _sync(folder)


def _sync(path: Path) -> None:
    # Windows flushes only what is open for writing
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _encoded(value: object, indent: int | None = None) -> bytes:
    made = plain(value)
    try:
        return json.dumps(made, ensure_ascii=False, allow_nan=False, indent=indent).encode()
    except UnicodeEncodeError:
        # a lone surrogate, as a judge's answer may hold: only its escape can be written
        return json.dumps(made, allow_nan=False, indent=indent).encode()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _remove_dir(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


@contextmanager
def _explained(path: Path, doing: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot {doing} {path}: {reason}") from error
