"""The command's streams: results go to stdout, messages to stderr, and output can never end a run.

`safe_streams` is for the whole process. It makes writing to a closed stream harmless, replaces characters that an
encoding lacks, and handles all write errors in one place. `own_stdout` is for one command. It keeps stdout for the
command's results, and sends all other output to stderr.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

from sftframe.errors import OutputError, ReaderGone
from sftframe.escaping import escape_controls, json_text

_ERRORS = "sftframe.plain"
"""Name of the codec error handler `_replaced`."""

_PLAIN = {
    **dict.fromkeys("‐‑‒–—−·•━─═", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("│┃║", "|"),
    **{"→": "->", "…": "...", "✓": "+", "✗": "x", "±": "+/-", "×": "x", "≥": ">=", "≤": "<=", "⏎": "|"},
}
"""Replacements of our own signs if an encoding lacks them; all other characters become a question mark."""


@dataclass(frozen=True, slots=True)
class Output:
    """The streams of a command."""

    results: TextIO
    consoles: dict[str, Any] = field(default_factory=dict)
    """One per stream, made by `sftframe.cli.console`: a progress bar must know of other messages."""


_OUTPUT: ContextVar[Output] = ContextVar("output")


def output() -> Output:
    """The streams of the running command; outside of a command results go to `sys.stdout`."""
    found = _OUTPUT.get(None)
    return Output(sys.stdout) if found is None else found


def write(text: str) -> None:
    """Write a result, or a part of it; control characters are made visible (`sftframe.escaping`).

    Raises:
        OutputError: it cannot be written.
    """
    output().results.write(escape_controls(text))


def write_json(document: object) -> None:
    """Write a document as the result: valid JSON, with escapes for characters that the encoding lacks.

    Raises:
        OutputError: it cannot be written.
    """
    text = json_text(document)
    try:
        text.encode(output().results.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json_text(document, is_ascii=True)
    output().results.write(f"{text}\n")


def write_page(text: str) -> None:
    """Write an HTML page as the result, always in UTF-8, as the page itself says.

    Raises:
        OutputError: it cannot be written.
    """
    results = output().results
    if hasattr(results, "buffer"):
        results.flush()
        results.buffer.write(text.encode("utf-8"))
        results.buffer.flush()
    else:
        results.write(text)


@contextmanager
def saved(path: Path) -> Iterator[None]:
    """If the body cannot print the result, add the path of the saved work to the error.

    Raises:
        OutputError: the result cannot be written.
    """
    try:
        yield
        output().results.flush()
    except ReaderGone:
        raise
    except OutputError as error:
        raise OutputError(f"{error}; everything is saved in {path}") from error


@contextmanager
def safe_streams() -> Iterator[None]:
    """Make stdin, stdout and stderr safe while the body runs; streams in memory, as in tests, do not change."""
    before = sys.stdin, sys.stdout, sys.stderr
    _fill_closed_descriptors()
    stdin, stdout, stderr = (
        stream or _nothing(number, mode) for number, (stream, mode) in enumerate(zip(before, "rww", strict=True))
    )
    sys.stdin, sys.stdout, sys.stderr = stdin, _guarded(stdout, is_result=True), _guarded(stderr, is_result=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OutputError, OSError, ValueError):
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


@contextmanager
def own_stdout() -> Iterator[None]:
    """Keep stdout for the command's results: all other output goes to stderr while the body runs.

    This covers plugins and libraries that write with `print`, to file descriptor 1, from a child process or from C. A
    terminal is not changed: one person reads both there, and line editing needs it.

    Raises:
        OutputError: the last of the output cannot be written.
    """
    stdout = sys.stdout
    is_shared = stdout.isatty()
    results = stdout if is_shared else _moved(stdout)
    token = _OUTPUT.set(Output(results))
    if not is_shared:
        sys.stdout = sys.stderr
    try:
        yield
        results.flush()
    finally:
        with suppress(OutputError, OSError, ValueError):
            results.flush()
        sys.stdout = stdout
        _OUTPUT.reset(token)


def _moved(stdout: TextIO) -> TextIO:
    """The same stream on a new, private file descriptor; descriptor 1 then leads to stderr until the process ends.

    It is not restored when the command ends, because C libraries write their buffers when the process ends.
    """
    if _descriptor(stdout) != 1:
        return stdout
    stdout.flush()
    own = io.FileIO(os.dup(1), "w")
    os.dup2(2, 1)
    return _on(own, stdout, is_result=True)


def _fill_closed_descriptors() -> None:
    """Open the null device for closed descriptors 0, 1 and 2: the next opened file would get their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the system uses the lowest free number, which is this one


def _nothing(number: int, mode: str) -> TextIO:
    return cast("TextIO", open(number, mode, encoding="utf-8", closefd=False))


def _guarded(stream: TextIO, *, is_result: bool) -> TextIO:
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if _descriptor(stream) is None or not isinstance(raw, io.RawIOBase):
        return stream
    with suppress(OSError):
        stream.flush()
    return _on(raw, stream, is_result=is_result)


def _on(raw: io.RawIOBase, like: TextIO, *, is_result: bool) -> TextIO:
    """A text stream over raw bytes with the encoding and the buffering of another."""
    codecs.register_error(_ERRORS, _replaced)
    is_by_line = bool(getattr(like, "line_buffering", False) or getattr(like, "write_through", False))
    sink = _ResultSink(raw) if is_result else _MessageSink(raw)
    return io.TextIOWrapper(
        io.BufferedWriter(sink), encoding=like.encoding or "utf-8", errors=_ERRORS, line_buffering=is_by_line
    )


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


class _Sink(io.RawIOBase):
    """Writes all bytes of a stream; `lost` handles errors."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._is_gone = False

    def lost(self, error: OSError) -> None:
        """Bytes could not be written: raise an error, or drop them."""

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self._is_gone:
            return size
        try:
            return self._write(data)
        except OSError as error:
            self.lost(error)
            return size

    def _write(self, data: Any) -> int:
        while (written := self._raw.write(data)) is None:  # a full pipe in non-blocking mode
            select.select([], [self._raw.fileno()], [])
        return written

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    @property
    def name(self) -> object:
        return getattr(self._raw, "name", "")


class _MessageSink(_Sink):
    """Drops messages that cannot be written: they must not end a run."""


class _ResultSink(_Sink):
    """Raises an error when a result cannot be written, once; later output is dropped."""

    def lost(self, error: OSError) -> None:
        self._is_gone = True
        if error.errno == errno.EIO and self.isatty():
            return  # a closed terminal: nobody would read the error
        if error.errno in (errno.EPIPE, errno.ESHUTDOWN) or (os.name == "nt" and error.errno == errno.EINVAL):
            raise ReaderGone("the reader of the output has ended") from error
        reason = error.strerror or str(error)
        raise OutputError(f"the result cannot be written to standard output: {reason}") from error
