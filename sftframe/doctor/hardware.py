"""Checks of devices, cores and memory."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sftframe.device import (
    ForeignLoad,
    allowed_cores,
    available_devices,
    cgroup_cores,
    crowding,
    physical_cores,
    read_text,
)
from sftframe.formatting import memory_size

Status = Literal["ok", "note", "problem"]
"""`note`: a run works, but something else may not, or could work better; `problem`: a run would not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of an examination."""

    topic: str
    """Its topic, one word."""
    found: str
    status: Status = "ok"
    advice: str = ""
    """What to do; empty = nothing."""


ENOUGH_BYTES = 2**30
"""GPU memory in bytes that is enough for the bundled model and CUDA itself."""

_TORCH_FOR = "see https://pytorch.org/get-started/locally"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU that torch sees."""

    device: str
    model: str
    free_bytes: int
    total_bytes: int
    is_supported: bool = True
    """Whether this torch has code for its generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The devices of this machine, as torch and the system see them."""

    gpus: Sequence[Gpu] = ()
    has_mps: bool = False
    torch: str = ""
    torch_cuda: str | None = None
    """The CUDA that torch was built with; None = without."""
    is_rocm: bool = False
    """Whether torch was built for AMD's GPUs, which it calls cuda."""
    nvidia_driver: str | None = None
    """Version of the driver; empty = cannot be read; None = there is no driver."""
    has_amd_driver: bool = False
    visible: str | None = None
    """`CUDA_VISIBLE_DEVICES`."""
    system: str = "Linux"
    machine: str = "x86_64"
    is_translated: bool = False
    """Whether this is a Python for Intel on a Mac with Apple silicon."""


def look_at_devices() -> Devices:
    """The devices, if torch can be imported."""
    import torch

    names = available_devices()
    return Devices(
        gpus=tuple(_gpu(name) for name in names if name.startswith("cuda")),
        has_mps="mps" in names,
        torch=str(torch.__version__),
        torch_cuda=torch.version.cuda,
        is_rocm=torch.version.hip is not None,
        nvidia_driver=_nvidia_driver(),
        has_amd_driver=Path("/dev/kfd").exists(),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        system=platform.system(),
        machine=platform.machine(),
        is_translated=platform.system() == "Darwin" and "ARM64" in platform.version() and platform.machine() != "arm64",
    )


def check_devices(devices: Devices) -> Iterator[Finding]:
    """Findings on the devices, and on a GPU that is there but not used."""
    for number, gpu in enumerate(devices.gpus):
        yield _check_gpu(gpu, is_first=number == 0)
    if devices.has_mps:
        yield Finding(topic="devices", found="mps, the Mac's own GPU")
    yield from _hidden_gpus(devices)
    if not devices.gpus and not devices.has_mps:
        yield Finding(topic="devices", found=f"cpu ({devices.machine}), torch {devices.torch}")


def _check_gpu(gpu: Gpu, *, is_first: bool) -> Finding:
    found = f"{gpu.device} {gpu.model}, {memory_size(gpu.free_bytes)} of {memory_size(gpu.total_bytes)} free"
    if not gpu.is_supported:
        return Finding(
            topic="devices",
            status="problem" if is_first else "note",
            found=f"{found}; this torch has no code for its generation",
            advice=f"install a torch that has it, {_TORCH_FOR}; or compute with --device cpu",
        )
    if gpu.free_bytes < ENOUGH_BYTES:
        return Finding(
            topic="devices",
            status="problem" if is_first else "note",
            found=found,
            advice="nvidia-smi shows which processes use it; or choose another with --device",
        )
    return Finding(topic="devices", found=found)


def _hidden_gpus(devices: Devices) -> Iterator[Finding]:
    """Why torch does not see a GPU of the machine."""
    if devices.nvidia_driver is not None and not devices.gpus:
        driver = f"an NVIDIA driver {devices.nvidia_driver}".rstrip()
        if devices.torch_cuda is None:
            yield _hidden(
                f"{driver} is there, but torch {devices.torch} was built without CUDA",
                f"install one with it, {_TORCH_FOR}",
            )
        elif devices.visible is not None and devices.visible.strip() in ("", "-1"):
            yield _hidden(
                f"CUDA_VISIBLE_DEVICES={devices.visible!r} hides the GPU", "unset it, or give it the GPU's number"
            )
        else:
            yield _hidden(
                f"{driver} is there and torch was built for CUDA {devices.torch_cuda}, but torch sees no GPU",
                "check whether nvidia-smi lists one; if it does, the driver is too old for this CUDA: update the "
                f"driver, or install a torch for an older CUDA, {_TORCH_FOR}",
            )
    if devices.has_amd_driver and not devices.gpus and not devices.is_rocm:
        yield _hidden("an AMD driver is there, but torch was built without ROCm", f"install one with it, {_TORCH_FOR}")
    if devices.system == "Darwin" and not devices.has_mps:
        if devices.is_translated:
            yield _hidden(
                "this Python is made for Intel processors and runs in emulation", "install Python for Apple silicon"
            )
        elif devices.machine == "arm64":
            yield _hidden("torch cannot use the Mac's GPU", "it needs macOS 14 or newer")


def _hidden(found: str, advice: str) -> Finding:
    return Finding(topic="devices", status="note", found=found, advice=advice)


def _gpu(device: str) -> Gpu:
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return Gpu(
        device=device,
        model=torch.cuda.get_device_name(device),
        free_bytes=int(free),
        total_bytes=int(total),
        is_supported=torch.version.hip is not None
        or has_code_for(torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()),
    )


def has_code_for(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a torch for these generations of GPUs has code for a GPU of this compute capability.

    Machine code (`sm_90`) also works for later minor versions, PTX (`compute_90`) for all later versions.

    >>> has_code_for((8, 6), ["sm_80"]), has_code_for((9, 0), ["sm_80"]), has_code_for((9, 0), ["compute_80"])
    (True, False, True)
    """
    for name in built_for:
        found = re.match(r"(sm|compute)_(\d+)(\d)", name)
        if found:
            major, minor = int(found[2]), int(found[3])
            is_near = major == capability[0] and minor <= capability[1]
            if is_near or (found[1] == "compute" and (major, minor) <= capability):
                return True
    return False


def _nvidia_driver() -> str | None:
    told = re.search(r"Module\D*([\d.]+)", read_text(Path("/proc/driver/nvidia/version")))
    if told:
        return told[1]
    return "" if shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists() else None


ENOUGH_MEMORY_BYTES = 2**30
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
    total = memory_size(memory.limit if is_bounded and memory.limit is not None else memory.total)
    where = f"a container's {total}" if is_bounded else total
    found = f"{memory_size(free)} of {where} free"
    if free < ENOUGH_MEMORY_BYTES:
        needed = memory_size(ENOUGH_MEMORY_BYTES)
        advice = f"close other programs, or give the container more: the bundled model needs {needed}"
        yield Finding(topic="memory", status="problem", found=found, advice=advice)
        return
    # float32 weights, their gradients and AdamW's two moments; activations need more
    parameters = free / 16 / 1e6
    yield Finding(
        topic="memory", found=f"{found}: room to train {parameters:,.0f}M parameters on the CPU, without activations"
    )
