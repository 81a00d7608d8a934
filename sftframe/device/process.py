"""Sets up this process for fast training on the CPU: threads, how they wait, and freed memory.

On a system without such a setting nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import dataclass

from sftframe.device.cores import physical_cores

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
    """`GOMP_SPINCOUNT`, see `wait_politely`."""
    foreign_cores: float | None = None
    """Cores that other processes used while the run was prepared; None = not known."""


def set_up_process(threads: int | None) -> ProcessSetup:
    """Set up threads and memory for training, by default one thread per physical core that the process may use."""
    import torch

    before = torch.get_num_threads()
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


def wait_politely() -> None:
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
