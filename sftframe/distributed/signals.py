"""Signals that ask a process to stop, at the ranks other than 0. Nothing heavy is imported."""

from __future__ import annotations

import signal

ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that ask a process to stop."""


def keep_signals_back() -> None:
    """Have a rank other than 0 leave signals to its watch; to be called before any thread is started.

    Such a rank leaves when rank 0 lets it, so a signal is only passed on. Its main thread waits in torch's code, where
    Python's handlers do not run: the watch waits for the signals, where the system can do that.
    """
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN if not hasattr(signal, "sigtimedwait") else lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)


def signals_kept_back() -> set[int]:
    """What the watch waits for; empty where the system cannot."""
    return set(ASKING) if hasattr(signal, "sigtimedwait") else set()
