"""The processes of a job: what rank 0 asks the others to do, what they answer, and how a lost one is found.

Rank 0 leads. It reads the data, writes the files and talks; the other ranks wait for orders and compute. Orders and
answers go through torch's key-value store; gradients and weights go through its collectives, `gloo` in the CPU's memory
and `nccl` on GPUs.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous

from sftframe.distributed.place import EXIT_TOLD, Place, named
from sftframe.distributed.signals import signals_kept_back
from sftframe.errors import SftframeError, TrainingError

_Store = dist.PrefixStore  # type: ignore[attr-defined]

LOOK_EVERY_S = 1.0
"""Seconds between two signs of life."""
GRACE_S = 5.0
"""Seconds that a rank waits for rank 0 to tell the user what happened, or to leave after a stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What rank 0 asks of a rank."""

    number: int
    method: str
    """Of `RankModel`; empty = leave."""
    given: tuple[Any, ...] = ()


def is_of_a_collective(error: BaseException | None) -> bool:
    """Whether an error, or the one that caused it, says that other ranks are gone."""
    if error is None:
        return False
    words = str(error).lower()
    is_it = isinstance(error, RuntimeError) and any(word in words for word in ("gloo", "nccl", "connection"))
    return isinstance(error, dist.DistError) or is_it or is_of_a_collective(error.__cause__)


class Ranks:
    """This process among those of a job.

    Args:
        tell: called on rank 0 with the one message, if a rank is lost; the process ends after it.
    """

    def __init__(self, place: Place, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.place = place
        timeout = timedelta(seconds=place.timeout_s)
        store, _, _ = next(rendezvous("env://", place.rank, place.world_size, timeout=timeout))
        has_gpus = torch.cuda.is_available()
        if has_gpus:
            torch.cuda.set_device(place.local_rank)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_gpus else "gloo",
            store=_Store("group", store),
            rank=place.rank,
            world_size=place.world_size,
            timeout=timeout,
        )
        self._store = _Store("sftframe", store)
        self._store.set(f"host/{place.rank}", socket.gethostname())
        self.hosts = [self._store.get(f"host/{rank}").decode() for rank in range(place.world_size)]
        self._number = 0
        self.run: Path | None = None
        """The run's folder, as soon as there is one; for messages."""
        self.is_stopping = False
        """Whether the user or a scheduler has asked rank 0 to stop."""
        self._watch = _Watch(self, store, tell)
        self._watch.start()

    def name(self, rank: int) -> str:
        """A rank for messages."""
        return named(rank, self.hosts[rank])

    def mesh(self, device: str) -> DeviceMesh:
        """All ranks in one dimension."""
        return init_device_mesh(device.partition(":")[0], (self.place.world_size,))

    def order(self, method: str, per_rank: Sequence[tuple[Any, ...]]) -> int:
        """Have every other rank do something; the first entry of `per_rank` is rank 0's own and is not sent.

        Returns:
            The order's number, for `answers`.
        """
        self._number += 1
        for rank in range(1, self.place.world_size):
            order = Order(number=self._number, method=method, given=per_rank[rank])
            self._store.set(f"order/{self._number}/{rank}", _packed(order))  # type: ignore[arg-type]  # bytes too
        return self._number

    def order_all(self, method: str, *given: Any) -> int:
        """`order` with the same arguments for all."""
        return self.order(method, [given] * self.place.world_size)

    def next_order(self) -> Order:
        """Wait for rank 0's next order, for as long as it takes."""
        self._number += 1
        key = f"order/{self._number}/{self.place.rank}"
        order: Order = _unpacked(self._taken(key))
        return order

    def answer(self, number: int, value: Any) -> None:
        """Answer an order: a value, or the error that came instead."""
        self._store.set(f"answer/{number}/{self.place.rank}", _packed(value))  # type: ignore[arg-type]  # bytes too

    def answers(self, number: int) -> list[Any]:
        """The other ranks' answers to an order, in the order of their ranks.

        Raises:
            SftframeError: what a rank raised instead, with its name.
        """
        found = [_unpacked(self._taken(f"answer/{number}/{rank}")) for rank in range(1, self.place.world_size)]
        for rank, value in enumerate(found, start=1):
            if isinstance(value, SftframeError):
                kind = type(value) if type(value).__init__ is Exception.__init__ else TrainingError
                raise kind(f"{self.name(rank)}: {value}") from value
        return found

    def dismiss(self) -> None:
        """Let the other ranks leave; rank 0's last order."""
        self._watch.end()
        with suppress(RuntimeError):
            self.order_all("")

    def close(self) -> None:
        """Leave the group, if this process is in it."""
        self._watch.end()
        if dist.is_initialized():
            with suppress(RuntimeError):
                dist.destroy_process_group()

    def report_failure(self, message: str) -> NoReturn:
        """Give rank 0 this rank's failure, and end this process when it was told."""
        self._watch.end()
        with suppress(RuntimeError):
            self._store.set("failure", f"{self.place.name}: {message}")
            self._store.wait(["told"], timedelta(seconds=GRACE_S))
        os._exit(EXIT_TOLD)

    def leave_after_others(self) -> NoReturn:
        """End, because another rank has gone; that one is told first."""
        self._watch.end()
        time.sleep(2 * GRACE_S)
        os._exit(EXIT_TOLD)

    def explained(self, error: BaseException) -> TrainingError | None:
        """The error of a collective as one that names the lost ranks; None if it is another error.

        If the processes were started by `--nproc`, and that has seen one of them end, it names it: this one ends then.
        """
        if not is_of_a_collective(error):
            return None
        with _noting_signals() as heard:
            lost = self._watch.silent_ranks()
        if self.place.is_launched and (heard or self.is_stopping):
            os._exit(EXIT_TOLD)
        who = ", ".join(map(self.name, lost)) or (self.name(1) if self.place.world_size == 2 else "a rank")
        return TrainingError(f"{who} has gone, or gave no answer for {self.place.timeout_s:.0f} s")

    def _taken(self, key: str) -> bytes:
        """A value as soon as it is there; it is deleted, so that the store stays small."""
        while True:
            with suppress(dist.DistStoreError):
                self._store.wait([key], timedelta(seconds=self.place.timeout_s))
                value: bytes = self._store.get(key)
                self._store.delete_key(key)
                return value


