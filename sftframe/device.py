"""The machine: which device to compute on, how many threads, how much memory was used, and what to write down of it.

Takes what the user asked for, gives torch's names. Knows nothing of models; torch is imported on use.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sftframe.errors import ConfigError

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""Parameters of mallopt, from glibc's malloc.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSetup:
    """How many threads torch computes with on the CPU."""

    threads: int
    before: int
    """What it was before it was set."""
    physical_cores: int
    """Cores that this process may use, hyper-threads not counted twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run's manifest says of where it ran."""

    os: str
    python: str
    cpu: str
    physical_cores: int
    """Those that this process may use."""
    memory_bytes: int
    torch: str
    devices: tuple[str, ...]
    """torch's names, each with the model where there is one: `cuda:0 NVIDIA H200`, `cpu`."""
    threads: int
    """CPU threads of torch at this moment."""


def choose_device(wanted: str) -> str:
    """The torch device to use; `auto` takes the first of `cuda`, `mps` and `cpu` that is there.

    Raises:
        ConfigError: what is wanted is not there; the message lists what is.
    """
    return pick_device(wanted, available_devices())


def pick_device(wanted: str, available: Sequence[str]) -> str:
    """`choose_device` on a machine with these devices, the best first.

    >>> pick_device("auto", ["cuda:0", "cuda:1", "cpu"]), pick_device("cuda:1", ["cuda:0", "cuda:1", "cpu"])
    ('cuda', 'cuda:1')
    """
    kinds = [name.partition(":")[0] for name in available]
    if wanted == "auto":
        return kinds[0]
    if wanted in kinds or wanted in available:
        return wanted
    raise ConfigError(f"device: no {wanted!r} on this machine, expected one of: auto, {', '.join(available)}")


def available_devices() -> tuple[str, ...]:
    """torch's names of the devices of this machine, the best first; `cpu` is always the last."""
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (*gpus, *mps, "cpu")


def set_up_threads(wanted: int | None) -> ThreadSetup:
    """Let torch compute with as many threads as wanted, by default one per physical core that it may use."""
    import torch

    before, cores = torch.get_num_threads(), physical_cores()
    torch.set_num_threads(wanted or cores)
    return ThreadSetup(threads=torch.get_num_threads(), before=before, physical_cores=cores)


SPIN_COUNT = "2000"
"""Rounds that an OpenMP thread spins before it sleeps; the GNU library's own default is 150 times that."""


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


def physical_cores() -> int:
    """Physical cores that this process may use, at least 1: the machine's, within affinity and a container's quota."""
    import psutil

    limits = [psutil.cpu_count(logical=False), os.cpu_count(), cgroup_cores()]
    if sys.platform == "linux":
        limits.append(len(os.sched_getaffinity(0)))
    return max(1, int(min(limit for limit in limits if limit is not None)))


def cgroup_cores(root: Path = Path("/")) -> float | None:
    """The CPU quota of this process's Linux control group in cores, versions 2 and 1; None = no quota.

    Files of the kernel: `cpu.max` is "QUOTA PERIOD" in microseconds, QUOTA being "max" without a limit; version 1 has
    the two in files of their own, QUOTA being -1.
    """
    quotas = []
    groups = re.findall(r"^0::/(.*)$", _text(root / "proc/self/cgroup"), re.MULTILINE)
    mount = root / "sys/fs/cgroup"
    own = mount / (groups[0] if groups else "")
    for folder in (own, *own.parents):
        if folder.is_relative_to(mount):
            quotas.append(_text(folder / "cpu.max"))
    quotas.append(" ".join(_text(mount / "cpu" / name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")))
    pairs = [quota.split() for quota in quotas]
    return min((int(pair[0]) / int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0].isdecimal()), default=None)


def peak_memory_bytes(device: str) -> int:
    """The most memory that was in use: on a CUDA device by torch's tensors, elsewhere by this process."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # getrusage would also count what the parent process had in use when it started this one
    high_water = re.search(r"^VmHWM:\s+(\d+) kB$", _text(Path("/proc/self/status")), re.MULTILINE)
    if high_water:
        return int(high_water[1]) * 1024
    import resource

    return in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.platform)


def in_bytes(max_rss: int, system: str) -> int:
    """`ru_maxrss` in bytes: macOS counts bytes, Linux and the BSDs KiB.

    >>> in_bytes(2048, "darwin"), in_bytes(2048, "linux")
    (2048, 2097152)
    """
    return max_rss if system == "darwin" else max_rss * 1024


def describe_machine() -> Machine:
    """This machine as the manifest records it."""
    import psutil
    import torch

    return Machine(
        os=platform.platform(),
        python=platform.python_version(),
        cpu=_cpu_model(),
        physical_cores=physical_cores(),
        memory_bytes=psutil.virtual_memory().total,
        torch=str(torch.__version__),
        devices=tuple(
            f"{name} {torch.cuda.get_device_name(name)}" if name.startswith("cuda") else name
            for name in available_devices()
        ),
        threads=torch.get_num_threads(),
    )


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    if found:
        return found[1].strip()
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return asked.stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
