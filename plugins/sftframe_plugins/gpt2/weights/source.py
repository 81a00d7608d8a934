"""What every source of weights has to offer: sizes, tensors and the tokenizer they were trained with.

A source is cheap to make; files are read and downloads are started by its methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

if TYPE_CHECKING:
    from torch import Tensor


class WeightSource(ABC):
    """One place that holds a GPT-2."""

    @abstractmethod
    def __str__(self) -> str:
        """The source as it is named in messages."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """Where exactly the weights come from, for a run's manifest."""

    @abstractmethod
    def check(self) -> None:
        """See that all can be had, without fetching what is large.

        Raises:
            ModelError: it cannot.
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
