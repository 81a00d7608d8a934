"""JSON Lines that grow during a run, and survive a kill at any byte."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sftframe.errors import ConfigError
from sftframe.files.disk import DiskError, disk, explained
from sftframe.files.values import decoded_object, encoded
from sftframe.files.whole import write_whole


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
