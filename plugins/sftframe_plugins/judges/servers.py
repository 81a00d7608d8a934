"""Shares calls among servers: each call goes to the least busy one; a dead server is skipped for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 480.0

_MOST_FAILURES = 3
"""Failures in a row before a server is skipped; a server that cannot be reached is skipped at once."""

_LOOK_AGAIN_S = 1.0
"""Wait at most this long: a pause may end without a signal."""


@dataclass(slots=True)
class _State:
    num_calls: int = 0
    """Calls that run now."""
    num_failures: int = 0
    """Failures in a row."""
    pause_s: float = 0.0
    """How long it was skipped the last time; 0 while it works."""
    back_at: float = float("-inf")
    is_told: bool = False

    @property
    def is_on_trial(self) -> bool:
        """Whether it is back after a pause and no call has worked yet: then it gets one call at a time."""
        return self.pause_s > 0


class Servers:
    """The servers of one job. Safe with several threads.

    The last one is never skipped, so that its errors are reported.

    Args:
        capacity: parallel calls, per server.
        dead: servers to skip from the start, without a message: the caller has reported them.
        on_left_out: called with a sentence when a server is skipped for the first time.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        capacity: int = 1,
        dead: Collection[str] = (),
        on_left_out: Callable[[str], object] = lambda sentence: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        away = _State(pause_s=_FIRST_PAUSE_S, back_at=clock() + _FIRST_PAUSE_S, is_told=True)
        self._states = {name: replace(away) if name in dead else _State() for name in names}
        self._capacity = capacity
        self._on_left_out = on_left_out
        self._clock = clock
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[str]:
        """The name of the server to ask now; waits until one is free."""
        with self._changed:
            while (name := self._find_free()) is None:
                self._changed.wait(_LOOK_AGAIN_S)
            self._states[name].num_calls += 1
        try:
            yield name
        finally:
            with self._changed:
                self._states[name].num_calls -= 1
                self._changed.notify_all()

    def has_worked(self, name: str) -> None:
        """Note that the server works: its failures are forgotten."""
        with self._changed:
            state = self._states[name]
            state.num_failures, state.pause_s = 0, 0.0

    def has_failed(self, name: str, reason: str, *, is_lost: bool) -> bool:
        """Note that a call failed because of the server. Skip it for a while if it is lost or keeps failing.

        Returns:
            Whether another server can be asked instead.
        """
        with self._changed:
            others = set(self._present()) - {name}
            state = self._states[name]
            state.num_failures += 1
            if others and (is_lost or state.is_on_trial or state.num_failures >= _MOST_FAILURES):
                self._leave_out(state, reason)
            return bool(others)

    def _leave_out(self, state: _State, reason: str) -> None:
        if self._clock() < state.back_at:
            return  # another call to it has just reported the same
        state.pause_s = min(max(2 * state.pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        state.back_at = self._clock() + state.pause_s
        state.num_failures = 0
        if not state.is_told:
            state.is_told = True
            self._on_left_out(f"{reason}; it is skipped, and tried again later")

    def _find_free(self) -> str | None:
        present = self._present()
        free = [name for name, state in present.items() if state.num_calls < self._capacity_of(state)]
        return min(free, key=lambda name: present[name].num_calls, default=None)

    def _capacity_of(self, state: _State) -> int:
        return 1 if state.is_on_trial else self._capacity

    def _present(self) -> dict[str, _State]:
        now = self._clock()
        return {name: state for name, state in self._states.items() if state.back_at <= now}
