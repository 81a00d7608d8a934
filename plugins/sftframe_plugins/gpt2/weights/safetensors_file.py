"""Safetensors files: names and tensors, memory-mapped, and one message for all that can be wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftframe import ModelError, check_plain

if TYPE_CHECKING:
    from torch import Tensor


def read_file(path: Path) -> dict[str, Tensor]:
    """All tensors of a file; their pages are read when they are used.

    Raises:
        ModelError: it is missing, cut off, or no safetensors file.
    """
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping


def check_file(path: Path) -> None:
    """See that a file is whole, by its header and its length.

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
        raise ModelError(f"{path} is no complete safetensors file ({reason}); fetch it again") from error
