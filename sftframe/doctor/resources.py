"""Checks the cores and the memory that this process may use, also in a container."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sftframe.device import ForeignLoad, allowed_cores, cgroup_cores, crowding, physical_cores
from sftframe.device.kernel_files import read_text
from sftframe.doctor.findings import Finding, gib

ENOUGH_BYTES = 2**30
"""Memory that is enough for the bundled model, whose run needs 0.5 GiB at its peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The cores that this process may use."""

    logical: int
    allowed: int
    """Physical cores that it may run on."""
    quota: float | None
    """A container's quota in cores; None = no quota."""
    threads: int
    """The default of a run."""
    foreign: float | None = None
    """Cores that other processes use; None = not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory in bytes."""

    total: int
    available: int
    limit: int | None = None
    """A container's limit; None = no limit."""
    limit_left: int | None = None


def look_at_cores(load: ForeignLoad) -> Cores:
    """The cores now.

    Args:
        load: the use by other processes since it was made.
    """
    return Cores(
        logical=os.cpu_count() or 1,
        allowed=allowed_cores(),
        quota=cgroup_cores(),
        threads=physical_cores(),
        foreign=load.cores(),
    )


def check_cores(cores: Cores) -> Iterator[Finding]:
    """Findings on threads, a container's quota, and other processes on the cores."""
    found = f"{cores.threads} threads on {cores.allowed} physical cores ({cores.logical} logical)"
    if cores.quota is not None and cores.quota < cores.allowed:
        found += f"; a container's quota allows {cores.quota:g} cores"
        if cores.quota < 1:
            advice = "give the container a core of its own (--cpus), or training will be slow"
            yield Finding(topic="cores", status="note", found=found, advice=advice)
            return
    yield Finding(topic="cores", found=found)
    crowded = crowding(cores.foreign, threads=cores.threads, cores=cores.allowed)
    if crowded:
        yield Finding(
            topic="cores", status="note", found=crowded, advice="wait until they end, or use fewer cores with --threads"
        )


def look_at_memory() -> Memory:
    """The memory now."""
    import psutil

    memory = psutil.virtual_memory()
    limit, used = container_memory()
    return Memory(
        total=memory.total,
        available=memory.available,
        limit=limit,
        limit_left=None if limit is None else max(0, limit - used),
    )


def container_memory(root: Path = Path("/")) -> tuple[int | None, int]:
    """Limit and use of memory of the process's Linux control group, in bytes; None = no limit.

    Pages of files that the kernel can drop (`inactive_file`) do not count as used.
    """
    for folder, limit_name, used_name in (
        ("sys/fs/cgroup", "memory.max", "memory.current"),
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, used = (read_text(root / folder / name).strip() for name in (limit_name, used_name))
        # version 1 writes a number near 2**63 where there is no limit
        if limit.isdecimal() and used.isdecimal() and int(limit) < 2**60:
            cached = re.search(
                r"^(?:total_)?inactive_file (\d+)$", read_text(root / folder / "memory.stat"), re.MULTILINE
            )
            return int(limit), int(used) - (int(cached[1]) if cached else 0)
    return None, 0


def check_memory(memory: Memory) -> Iterator[Finding]:
    """Findings on whether the bundled model can train, and on the largest model that could."""
    is_bounded = memory.limit_left is not None and memory.limit_left < memory.available
    free = memory.limit_left if is_bounded and memory.limit_left is not None else memory.available
    where = f"a container's {gib(memory.limit)}" if is_bounded and memory.limit is not None else gib(memory.total)
    found = f"{gib(free)} of {where} free"
    if free < ENOUGH_BYTES:
        advice = f"close other programs, or give the container more: the bundled model needs {gib(ENOUGH_BYTES)}"
        yield Finding(topic="memory", status="problem", found=found, advice=advice)
        return
    # float32 weights, their gradients and AdamW's two moments; activations need more
    parameters = free / 16 / 1e6
    yield Finding(
        topic="memory", found=f"{found}: room to train {parameters:,.0f}M parameters on the CPU, without activations"
    )
