"""Whether other processes hold the cores: two looks at the clocks, and what happened between them.

Costs nothing but the two looks: a run takes the first before it loads its data and model, the second after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MIN_SECONDS = 0.2
"""Kernels count CPU time in ticks of 10 ms: a shorter look would be off by more than a twentieth of a core."""

NOTICEABLE = 0.25
"""Of the cores that a run wants, what others may hold before it is worth a word; an idle system takes 0.02 or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """A look at the clocks, all in seconds."""

    wall: float
    busy: float
    """CPU time that all processes (and other guests of the same host) took of the CPUs that this process may use."""
    own: float
    """CPU time of this process."""


def read_clocks() -> Clocks:
    """The clocks now."""
    import psutil

    from sftframe.device.cores import allowed_cpus

    of_cpu = psutil.cpu_times(percpu=True)
    # guests' time is in user's already, and waiting for a disk holds no core
    counted = ("user", "nice", "system", "irq", "softirq", "steal")
    busy = sum(getattr(of_cpu[n], name, 0.0) for n in allowed_cpus() if n < len(of_cpu) for name in counted)
    own = psutil.Process().cpu_times()
    return Clocks(wall=time.monotonic(), busy=busy, own=own.user + own.system)


class ForeignLoad:
    """What others take of the CPU from now on.

    Args:
        read: where the clocks are read.
    """

    def __init__(self, read: Callable[[], Clocks] = read_clocks) -> None:
        self._read = read
        self._first = read()

    def cores(self) -> float | None:
        """Cores that other processes held since the beginning, on average; None where that was too short to tell."""
        now = self._read()
        seconds = now.wall - self._first.wall
        if seconds < MIN_SECONDS:
            return None
        others = (now.busy - self._first.busy) - (now.own - self._first.own)
        return round(max(0.0, others / seconds), 2)


def crowding(foreign: float | None, *, threads: int, cores: int) -> str | None:
    """A line on others in the way, where there are any.

    Args:
        foreign: cores that they hold; None = not known.
        threads: cores that this process wants.
        cores: physical cores that all of them share.

    >>> crowding(1.4, threads=2, cores=2)
    'other processes use about 1.4 of 2 cores: training will be slower'
    >>> crowding(1.4, threads=2, cores=8) is None
    True
    """
    if foreign is None or foreign + threads <= cores + NOTICEABLE:
        return None
    return f"other processes use about {min(foreign, cores):.1f} of {cores} cores: training will be slower"
