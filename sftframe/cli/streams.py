"""The command's streams: results on stdout, messages on stderr, and nothing that is written can end a run.

`safe_streams` is for the whole process: a stream that is closed gets a place where text goes nowhere, a character that
an encoding lacks is replaced, an error of the system is judged in one place whoever writes. `own_stdout` is for the
time of one command: it keeps stdout for the command's results, and sends whatever else is printed to stderr.
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
from sftframe.visible import json_text, visible

_ERRORS = "sftframe.plain"
"""Name of the codec error handler `_plain`."""

_PLAIN = {
    **dict.fromkeys("‐‑‒–—−·•━─═", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("│┃║", "|"),
    **{"→": "->", "…": "...", "✓": "+", "✗": "x", "±": "+/-", "×": "x", "≥": ">=", "≤": "<=", "⏎": "|"},
}
"""What our own signs become where an encoding lacks them; all other characters become a question mark."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command writes."""

    results: TextIO
    consoles: dict[str, Any] = field(default_factory=dict)
    """One per stream, made by `sftframe.cli.console`: a progress bar has to know of what is printed beside it."""


_OUTPUT: ContextVar[Output] = ContextVar("output")


def output() -> Output:
    """The running command's; outside of a command results go to `sys.stdout`."""
    found = _OUTPUT.get(None)
    return Output(sys.stdout) if found is None else found


def write(text: str) -> None:
    """Write a text that is (a part of) the result; what would steer a terminal is shown (`sftframe.visible`).

    Raises:
        OutputError: it cannot be written.
    """
    output().results.write(visible(text))


def write_json(document: object) -> None:
    """Write a document as the result: valid JSON in every encoding, with escapes for what the encoding lacks.

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
    """Write an HTML page as the result, in UTF-8 whatever the stream's encoding: the page itself says so.

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
    """Say where the work lies if the body, which prints the result, cannot.

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
    """Make stdin, stdout and stderr safe while the body runs; streams in memory, as in tests, stay what they are."""
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
    """Keep stdout for the command's results: what others print while the body runs goes to stderr.

    Others are plugins and libraries, by `print`, file descriptor 1, a child process or C. A terminal stays
    as it is: there one person reads both, and line editing needs it.

    Raises:
        OutputError: what was written last cannot be written.
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
    """The same stream on a file descriptor that nobody else knows; descriptor 1 is stderr's from then on, to the end.

    It is not given back when the command ends: a C library's buffer is written when the process ends.
    """
    if _descriptor(stdout) != 1:
        return stdout
    stdout.flush()
    own = io.FileIO(os.dup(1), "w")
    os.dup2(2, 1)
    return _on(own, stdout, is_result=True)


def _fill_closed_descriptors() -> None:
    """Give closed descriptors 0, 1 and 2 to the null device: the next file that is opened would get their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def _nothing(number: int, mode: str) -> TextIO:
    return cast(TextIO, open(number, mode, encoding="utf-8", closefd=False))


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
    codecs.register_error(_ERRORS, _plain)
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


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


class _Sink(io.RawIOBase):
    """The way of all bytes of a stream; what goes wrong there is judged by `lost`."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._is_gone = False

    def lost(self, error: OSError) -> None:
        """Bytes could not be written: raise, or let them go."""

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
        while (written := self._raw.write(data)) is None:  # a pipe that somebody has set not to block, and that is full
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
    """Messages that cannot be written are dropped: a run is worth more than what it says."""


class _ResultSink(_Sink):
    """A result that cannot be written is an error, once; what comes after it is dropped."""

    def lost(self, error: OSError) -> None:
        self._is_gone = True
        if error.errno == errno.EIO and self.isatty():
            return  # a terminal that has been closed: nobody is there to be told
        if error.errno in (errno.EPIPE, errno.ESHUTDOWN) or (os.name == "nt" and error.errno == errno.EINVAL):
            raise ReaderGone("the reader of the output has ended") from error
        reason = error.strerror or str(error)
        raise OutputError(f"the result cannot be written to standard output: {reason}") from error
