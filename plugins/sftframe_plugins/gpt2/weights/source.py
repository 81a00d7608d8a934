"""What every source of weights gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

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
