"""Runs cells as tasks of Ray: on this machine, or on a cluster that is already there.

Ray's tasks, not its library for tuning: a cell knows by itself how to go on, and Ray only has to start it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sftframe import CellEvent, CellOutcome, CellTask, ConfigError, Launch, Launcher, option

OWN_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Environment of a Ray of our own: it sends nothing to its makers, and cells are as urgent as those of `--jobs`."""
_LOOK_S = 0.25
"""How long the driver waits for a result before it looks for events and a stop."""


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """Options of the launcher `ray`."""

    address: str = option(
        "",
        "address of a cluster, such as ray://host:10001 or auto; empty: RAY_ADDRESS, or else a Ray of its own here",
    )
    retries: int = option(3, "how often a cell is started again whose process or machine was lost", ge=0)


class Mailbox:
    """What cells tell, and whether they must stop; an actor of Ray."""

    def __init__(self) -> None:
        self._events: list[CellEvent] = []
        self._is_stopped = False

    def put(self, event: CellEvent) -> None:
        """Keep an event for the driver."""
        self._events.append(event)

    def take(self) -> list[CellEvent]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """Ask all cells to stop."""
        self._is_stopped = True

    def is_stopped(self) -> bool:
        """Whether cells must stop."""
        return self._is_stopped


def run_task(task: CellTask, mailbox: Any) -> CellOutcome:
    """What a worker of Ray does. All events have arrived when it ends."""
    import ray

    last = None

    def tell(event: CellEvent) -> None:
        nonlocal last
        last = mailbox.put.remote(event)

    def is_stopped() -> bool:
        return bool(ray.get(mailbox.is_stopped.remote(), timeout=60))

    if is_stopped():
        return CellOutcome(number=task.number, is_stopped=True)
    outcome = task.run(tell, is_stopped)
    if last is not None:
        ray.get(last)
    return outcome


class RayLauncher(Launcher):
    """Every cell is one task of Ray."""

    name = "ray"
    summary = "cells on a Ray cluster, or in a Ray of its own on this machine"
    Options = RayOptions
    argument = "address"
    can_ship = True

    def check(self) -> None:
        """Check that Ray is installed."""
        if find_spec("ray") is None:
            raise ConfigError("--on ray needs the package ray: pip install 'sftframe[ray]'")

    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        """See `Launcher.launch`."""
        import ray

        with self._connected(launch):
            mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
            start = ray.remote(run_task)
            work = {
                start.options(
                    name=f"sftframe {task.name}",
                    num_cpus=launch.cpus,
                    num_gpus=launch.gpus,
                    max_retries=self.options.retries,
                ).remote(task, mailbox): task
                for task in tasks
            }
            try:
                yield from _outcomes(work, mailbox, launch)
            finally:
                for reference in work:
                    with suppress(Exception):  # it has ended
                        ray.cancel(reference, force=True)
                with suppress(Exception):  # the cluster is gone
                    ray.kill(mailbox)

    @contextmanager
    def _connected(self, launch: Launch) -> Iterator[None]:
        """Connect to Ray, unless this process is connected already; what was started is ended."""
        import ray

        if ray.is_initialized():
            if launch.shipped:
                raise ConfigError("--ship: this process is connected to Ray already; call ray.shutdown() before")
            yield
            return
        for name, value in OWN_SETTINGS.items():
            os.environ.setdefault(name, value)
        address = _full_address(self.options.address)
        is_own = not address and not os.environ.get("RAY_ADDRESS")
        try:
            options: dict[str, Any] = {"include_dashboard": False} if is_own else {}
            if launch.shipped:
                options["runtime_env"] = {"py_modules": [str(path) for path in launch.shipped]}
            ray.init("local" if is_own else address or None, logging_level="ERROR", log_to_driver=False, **options)
        except Exception as error:  # Ray has no common class for what can go wrong here
            reason = " ".join(str(error).split())[:300]
            place = address or os.environ.get("RAY_ADDRESS") or "on this machine"
            raise ConfigError(f"cannot connect to Ray {place}: {type(error).__name__}: {reason}") from error
        try:
            if is_own:
                _check_size(ray.cluster_resources(), launch)
            yield
        finally:
            ray.shutdown()


def _full_address(address: str) -> str:
    """The address as Ray reads it; of `--on ray://host:10001` the option is what follows the colon.

    >>> _full_address("//host:10001"), _full_address("auto")
    ('ray://host:10001', 'auto')
    """
    return f"ray:{address}" if address.startswith("//") else address


def _check_size(found: dict[str, float], launch: Launch) -> None:
    """Check that one cell fits into this machine; otherwise it would wait for ever.

    Raises:
        ConfigError: it does not.
    """
    for flag, kind, wanted in (("--cpus-per-cell", "CPU", launch.cpus), ("--gpus-per-cell", "GPU", launch.gpus)):
        if wanted > found.get(kind, 0):
            raise ConfigError(f"{flag} {wanted:g}: this machine has {found.get(kind, 0):g} {kind}s; ask for fewer")


def _outcomes(work: dict[Any, CellTask], mailbox: Any, launch: Launch) -> Iterator[CellOutcome]:
    """Yield outcomes, and remove what has ended from `work`."""
    import ray

    started: set[int] = set()
    has_told = False

    def pass_on() -> None:
        for event in ray.get(mailbox.take.remote()):
            started.add(event.number)
            launch.tell(event)

    while work:
        ready, _ = ray.wait(list(work), timeout=_LOOK_S)
        if launch.is_stopped() and not has_told:
            ray.get(mailbox.stop.remote())
            has_told = True
        pass_on()
        if has_told:
            for reference, task in work.items():
                if task.number not in started:
                    ray.cancel(reference)  # it may wait for a machine
        for reference in ready:
            yield _outcome(work.pop(reference), reference, launch)


def _outcome(task: CellTask, reference: Any, launch: Launch) -> CellOutcome:
    import ray

    try:
        outcome = ray.get(reference)
        assert isinstance(outcome, CellOutcome), "a task returns its outcome"
        return outcome
    except ray.exceptions.TaskCancelledError:
        return CellOutcome(number=task.number, is_stopped=True)
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        message = f"Ray could not run it: {type(error).__name__}: {reason}"
        launch.tell(CellEvent(number=task.number, kind="failed", text=message))
        return CellOutcome(number=task.number, error=message)
