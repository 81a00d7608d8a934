"""Answers: one `Response` per prompt, in the order in which they are finished.

The prompt style that trained the model extracts the answer from what the model wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftframe.config import GenerateConfig
from sftframe.errors import ModelError, PluginError, SftframeError
from sftframe.plugins import CausalLM, PromptStyle, Tokenizer
from sftframe.prompts.tokens import ending_ids
from sftframe.records import Completion, GenerationSettings, Response


def generation_settings(
    config: GenerateConfig, style: PromptStyle, tokenizer: Tokenizer, *, seed: int, numbers: Sequence[int] = ()
) -> GenerationSettings:
    """The configuration with the style's stop strings, and the control token with which it closes an answer.

    Args:
        numbers: the random stream of each prompt; by default its position.
    """
    return GenerationSettings(
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=seed,
        numbers=tuple(numbers),
        stop_strings=style.stop_strings,
        end_ids=ending_ids(style, tokenizer),
        batch_size=config.batch_size,
        max_cache_bytes=config.max_cache_bytes,
        on_overflow=config.on_overflow,
        lookup=config.lookup,
    )


def generate_responses(
    model: CausalLM,
    style: PromptStyle,
    prompts: Sequence[Sequence[int]],
    indices: Sequence[int],
    settings: GenerationSettings,
) -> Iterator[Response]:
    """Answers in the order in which they are finished, one per prompt.

    Args:
        prompts: token ids of each prompt.
        indices: `Example.index` of each prompt.

    Raises:
        ModelError: a prompt does not fit the model's context, or the model did not answer every prompt once.
        PluginError: the style failed on an answer.
    """
    model.module.eval()
    waiting = set(range(len(prompts)))
    for completion in model.generate(prompts, settings):
        if completion.position not in waiting:
            raise ModelError(
                f"the model gave an answer for prompt {completion.position}, which does not exist or has an answer "
                f"already: expected one for each of {len(prompts)} prompts"
            )
        waiting.remove(completion.position)
        yield Response(
            index=indices[completion.position],
            text=_extract(style, completion),
            ids=completion.ids,
            stop_reason=completion.stop_reason,
        )
    if waiting:
        raise ModelError(f"the model gave no answer for {len(waiting)} of {len(prompts)} prompts")


def _extract(style: PromptStyle, completion: Completion) -> str:
    try:
        return style.extract(completion.text)
    except SftframeError:
        raise
    except Exception as error:
        raise PluginError(
            f"prompt style {style.name!r} failed to extract an answer from {completion.text!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
