"""The cores of this process: how many it may use, how its threads wait, and what else is running on them."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


def read_text(path: Path) -> str:
    """The text of a file, or an empty text if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def physical_cores() -> int:
    """Physical cores that this process may use, within its affinity and a container's quota; at least 1."""
    quota = cgroup_cores()
    return max(1, int(allowed_cores() if quota is None else min(allowed_cores(), quota)))


def allowed_cores() -> int:
    """Physical cores that this process may run on; ignores a quota of their time."""
    import psutil

    cpus = allowed_cpus()
    in_all = psutil.cpu_count(logical=False)  # None on some systems
    return min(num_cores_of(cpus), in_all or len(cpus))


def allowed_cpus() -> list[int]:
    """Numbers of the logical CPUs that this process may run on; all if the system sets no limits."""
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # Linux, Windows, FreeBSD
        return list(process.cpu_affinity())
    return list(range(os.cpu_count() or 1))


def num_cores_of(cpus: Iterable[int], root: Path = Path("/")) -> int:
    """Number of physical cores of these logical CPUs; one for each CPU if the kernel does not say."""
    folder = root / "sys/devices/system/cpu"
    return len({read_text(folder / f"cpu{n}/topology/thread_siblings_list").strip() or f"cpu{n}" for n in cpus})


def cgroup_cores(root: Path = Path("/")) -> float | None:
    """The CPU quota of this process's Linux control group in cores, versions 2 and 1; None = no quota.

    The kernel's file `cpu.max` is "QUOTA PERIOD" in microseconds; without a limit QUOTA is "max". Version 1 has the two
    in separate files; without a limit QUOTA is -1.
    """
    quotas = []
    groups = re.findall(r"^0::/(.*)$", read_text(root / "proc/self/cgroup"), re.MULTILINE)
    mount = root / "sys/fs/cgroup"
    own = mount / (groups[0] if groups else "")
    for folder in (own, *own.parents):
        if folder.is_relative_to(mount):
            quotas.append(read_text(folder / "cpu.max"))
    quotas.append(" ".join(read_text(mount / "cpu" / name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")))
    pairs = [quota.split() for quota in quotas]
    return min((int(pair[0]) / int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0].isdecimal()), default=None)


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


_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""Parameters of mallopt, from glibc's malloc.h."""

SPIN_COUNT = "6000"
"""Rounds that an OpenMP thread spins before it sleeps; the GNU library's default is 50 times as many. With 2000 a
training step took 3 to 5 % longer on two idle cores, and 8 % less when another process kept one core busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSetup:
    """The changes to the process, for a run's manifest."""

    threads: int
    """Threads that torch computes with on the CPU."""
    threads_before: int
    """The number before the change."""
    physical_cores: int
    """Physical cores that this process may use."""
    keeps_freed_memory: bool = False
    """The result of `keep_freed_memory`."""
    spin_count: str | None = None
    """`GOMP_SPINCOUNT`, see `limit_spinning`."""
    foreign_cores: float | None = None
    """Cores that other processes used while the run was prepared; None = not known."""


def set_up_process(threads: int | None, *, num_sharing: int = 1) -> ProcessSetup:
    """Set up threads and memory for training, by default one thread per physical core that the process may use.

    Args:
        num_sharing: processes that share these cores and start together; each takes its part.
    """
    import torch

    before = torch.get_num_threads()
    if threads is None and num_sharing > 1:
        threads = max(1, physical_cores() // num_sharing)
    return ProcessSetup(
        threads=set_up_threads(threads),
        threads_before=before,
        physical_cores=physical_cores(),
        keeps_freed_memory=keep_freed_memory(),
        spin_count=os.environ.get("GOMP_SPINCOUNT"),
    )


def set_up_threads(wanted: int | None) -> int:
    """Set torch's number of threads, by default one per physical core that it may use.

    Returns:
        The number of threads now.
    """
    import torch

    torch.set_num_threads(wanted or physical_cores())
    return torch.get_num_threads()


def limit_spinning() -> None:
    """Let OpenMP's threads sleep soon. Long spinning can delay the thread that they wait for.

    When another process needs a core, spinning threads slow training down. On two cores with one other busy process,
    8,000 tokens/s became 460 to 2,000 with the library's default, and 5,600 without spinning. Call it before torch is
    imported. The user's own setting is kept.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory, so that every step uses the pages of the step before.

    Training takes and frees the same hundreds of megabytes in every step. glibc returns blocks of that size to the
    system. Writing to new pages takes four times as long as to old ones (10 and 39 GB/s on the machine of this
    measurement). Without glibc nothing is changed.

    Returns:
        Whether anything was changed; it stays so until the process ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    no_mapped_blocks = mallopt(_M_MMAP_MAX, 0)
    never_trim = mallopt(_M_TRIM_THRESHOLD, -1)
    return bool(no_mapped_blocks and never_trim)
