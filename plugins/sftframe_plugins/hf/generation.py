"""Writes the answers of any causal language model of transformers; the tokens are those of the plain computation.

How a model is computed is found out by trying (`find_way`): in rows of any lengths with our own cache, padded with its
own cache, in groups of one length, or without a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import nn

from sftframe import Completion, GenerationSettings, Tokenizer
from sftframe_plugins.hf.ways import Way, find_way
from sftframe_plugins.writing import loop
from sftframe_plugins.writing.loop import Loop


def generate(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    *,
    context_length: int,
    way: Way | None = None,
) -> Iterator[Completion]:
    """One completion per prompt, as they are finished; see `CausalLM.generate`.

    The memory is freed when the iterator ends or is closed.

    Args:
        way: how the model is computed; by default it is found out.

    Raises:
        ModelError: a prompt is empty, or does not fit and no tokens may be dropped. It is raised before anything is
            computed.
    """
    return _loop(module, tokenizer, prompts, settings, context_length, way).completions()


def stream(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    settings: GenerationSettings,
    on_text: Callable[[str], None],
    *,
    context_length: int,
    way: Way | None = None,
) -> Completion:
    """One completion, reported piece by piece; see `CausalLM.stream`.

    Raises:
        ModelError: as `generate`.
    """
    return loop.stream(_loop(module, tokenizer, [prompt], settings, context_length, way), on_text)


def _loop(
    module: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    context_length: int,
    way: Way | None,
) -> Loop:
    way = way or find_way(module, context_length if prompts else 0)
    return Loop(way.network(module), tokenizer, prompts, settings, context_length)
