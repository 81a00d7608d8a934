"""What sftframe changes of its own process so that the CPU is used well: threads, how they wait, and freed memory.

Nothing is asked of the user, and where a system has no such switch nothing happens.
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
"""Rounds that an OpenMP thread spins before it sleeps; the GNU library's own default is 50 times that. With 2000 a
training step took 3 to 5 % longer on two idle cores, and 8 % less beside a process that kept one of them busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSetup:
    """What was changed, as a run's manifest records it."""

    threads: int
    """Threads that torch computes with on the CPU."""
    threads_before: int
    """What it was before it was set."""
    physical_cores: int
    """Cores that this process may use, hyper-threads not counted twice."""
    keeps_freed_memory: bool = False
    """What `keep_freed_memory` said."""
    spin_count: str | None = None
    """`GOMP_SPINCOUNT`, see `wait_politely`."""
    foreign_cores: float | None = None
    """Cores that other processes held while the run was being prepared; None = not known."""


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
    """Let torch compute with as many threads as wanted, by default one per physical core that it may use.

    Returns:
        How many that are now.
    """
    import torch

    torch.set_num_threads(wanted or physical_cores())
    return torch.get_num_threads()


def wait_politely() -> None:
    """Let OpenMP's threads sleep soon instead of spinning, which holds up the very thread that they wait for.

    As soon as another process wants a core, threads that spin through their time slice slow training down: on two cores
    with one other busy process, 8,000 tokens/s became 460 to 2,000 with the library's default, and 5,600 without any
    spinning. Takes effect only before torch is imported; what the user has set stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def keep_freed_memory() -> bool:
    """Let the C library keep memory that was freed, so that every step gets the pages of the one before.

    Training takes and frees the same hundreds of megabytes in every step. glibc gives blocks of that size back to the
    system, and fresh pages cost four times as much to write as pages that are there (10 against 39 GB/s on the machine
    where this was measured). Elsewhere than with glibc nothing is changed.

    Returns:
        Whether anything was changed; it holds for the rest of the process.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    no_mapped_blocks = mallopt(_M_MMAP_MAX, 0)
    never_trim = mallopt(_M_TRIM_THRESHOLD, -1)
    return bool(no_mapped_blocks and never_trim)
