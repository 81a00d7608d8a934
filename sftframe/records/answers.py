"""How answers are written, what they are, and how the model that writes them is handed on."""

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
    """The i of each prompt where it is not its position: what is left of an interrupted job draws as the whole did."""
    stop_strings: tuple[str, ...] = ()
    batch_size: int | None = None
    """Prompts that are written to at the same time, at most; None = what is fastest within `max_cache_bytes`."""
    max_cache_bytes: int = 2 * 2**30
    """Memory for what a model keeps of the tokens before, when all answers grow to their limit; one row at least."""
    on_overflow: Literal["error", "slide"] = "error"
    """When prompt and new tokens exceed the context: raise before starting, or drop the oldest tokens as it goes."""
    lookup: Literal["auto", "on", "off"] = "auto"
    """Whether a model may guess tokens from the text so far and check several at once; the tokens stay the same."""


StopReason = Literal["end", "stop-string", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model wrote after one prompt."""

    position: int
    """Which of the prompts handed to `generate`."""
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
    """Of the matrices."""
    chat_template: str
    """Jinja, made from the prompt style: a question as a message becomes the prompt that the model was tuned with."""
    max_new_tokens: int
    """Longest answer in tokens, as a default for the program that takes over."""
    name: str
    """What the model is called."""
