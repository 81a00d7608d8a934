"""Runs many calls to servers in parallel, with retries; they stop at once if nobody waits for the results.

The exception of a failed call says whether a retry makes sense, and whether its server is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from random import SystemRandom
from typing import Literal, TypeVar

from sftframe_plugins.judges.servers import Servers

Job = TypeVar("Job")
Result = TypeVar("Result")

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0

_CHANCE = SystemRandom().random
"""The system's random numbers, so that no seeded generator changes."""


class CallError(Exception):
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


def with_patience(
    call: Callable[[str], Result],
    servers: Servers,
    *,
    retries: int,
    wait: Callable[[float], object],
    chance: Callable[[], float] = _CHANCE,
) -> Result:
    """The call's result, with retries.

    Args:
        call: gets a server's name; raises `CallError`.
        retries: attempts after the first one; changing to another server after a lost one costs none.
        wait: sleeps between two attempts, for the given seconds: at most 0.5, 1, 2, 4, then always 8, and at least half
            of that; longer if the server asks for it.
        chance: a random number from 0 to 1, so that calls that failed together are not retried together.

    Raises:
        CallError: the error of the last attempt.
    """
    num_failed = 0
    while True:
        with servers.one() as name:
            try:
                result = call(name)
            except CallError as error:
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


def _note(error: CallError, name: str, servers: Servers) -> bool:
    """Note which server failed. Returns whether another server can be asked."""
    if error.is_server_lost or not (error.is_final or error.status == "unparsable"):
        return servers.has_failed(name, error.reason, is_lost=error.is_server_lost)
    servers.has_worked(name)  # a server that refuses, or gives an odd reply to one item, is there
    return False


def within(limit_s: float, call: Callable[[], Result]) -> Result:
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
        threading.Thread(target=_work_off, args=(waiting, done, stop), daemon=True).start()
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


def _work_off(
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
