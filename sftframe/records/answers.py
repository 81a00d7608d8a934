"""Records of generation and export: settings, answers, and the form in which a model is exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How answers are decoded. The defaults are greedy."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 = greedy; else logits are divided by it before sampling."""
    top_k: int | None = None
    """Sample among the k most likely tokens only."""
    top_p: float | None = None
    """Sample among the most likely tokens that together reach this probability."""
    seed: int = 0
    """Prompt i draws from a generator seeded with `seed + i`, whatever it is batched with."""
    numbers: tuple[int, ...] = ()
    """The i of each prompt where it is not its position: the rest of an interrupted job draws the same numbers as the
    whole.
    """
    stop_strings: tuple[str, ...] = ()
    batch_size: int | None = None
    """The most prompts in one batch; None = the fastest number within `max_cache_bytes`."""
    max_cache_bytes: int = 2 * 2**30
    """Memory for the key-value cache if all answers reach their limit; at least one row always runs."""
    on_overflow: Literal["error", "slide"] = "error"
    """When prompt and new tokens exceed the context: raise before starting, or drop the oldest tokens while writing."""
    lookup: Literal["auto", "on", "off"] = "auto"
    """Whether a model may guess tokens from the text so far and check several at once; the tokens stay the same."""


StopReason = Literal["end", "stop-string", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model wrote after one prompt."""

    position: int
    """Position of the prompt among those given to `generate`."""
    ids: tuple[int, ...]
    """New token ids, the end token not included."""
    text: str
    """The ids decoded, cut before the stop string if one ended it."""
    stop_reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A model's answer to one example: `Completion` after the style's `extract`."""

    index: int
    text: str
    ids: tuple[int, ...]
    stop_reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How a model is written out for other programs."""

    target: str
    """Which form: one of the model's `export_targets`."""
    dtype: Literal["float32", "float16"] = "float32"
    """The number type of the matrices."""
    chat_template: str
    """A Jinja template made from the prompt style: it turns a message into the prompt that the model was tuned with."""
    max_new_tokens: int
    """Longest answer in tokens, as a default for the program that takes over."""
    name: str
    """The model's name."""
