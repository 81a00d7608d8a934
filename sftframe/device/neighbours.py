"""Measures whether other processes use the cores, from CPU clocks that are read twice.

A run reads them before and after it loads its data and model, so that the measurement costs no extra time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MIN_SECONDS = 0.2
"""Kernels count CPU time in ticks of 10 ms: a shorter time would give an error of more than 0.05 cores."""

NOTICEABLE = 0.25
"""Share of a run's cores that others may use without a warning; an idle system uses about 0.02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """One reading of the clocks, in seconds."""

    wall: float
    busy: float
    """CPU time of all processes (and other guests of the host) on the CPUs that this process may use."""
    own: float
    """CPU time of this process."""


def read_clocks() -> Clocks:
    """The clocks now."""
    import psutil

    from sftframe.device.cores import allowed_cpus

    of_cpu = psutil.cpu_times(percpu=True)
    # user time contains guest time, and waiting for a disk uses no core
    counted = ("user", "nice", "system", "irq", "softirq", "steal")
    busy = sum(getattr(of_cpu[n], name, 0.0) for n in allowed_cpus() if n < len(of_cpu) for name in counted)
    own = psutil.Process().cpu_times()
    return Clocks(wall=time.monotonic(), busy=busy, own=own.user + own.system)


class ForeignLoad:
    """Measures the CPU time of other processes from now on.

    Args:
        read: reads the clocks.
    """

    def __init__(self, read: Callable[[], Clocks] = read_clocks) -> None:
        self._read = read
        self._first = read()

    def cores(self) -> float | None:
        """Cores that other processes used since the start, on average; None if the time was too short."""
        now = self._read()
        seconds = now.wall - self._first.wall
        if seconds < MIN_SECONDS:
            return None
        others = (now.busy - self._first.busy) - (now.own - self._first.own)
        return round(max(0.0, others / seconds), 2)


def crowding(foreign: float | None, *, threads: int, cores: int) -> str | None:
    """A warning if other processes use too many of the cores, else None.

    Args:
        foreign: cores that they use; None = not known.
        threads: cores that this process needs.
        cores: physical cores that all share.

    >>> crowding(1.4, threads=2, cores=2)
    'other processes use about 1.4 of 2 cores: training will be slower'
    >>> crowding(1.4, threads=2, cores=8) is None
    True
    """
    if foreign is None or foreign + threads <= cores + NOTICEABLE:
        return None
    return f"other processes use about {min(foreign, cores):.1f} of {cores} cores: training will be slower"
