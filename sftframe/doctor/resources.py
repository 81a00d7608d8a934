"""The cores and the memory that this process may use, in a container too."""

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
"""Of memory, for the bundled model: its run has 0.5 GiB at its peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The cores that this process may use."""

    logical: int
    allowed: int
    """Physical cores that it may be scheduled on."""
    quota: float | None
    """Of cores, of a container; None = no quota."""
    threads: int
    """What a run takes by default."""
    foreign: float | None = None
    """Cores that other processes hold; None = not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """In bytes."""

    total: int
    available: int
    limit: int | None = None
    """Of a container; None = no limit."""
    limit_left: int | None = None


def look_at_cores(load: ForeignLoad) -> Cores:
    """The cores now.

    Args:
        load: what others took of them since it was made.
    """
    return Cores(
        logical=os.cpu_count() or 1,
        allowed=allowed_cores(),
        quota=cgroup_cores(),
        threads=physical_cores(),
        foreign=load.cores(),
    )


def check_cores(cores: Cores) -> Iterator[Finding]:
    """Threads, a container's quota, and others who hold the cores."""
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
            topic="cores", status="note", found=crowded, advice="wait for them, or leave them cores with --threads"
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
    """Limit of the process's Linux control group and what is in use of it, bytes; None = no limit.

    Pages of files that the kernel would drop again (`inactive_file`) do not count as used.
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
    """Whether the bundled model can be trained, and how large a model could be."""
    is_bounded = memory.limit_left is not None and memory.limit_left < memory.available
    free = memory.limit_left if is_bounded and memory.limit_left is not None else memory.available
    where = f"a container's {gib(memory.limit)}" if is_bounded and memory.limit is not None else gib(memory.total)
    found = f"{gib(free)} of {where} free"
    if free < ENOUGH_BYTES:
        advice = f"close other programs, or give the container more: the bundled model wants {gib(ENOUGH_BYTES)}"
        yield Finding(topic="memory", status="problem", found=found, advice=advice)
        return
    # float32 weights, their gradients and AdamW's two moments; activations come on top
    parameters = free / 16 / 1e6
    yield Finding(
        topic="memory", found=f"{found}: room to train {parameters:,.0f}M parameters on the CPU, activations aside"
    )
