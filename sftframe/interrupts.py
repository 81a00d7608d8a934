"""Handles Ctrl-C and similar signals: the first asks for a clean stop, the second stops at once.

A closed terminal (SIGHUP) and a cluster that needs its machine (SIGTERM) work like Ctrl-C (SIGINT).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TextIO

_Handler = Callable[[int, FrameType | None], None]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass(slots=True)
class StopRequest:
    """A request to stop."""

    requested: bool = False


@contextmanager
def deferred_interrupt(tell: Callable[[], None] = lambda: None, *, repeats_s: float = 0.0) -> Iterator[StopRequest]:
    """While the body runs, turn the first signal into a request, and the next into `KeyboardInterrupt`.

    Outside the main thread nothing changes.

    Args:
        tell: called when the request comes, at any point of the work; its errors are ignored.
        repeats_s: seconds in which more signals are the same request: a cluster and torchrun both send one.
    """
    stop = StopRequest()
    since = 0.0

    def ask(number: int, _frame: FrameType | None) -> None:
        nonlocal since
        _let_go_of_terminal(number)
        if stop.requested:
            if time.monotonic() - since < repeats_s:
                return
            raise KeyboardInterrupt
        stop.requested, since = True, time.monotonic()
        with suppress(Exception):  # a terminal may be in the middle of a line
            tell()

    with _handling(ask):
        yield stop


@contextmanager
def interruptible() -> Iterator[None]:
    """While the body runs, raise `KeyboardInterrupt` for all of the signals; Python does so only for Ctrl-C.

    Outside the main thread nothing changes.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        _let_go_of_terminal(number)
        raise KeyboardInterrupt

    with _handling(stop):
        yield


@contextmanager
def _handling(handler: _Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # an ignored signal stays ignored: nohup, or a shell's background job
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, previous in before.items():
            # None: the handler was not set in Python, so Python cannot restore it
            fallback = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, fallback if previous is None else previous)


def _let_go_of_terminal(number: int) -> None:
    """After a hang-up nobody reads the terminal, and writing to it fails."""
    if number == getattr(signal, "SIGHUP", None):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                if stream.isatty():
                    _write_nowhere(stream)


def _write_nowhere(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
