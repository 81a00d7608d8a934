"""Loads a model from a backend's options: finds source and tokenizer, and checks that they fit each other.

This is the part of the backends that needs torch; `backend` imports it when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from sftframe import ModelError
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.options import Kind, NanoOptions, Options, Published
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from sftframe_plugins.gpt2.weights.folder import HuggingFaceFolder, open_folder
from sftframe_plugins.gpt2.weights.huggingface_repository import HuggingFaceRepository
from sftframe_plugins.gpt2.weights.layout import build, check_tensors, fill
from sftframe_plugins.gpt2.weights.openai_bucket import OpenAIBucket
from sftframe_plugins.gpt2.weights.source import WeightSource

FLOAT = 4
"""Bytes of a float32."""
KEPT_PER_LAYER = 20
"""Values of width C that a layer keeps per position for its backward pass: 17 to 21 were measured per computed
position, for rows of 50 to 700 tokens. The estimate uses padded positions, which are at least as many.
"""
PROCESS = 400 * 2**20
"""Python, torch and its libraries."""


def training_bytes(config: NetworkConfig, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
    """Bytes of weights, gradients, AdamW's two moments and activations in float32; see `ModelBackend.training_bytes`.

    >>> nano = NetworkConfig(vocab_size=3072, context_length=256, width=256, num_layers=4, num_heads=4)
    >>> round(training_bytes(nano, 16 * 69, trains_all=True, is_recomputing=False) / 2**20)
    573
    """
    state = config.num_parameters * FLOAT * (4 if trains_all else 1)
    layer = KEPT_PER_LAYER * config.width * FLOAT
    layers = config.num_layers * config.width * FLOAT + layer if is_recomputing else config.num_layers * layer
    logits = 2 * config.vocab_size * FLOAT  # and their gradient
    return PROCESS + state + num_positions * (layers + logits)


NANO_FOLDER = Path(__file__).parent / "nano"


class Loader:
    """Loads what a backend and its options name.

    Args:
        kind: the backend; it has the size, and whether other sizes are allowed.
        options: the backend's options, not checked yet.
        saved: a folder that `GPT2LM.save` wrote, instead of the weights and tokenizer that the options name.
    """

    def __init__(self, kind: Kind, options: NanoOptions, saved: Path | None = None) -> None:
        self._kind = kind
        self._options = options
        self._saved = saved

    @property
    def identity(self) -> Mapping[str, str]:
        """Where the weights come from."""
        return {"weights": "random"} if self._is_random else self._source.identity

    def check(self) -> None:
        """Check that tokenizer and weights can be loaded and fit each other, without large downloads."""
        self._fitting_config()
        if not self._is_random:
            self._source.check()

    @cached_property
    def tokenizer(self) -> BytePairTokenizer:
        """The tokenizer; weights are not touched."""
        folder = None if self._saved else self._options.tokenizer
        return BytePairTokenizer.from_folder(folder) if folder else self._source.tokenizer()

    @property
    def context_length(self) -> int:
        """The most positions that a row may have; for a published size no file is read."""
        return self._sizes.context_length

    def training_bytes(self, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
        """Memory of a training step; for a published size no file is read."""
        return training_bytes(self._sizes, num_positions, trains_all=trains_all, is_recomputing=is_recomputing)

    def load(self, device: str, dtype: str, seed: int) -> GPT2LM:
        """The model."""
        config, tensors = self._fitting_config(), None
        if not self._is_random:
            tensors = self._source.tensors()
            check_tensors(
                config, tensors, self._source
            )  # before memory is allocated: the sizes in the file may be wrong
        network = build(config, device, getattr(torch, dtype))
        if tensors is None:
            network.initialise(seed)
        else:
            fill(network, tensors, self._source)
        return GPT2LM(network, self.tokenizer)

    @property
    def _is_random(self) -> bool:
        return self._saved is None and self._options.weights == "random"

    @cached_property
    def _source(self) -> WeightSource:
        """The source of weights and tokenizer; for random weights, of the tokenizer."""
        if self._saved is not None:
            return HuggingFaceFolder(self._saved)
        named = self._named_sources()
        if self._options.weights in named:
            return named[self._options.weights]
        return open_folder(Path(self._options.weights).expanduser(), named)

    def _named_sources(self) -> dict[str, WeightSource]:
        """Sources that `weights` may name instead of a folder."""
        size = self._kind.published
        if size is None:
            bundled = HuggingFaceFolder(NANO_FOLDER)
            return {"bundled": bundled, "random": bundled}
        assert isinstance(self._options, Options)
        repository = HuggingFaceRepository(size.repository)
        bucket = OpenAIBucket(f"{self._options.mirror.rstrip('/')}/{size.bucket}")
        return {"huggingface": repository, "openai": bucket, "random": repository}

    def _fitting_config(self) -> NetworkConfig:
        """The sizes, after a check against the tokenizer and the backend."""
        config = self._config
        if config.vocab_size != self.tokenizer.vocab_size:
            raise ModelError(
                f"the tokenizer has {self.tokenizer.vocab_size} tokens, but the weights ({self._source}) have "
                f"{config.vocab_size}; set the one they were trained with by --set model.tokenizer=FOLDER"
            )
        self._check_size(config)
        if config.context_length != self._sizes.context_length:
            raise ModelError(
                f"{self._source} has a context of {config.context_length} tokens, but {self._kind.name} was published "
                f"with {self._sizes.context_length}: name a folder with --set model.weights=FOLDER"
            )
        return replace(config, dropout=self._options.dropout)

    @cached_property
    def _sizes(self) -> NetworkConfig:
        """The sizes as far as they are known without reading the weights."""
        size = self._kind.published
        is_named = self._saved is None and self._options.weights in self._named_sources()
        return _published_config(size) if size is not None and is_named else self._config

    @cached_property
    def _config(self) -> NetworkConfig:
        if not self._is_random:
            return self._source.config()
        size = self._kind.published
        config = self._source.config() if size is None else _published_config(size)
        return replace(config, vocab_size=self.tokenizer.vocab_size)

    def _check_size(self, config: NetworkConfig) -> None:
        size = self._kind.published
        if size is None or not self._kind.has_fixed_size:
            return
        if (config.num_layers, config.width, config.num_heads) != (size.num_layers, size.width, size.num_heads):
            raise ModelError(
                f"{self._source} has {config.num_layers} layers of width {config.width} with {config.num_heads} heads, "
                f"but {self._kind.name} has {size.num_layers} of width {size.width} with {size.num_heads}; "
                "--model gpt2 takes the sizes from the weights"
            )


def _published_config(size: Published) -> NetworkConfig:
    return NetworkConfig(
        vocab_size=size.vocab_size,
        context_length=size.context_length,
        width=size.width,
        num_layers=size.num_layers,
        num_heads=size.num_heads,
    )
