"""Keeps safetensors copies of weights that are slow to read, in sftframe's cache.

A copy is written whole or not at all. If none can be written (no space, no permission), the weights are still used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sftframe import ModelError, cache_dir
from sftframe_plugins.gpt2.weights.safetensors_file import read_file

if TYPE_CHECKING:
    from torch import Tensor


def path_for(*key: str) -> Path:
    """The path of the copy for `key`."""
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
    return cache_dir() / "gpt2" / "converted" / f"{digest[:32]}.safetensors"


def read(path: Path) -> dict[str, Tensor] | None:
    """A copy, memory-mapped; None if there is none, or it cannot be read."""
    if not path.is_file():
        return None
    with suppress(ModelError):
        return read_file(path)
    return None


def keep(tensors: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
    """Write a copy and return it, so that the memory of `tensors` can be freed; if that fails, return `tensors`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(tensors), making)
        making.replace(path)
    except (OSError, SafetensorError):
        with suppress(OSError):
            making.unlink()
        return tensors
    return read(path) or tensors
