"""Answers: prompts in, one `Response` per prompt out, as they are finished.

The prompt style that trained the model extracts the answer from what the model wrote. Knows nothing of references
and judges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftframe.config import GenerateConfig
from sftframe.interfaces import CausalLM, PromptStyle
from sftframe.records import GenerationSettings, Response


def generation_settings(config: GenerateConfig, style: PromptStyle, *, seed: int) -> GenerationSettings:
    """The configuration with the style's stop strings."""
    return GenerationSettings(
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=seed,
        stop_strings=style.stop_strings,
        batch_size=config.batch_size,
        on_overflow=config.on_overflow,
    )


def generate_responses(
    model: CausalLM,
    style: PromptStyle,
    prompts: Sequence[Sequence[int]],
    indices: Sequence[int],
    settings: GenerationSettings,
) -> Iterator[Response]:
    """Answers in the order in which they are finished.

    Args:
        prompts: token ids of each prompt.
        indices: `Example.index` of each prompt.

    Raises:
        ModelError: a prompt does not fit the model's context.
    """
    model.module.eval()
    for completion in model.generate(prompts, settings):
        yield Response(
            index=indices[completion.position],
            text=style.extract(completion.text),
            ids=completion.ids,
            stop_reason=completion.stop_reason,
        )