class _Watch(threading.Thread):
    """Gives this rank's signs of life and looks for the others': rank 0 for all, the others for rank 0's."""

    def __init__(self, ranks: Ranks, store: Any, tell: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name="ranks")
        self._place = ranks.place
        self._ranks = ranks
        self._store = _Store("sftframe", store.clone())
        self._tell = tell
        self._has_ended = threading.Event()
        self._signals = set() if self._place.leads else signals_kept_back()
        self._has_passed_stop_on = False
        self._seen: dict[int, tuple[bytes, float]] = {}
        self._wants_stop = False

    def end(self) -> None:
        """Stop watching."""
        self._has_ended.set()

    def run(self) -> None:
        beat = 0
        while not self._has_ended.is_set():
            beat += 1
            try:
                self._store.set(f"alive/{self._place.rank}", str(beat))
                if self._place.leads:
                    self._look_after_all()
                else:
                    self._look_at_the_first()
            except RuntimeError:  # the store is gone, and with it the process that started the job
                if not self._has_ended.is_set():
                    os._exit(EXIT_TOLD)
            self._rest()

    def _rest(self) -> None:
        if not self._signals:
            self._has_ended.wait(LOOK_EVERY_S)
        elif signal.sigtimedwait(self._signals, LOOK_EVERY_S) is not None:
            self._wants_stop = True

    def _look_after_all(self) -> None:
        if self.failure_comes():
            self._give_up(self._store.get("failure").decode())
        for rank, age in self._ages(range(1, self._place.world_size)).items():
            if age > self._place.timeout_s:
                self._give_up(f"{self._ranks.name(rank)} has given no sign of life for {age:.0f} s")
        if not self._has_passed_stop_on and self._store.check(["stop"]):
            self._has_passed_stop_on = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _look_at_the_first(self) -> None:
        if self._wants_stop:
            self._store.set("stop", str(self._place.rank))
        age = self._ages([0])[0]
        if age > (GRACE_S if self._wants_stop else self._place.timeout_s):
            os._exit(EXIT_TOLD)

    def failure_comes(self) -> bool:
        """Whether a rank has said why it fails."""
        with suppress(RuntimeError):
            return self._store.check(["failure"])
        return False

    def silent_ranks(self) -> list[int]:
        """The ranks that give no sign of life while this method waits."""
        others = range(1, self._place.world_size)
        with suppress(RuntimeError):
            self._ages(others)
            time.sleep(3 * LOOK_EVERY_S)
            return [rank for rank, age in self._ages(others).items() if age >= 2 * LOOK_EVERY_S]
        return []

    def _ages(self, ranks: Sequence[int]) -> dict[int, float]:
        """Seconds since each rank's last sign of life, by this process's clock."""
        now = time.monotonic()
        for rank in ranks:
            key = f"alive/{rank}"
            value = self._store.get(key) if self._store.check([key]) else b""
            if rank not in self._seen or self._seen[rank][0] != value:
                self._seen[rank] = value, now
        return {rank: now - self._seen[rank][1] for rank in ranks}

    def _give_up(self, message: str) -> NoReturn:
        run = self._ranks.run
        way = "" if run is None else f"; what was saved before it is kept, continue with: sftframe run --resume {run}"
        self._tell(message + way)
        with suppress(RuntimeError):
            self._store.set("told", "")
        os._exit(EXIT_TOLD)


@contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """While the body runs, SIGTERM is only noted."""
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        yield heard
    finally:
        signal.signal(signal.SIGTERM, before)


def _packed(value: Any) -> bytes:
    buffer = io.BytesIO()
    pickle.dump(value, buffer, protocol=pickle.HIGHEST_PROTOCOL)
    return buffer.getvalue()


def _unpacked(data: bytes) -> Any:
    return pickle.loads(data)
