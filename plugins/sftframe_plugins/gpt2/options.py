"""Options and published sizes of the model backends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sftframe import option


@dataclass(frozen=True, kw_only=True)
class NanoOptions:
    """What can be set for the bundled model."""

    weights: str = option("bundled", "`bundled`, `random`, a folder, or a .pth file with a state dict")
    tokenizer: Path | None = option(
        None,
        "folder with vocab.bpe + encoder.json, or vocab.json + merges.txt; by default the tokenizer of the weights",
    )
    dropout: float = option(0.0, "share of values dropped in training, where GPT-2 has dropout", ge=0, lt=1)


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


class Kind(Protocol):
    """What loading needs to know of a backend's class."""

    @property
    def name(self) -> str: ...

    @property
    def published(self) -> Published | None: ...

    @property
    def has_fixed_size(self) -> bool: ...
