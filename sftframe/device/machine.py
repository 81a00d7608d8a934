"""The facts about the machine for a run's manifest, and the memory in use."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sftframe.device.choice import available_devices
from sftframe.device.cores import physical_cores
from sftframe.device.kernel_files import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine of a run, for its manifest."""

    os: str
    python: str
    cpu: str
    physical_cores: int
    """Physical cores that this process may use."""
    memory_bytes: int
    torch: str
    devices: tuple[str, ...]
    """torch's names, with the model if there is one: `cuda:0 NVIDIA H200`, `cpu`."""
    threads: int
    """CPU threads that torch uses now."""


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


def peak_memory_bytes(device: str) -> int:
    """Peak memory in bytes: of torch's tensors on a CUDA device, of this process on others."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # getrusage would also count the memory of the parent process when it started this one
    high_water = re.search(r"^VmHWM:\s+(\d+) kB$", read_text(Path("/proc/self/status")), re.MULTILINE)
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


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", read_text(Path("/proc/cpuinfo")), re.MULTILINE)
    if found:
        return found[1].strip()
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return asked.stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()
