"""Checkpoints in safetensors: one file, or several with an index. Nothing here knows a network."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftframe import ModelError, check_plain, read_named_text

if TYPE_CHECKING:
    from torch import Tensor

INDEX_FILE = "model.safetensors.index.json"


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


def shards_of(index: Path, ending: str = "safetensors") -> list[str]:
    """Names of the files of a checkpoint with an index; they are next to it.

    Raises:
        ModelError: the index cannot be read, or names a file that could be outside the folder.
    """
    try:
        names = sorted({str(name) for name in json.loads(read_named_text(index))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"cannot read {index}: {error!r}; expected a JSON object with 'weight_map'") from error
    # no path separator of any system, so that no name leads out of the folder
    known = re.compile(rf"[\w-][\w.-]{{0,200}}\.{ending}", re.ASCII)
    strange = next((name for name in names if not known.fullmatch(name)), None)
    if strange is not None:
        raise ModelError(f"{index} names {reprlib.repr(strange)}, expected names of {ending} files next to it")
    return names


def check_shards(index: Path, ending: str = "safetensors") -> list[Path]:
    """Paths of the files of a checkpoint with an index.

    Raises:
        ModelError: as `shards_of`; or one is missing.
    """
    paths = [index.with_name(name) for name in shards_of(index, ending)]
    absent = next((path for path in paths if not path.is_file()), None)
    if absent is not None:
        raise ModelError(f"{index} names {absent.name}, which is missing; fetch it again")
    return paths
