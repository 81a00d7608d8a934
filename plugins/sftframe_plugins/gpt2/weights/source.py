"""What every source of weights gives, and the reader of safetensors files that most of them use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftframe import ModelError, check_plain
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

if TYPE_CHECKING:
    from torch import Tensor


class WeightSource(ABC):
    """A source of one GPT-2."""

    @abstractmethod
    def __str__(self) -> str:
        """The source's name in messages."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """The exact source of the weights, for a run's manifest."""

    @abstractmethod
    def check(self) -> None:
        """Check that everything can be loaded, without large downloads.

        Raises:
            ModelError: it cannot be loaded.
        """

    @abstractmethod
    def config(self) -> NetworkConfig:
        """The sizes; dropout is left 0."""

    @abstractmethod
    def tokenizer(self) -> BytePairTokenizer:
        """The tokenizer that belongs to the weights."""

    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """The weights in `layout`'s order, memory-mapped where the file allows it."""


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
