"""Chooses the device to compute on, and checks whether torch can compile for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence

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
