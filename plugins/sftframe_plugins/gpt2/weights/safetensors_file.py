"""Reads safetensors files, memory-mapped, with one message for all errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftframe import ModelError, check_plain

if TYPE_CHECKING:
    from torch import Tensor


def read_file(path: Path) -> dict[str, Tensor]:
    """All tensors of a file; their numbers are read when they are used.

    Raises:
        ModelError: it is missing, cut off, or no safetensors file.
    """
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping


def check_file(path: Path) -> None:
    """Check that a file is complete, by its header and its length.

    Raises:
        ModelError: it is not.
    """
    with _open(path):
        return


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        check_plain(path)  # safetensors waits at a pipe for ever
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} is not a complete safetensors file ({reason}); fetch it again") from error
