"""Calls of a judge's server: addresses, retries, several at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from random import SystemRandom
from typing import Literal, TypeVar

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


Job = TypeVar("Job")
Result = TypeVar("Result")

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0

_CHANCE = SystemRandom().random
"""The system's random numbers, so that no seeded generator changes."""


class ServerError(Exception):
    """A call that failed.

    Args:
        reason: one sentence for the record.
        status: the status of the item's verdict if this was the last attempt.
        raw: the server's text, if there was one.
        is_final: a retry cannot help.
        is_server_lost: the server is not there, or cannot do this work any more; another server may.
        wait_s: the server asks to wait for this number of seconds.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: Literal["unparsable", "timeout", "error"] = "error",
        raw: str = "",
        is_final: bool = False,
        is_server_lost: bool = False,
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status: Literal["unparsable", "timeout", "error"] = status
        self.raw = raw
        self.is_final = is_final
        self.is_server_lost = is_server_lost
        self.wait_s = wait_s


def with_retries(
    call: Callable[[str], Result],
    servers: Servers,
    *,
    retries: int,
    wait: Callable[[float], object],
    chance: Callable[[], float] = _CHANCE,
) -> Result:
    """The call's result, with retries.

    Args:
        call: gets a server's name; raises `ServerError`.
        retries: attempts after the first one; changing to another server after a lost one costs none.
        wait: sleeps between two attempts, for the given seconds: at most 0.5, 1, 2, 4, then always 8, and at least half
            of that; longer if the server asks for it.
        chance: a random number from 0 to 1, so that calls that failed together are not retried together.

    Raises:
        ServerError: the error of the last attempt.
    """
    num_failed = 0
    while True:
        with servers.one() as name:
            try:
                result = call(name)
            except ServerError as error:
                if _note(error, name, servers) and error.is_server_lost:
                    continue
                if error.is_final or num_failed == retries:
                    raise
                asked_for = error.wait_s
            else:
                servers.has_worked(name)
                return result
        longest = min(_FIRST_WAIT_S * 2**num_failed, _LONGEST_WAIT_S)
        wait(max(longest * (1 + chance()) / 2, asked_for))
        num_failed += 1


def _note(error: ServerError, name: str, servers: Servers) -> bool:
    """Note which server failed. Returns whether another server can be asked."""
    if error.is_server_lost or not (error.is_final or error.status == "unparsable"):
        return servers.has_failed(name, error.reason, is_lost=error.is_server_lost)
    servers.has_worked(name)  # a server that refuses, or gives an odd reply to one item, is there
    return False


def with_time_limit(limit_s: float, call: Callable[[], Result]) -> Result:
    """The call's result or its error, if it comes in time.

    A server that sends a byte now and then never exceeds the client's timeouts and never ends: only a separate clock
    stops the wait. The call itself continues in a daemon thread until its connection ends; its result is dropped.

    Raises:
        TimeoutError: it did not come within `limit_s` seconds.
    """
    future: Future[Result] = Future()
    threading.Thread(target=_fulfil, args=(future, call), daemon=True).start()
    return future.result(limit_s)


def as_ready(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, num_threads: int, stop: threading.Event
) -> Generator[tuple[int, Result], None, None]:
    """The number of each job and its result, each as soon as it is ready: a slow job delays no other result.

    The threads are daemons. If the caller stops or is interrupted, `stop` is set and no new job starts. Neither the
    caller nor the end of the process waits for a silent server.
    """
    waiting: SimpleQueue[tuple[int, Callable[[], Result]]] = SimpleQueue()
    done: SimpleQueue[tuple[int, Future[Result]]] = SimpleQueue()
    for number, job in enumerate(jobs):
        waiting.put((number, partial(work, job)))
    for _ in range(min(num_threads, len(jobs))):
        threading.Thread(target=_worker, args=(waiting, done, stop), daemon=True).start()
    try:
        for _ in jobs:
            number, future = done.get()
            yield number, future.result()
    finally:
        stop.set()


def in_order(results: Generator[tuple[int, Result], None, None]) -> Generator[Result, None, None]:
    """The results of `as_ready` in the order of the jobs, each as soon as it and all before it are ready."""
    early: dict[int, Result] = {}
    wanted = 0
    with closing(results):
        for number, result in results:
            early[number] = result
            while wanted in early:
                yield early.pop(wanted)
                wanted += 1


def _worker(
    waiting: SimpleQueue[tuple[int, Callable[[], Result]]],
    done: SimpleQueue[tuple[int, Future[Result]]],
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            number, call = waiting.get_nowait()
        except Empty:
            return
        future: Future[Result] = Future()
        _fulfil(future, call)
        done.put((number, future))


def _fulfil(future: Future[Result], call: Callable[[], Result]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # raised again in the waiting thread
        future.set_exception(error)
