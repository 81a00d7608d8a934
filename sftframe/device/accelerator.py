"""The device of a run, and the facts about the machine that the manifest records."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sftframe.device.cpu import physical_cores, read_text
from sftframe.errors import ConfigError


def choose_device(wanted: str) -> str:
    """The torch device to use; `auto` is the first available of `cuda`, `mps` and `cpu`.

    Raises:
        ConfigError: the device is not there; the message lists those that are, and gives a possible reason.
    """
    import torch

    available = available_devices()
    try:
        return pick_device(wanted, available)
    except ConfigError as error:
        advice = missing_device_advice(wanted, available, has_cuda_build=torch.version.cuda is not None)
        raise ConfigError(f"{error}{advice}") from None


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


def missing_device_advice(wanted: str, available: Sequence[str], *, has_cuda_build: bool) -> str:
    """Advice on a missing device, for the end of the message; may be empty.

    >>> missing_device_advice("cuda", ["cpu"], has_cuda_build=False)
    '; this torch was built without CUDA: install one with it, see https://pytorch.org/get-started/locally'
    """
    kind = wanted.partition(":")[0]
    if kind == "cuda" and not any(name.startswith("cuda") for name in available):
        if has_cuda_build:
            return "; torch sees no GPU: does nvidia-smi list one, and is CUDA_VISIBLE_DEVICES not empty?"
        return "; this torch was built without CUDA: install one with it, see https://pytorch.org/get-started/locally"
    if kind == "mps":
        return "; mps is the GPU of a Mac with Apple silicon, under macOS 14 or newer"
    return ""


def available_devices() -> tuple[str, ...]:
    """torch's names of this machine's devices, the best first; `cpu` is always last."""
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (*gpus, *mps, "cpu")


def check_compiler(device: str, attempt: Callable[[str], object] | None = None) -> None:
    """Check that torch can compile for a device, by compiling something small; the first time takes seconds.

    Args:
        attempt: compiles for a device; by default torch does.

    Raises:
        ConfigError: it cannot, for example without a C++ compiler.
    """
    try:
        (attempt or _compile_something)(device)
    except Exception as error:  # torch has no common class for errors of compilers and drivers
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ConfigError(
            f"train.compile: torch cannot compile for {device} on this machine "
            f"({type(error).__name__}: {lines[0] if lines else 'no reason given'}): install a C++ compiler (g++, "
            "clang++ or Visual Studio's; on a GPU triton too), or leave train.compile out"
        ) from error


def _compile_something(device: str) -> None:
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++", "cl"]
    if not any(shutil.which(name) for name in names):  # checked first, since torch takes seconds to find out
        raise FileNotFoundError(f"no {' or '.join(names)} found")
    import torch

    torch.compile(lambda x: x.sin() * 2 + 1)(torch.ones(8, device=device))


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
