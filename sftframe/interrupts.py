"""Ctrl-C without torn state: the first one asks for a stop at the next safe moment, the second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class StopRequest:
    """Whether somebody asked for a stop."""

    requested: bool = False


@contextmanager
def deferred_interrupt() -> Iterator[StopRequest]:
    """Turn SIGINT into a request while the body runs; outside the main thread nothing changes."""
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    previous = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        # None: the handler was not set from Python, and cannot be put back from here
        signal.signal(signal.SIGINT, signal.default_int_handler if previous is None else previous)
