"""Counts the cores that this process may use, within its affinity and a container's quota."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from sftframe.device.kernel_files import read_text


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
