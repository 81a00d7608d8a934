"""The model backends: names, sizes and options. This module imports without torch; `loading` does the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from sftframe import CausalLM, ModelBackend, ModelError, option
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import NetworkConfig
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

    def __init__(self, kind: type[GPT2Backend], options: NanoOptions, saved: Path | None = None) -> None:
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
        """Sources that `weights` may name besides a folder."""
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


@dataclass(frozen=True, kw_only=True)
class NanoOptions:
    """What can be set for the bundled model."""

    weights: str = option("bundled", "`bundled`, `random`, a folder, or a .pth file with a state dict")
    tokenizer: Path | None = option(
        None,
        "folder with vocab.bpe + encoder.json, or vocab.json + merges.txt; by default the tokenizer of the weights",
    )
    dropout: float = option(0.0, "share of values dropped in training, at the places of GPT-2", ge=0, lt=1)


@dataclass(frozen=True, kw_only=True)
class Options(NanoOptions):
    """What can be set for a published GPT-2."""

    weights: str = option(
        "huggingface",
        "`huggingface`, `openai`, `random`, a folder (OpenAI's, Hugging Face's, or a run's model/), or a .pth file "
        "with a state dict (the chapter's, or of any GPT-2)",
    )
    mirror: str = option(
        "https://openaipublic.blob.core.windows.net/gpt-2/models", "URL of OpenAI's bucket, or of a copy of it"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One size as OpenAI published it."""

    width: int
    num_layers: int
    num_heads: int
    repository: str
    """On Hugging Face."""
    bucket: str
    """Folder in OpenAI's bucket, named by the number of parameters."""
    context_length: int = 1024
    vocab_size: int = 50_257


class GPT2Backend(ModelBackend):
    """A GPT-2 of a published size."""

    Options: ClassVar[type[Any]] = Options
    published: ClassVar[Published | None] = None
    """None: bundled, not published."""
    has_fixed_size: ClassVar[bool] = True
    """False: a folder of weights may have any size."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._own_loader: Loader | None = None

    def tokenizer(self, saved: Path | None = None) -> BytePairTokenizer:
        return self._loader(saved).tokenizer

    def context_length(self, saved: Path | None = None) -> int:
        return self._loader(saved).context_length

    def load(self, *, device: str, dtype: str, seed: int, saved: Path | None = None) -> CausalLM:
        return self._loader(saved).load(device, dtype, seed)

    def training_bytes(self, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
        return self._loader().training_bytes(num_positions, trains_all=trains_all, is_recomputing=is_recomputing)

    def check(self) -> None:
        self._loader().check()

    @property
    def identity(self) -> Mapping[str, str]:
        return self._loader().identity

    def _loader(self, saved: Path | None = None) -> Loader:

        if saved is not None:
            return Loader(type(self), self.options, saved)
        if self._own_loader is None:
            self._own_loader = Loader(type(self), self.options)
        return self._own_loader


class GPT2Nano(GPT2Backend):
    name = "gpt2-nano"
    summary = "bundled small GPT-2 with its own vocabulary, for trying things out offline"
    Options = NanoOptions
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "train": {"lr": 1.5e-3, "epochs": 2, "batch_size": 8, "schedule": "linear"},
        "generate": {"max_new_tokens": 64},
    }


class GPT2Small(GPT2Backend):
    name = "gpt2-small"
    summary = "OpenAI's GPT-2, 124M parameters"
    published = Published(width=768, num_layers=12, num_heads=12, repository="openai-community/gpt2", bucket="124M")


class GPT2Medium(GPT2Backend):
    name = "gpt2-medium"
    summary = "OpenAI's GPT-2, 355M parameters"
    published = Published(
        width=1024, num_layers=24, num_heads=16, repository="openai-community/gpt2-medium", bucket="355M"
    )


class GPT2Large(GPT2Backend):
    name = "gpt2-large"
    summary = "OpenAI's GPT-2, 774M parameters"
    published = Published(
        width=1280, num_layers=36, num_heads=20, repository="openai-community/gpt2-large", bucket="774M"
    )


class GPT2XL(GPT2Backend):
    name = "gpt2-xl"
    summary = "OpenAI's GPT-2, 1558M parameters"
    published = Published(
        width=1600, num_layers=48, num_heads=25, repository="openai-community/gpt2-xl", bucket="1558M"
    )


class GPT2Any(GPT2Backend):
    name = "gpt2"
    summary = "any GPT-2: the sizes come from the folder named by `weights` (without one, 124M)"
    published = GPT2Small.published
    has_fixed_size = False
