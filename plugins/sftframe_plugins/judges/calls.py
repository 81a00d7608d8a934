"""Many calls to servers that may fail: side by side, in order, with patience, and given up at once when nobody waits.

Takes what a single call does, gives its results in the order of the jobs. Knows nothing of judges and protocols: a
call says by the exception that it raises whether another attempt makes sense, and whether its server is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Literal, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0


class CallError(Exception):
    """A call that brought nothing.

    Args:
        reason: one sentence for the record.
        status: what the item's verdict becomes if this was the last attempt.
        raw: what the server said, if anything.
        is_final: another attempt cannot help.
        is_server_lost: the server is not there, or cannot do this work any more; another one may.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: Literal["unparsable", "timeout", "error"] = "error",
        raw: str = "",
        is_final: bool = False,
        is_server_lost: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status: Literal["unparsable", "timeout", "error"] = status
        self.raw = raw
        self.is_final = is_final
        self.is_server_lost = is_server_lost


class Servers:
    """Servers that share the work: each call goes to the one with the fewest calls, and a lost one is left out.

    The last one is never left out, so that its errors are the ones to be told. Safe with several threads.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._num_calls = dict.fromkeys(names, 0)
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[str]:
        """The name of the server to ask now."""
        with self._lock:
            name = min(self._num_calls, key=self._num_calls.__getitem__)
            self._num_calls[name] += 1
        try:
            yield name
        finally:
            with self._lock:
                if name in self._num_calls:
                    self._num_calls[name] -= 1

    def leave_out(self, name: str) -> bool:
        """Whether there is another one to go to instead."""
        with self._lock:
            if set(self._num_calls) == {name}:
                return False
            self._num_calls.pop(name, None)
            return True


def with_patience(
    call: Callable[[str], Result], servers: Servers, *, retries: int, wait: Callable[[float], object]
) -> Result:
    """The call's result, after as many attempts as it takes.

    Args:
        call: given a server's name; raises `CallError`.
        retries: attempts after the first one, on servers that are there; leaving out a lost one costs none.
        wait: sleeps for so many seconds, between two attempts: 0.5, 1, 2, 4, then always 8.

    Raises:
        CallError: that of the last attempt.
    """
    num_failed = 0
    while True:
        with servers.one() as name:
            try:
                return call(name)
            except CallError as error:
                if error.is_server_lost and servers.leave_out(name):
                    continue
                if error.is_final or num_failed == retries:
                    raise
        wait(min(_FIRST_WAIT_S * 2**num_failed, _LONGEST_WAIT_S))
        num_failed += 1


def in_order(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, num_threads: int, stop: threading.Event
) -> Iterator[Result]:
    """Results in the order of the jobs, each as soon as it and all before it are there.

    The threads are daemons: when the caller goes away or is interrupted, `stop` is set, no new job is begun, and
    neither the caller nor the end of the process waits for a server that is silent.
    """
    futures: list[Future[Result]] = [Future() for _ in jobs]
    queue: SimpleQueue[tuple[Job, Future[Result]]] = SimpleQueue()
    for job, future in zip(jobs, futures, strict=True):
        queue.put((job, future))
    for _ in range(min(num_threads, len(jobs))):
        threading.Thread(target=_work_off, args=(queue, work, stop), daemon=True).start()
    try:
        for future in futures:
            yield future.result()
    finally:
        stop.set()


def _work_off(
    queue: SimpleQueue[tuple[Job, Future[Result]]], work: Callable[[Job], Result], stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            job, future = queue.get_nowait()
        except Empty:
            return
        try:
            future.set_result(work(job))
        except BaseException as error:  # raised again where the result is waited for
            future.set_exception(error)
