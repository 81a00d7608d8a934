"""From text with roles to ids with roles, exact at the boundary between prompt and answer.

The whole text is tokenised once, so its ids are the same as from the plain text. Generation starts from the prompt
tokenised alone, so the prompt's ids must be the first ids of the whole text. This is checked for every example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sftframe.config import TokensConfig
from sftframe.errors import ConfigError, DataError, ModelError, PluginError, SftframeError
from sftframe.interfaces import PromptStyle, Tokenizer
from sftframe.records import Example, Role, Segment
from sftframe.registry.guard import CallError
from sftframe.registry.wall import describe
from sftframe.stages.tokens.lengths import Builder, LengthReport
from sftframe.stages.tokens.shortening import shortened
from sftframe.stages.tokens.store import TokenStore


def tokenize(
    examples: Sequence[Example],
    style: PromptStyle,
    tokenizer: Tokenizer,
    config: TokensConfig,
    *,
    context_length: int,
    on_examples: Callable[[int], None] | None = None,
    on_shortened: Callable[[Example], None] = lambda example: None,
    cuts_beginning: bool = False,
) -> tuple[TokenStore, LengthReport]:
    """Tokenise the examples for training.

    Args:
        context_length: the default of the maximum length, and its upper limit.
        on_examples: gets the number of newly finished examples.
        on_shortened: gets every example that `truncate-prompt` made shorter, in its shorter form.
        cuts_beginning: `truncate-prompt` removes tokens from the beginning, as in older runs.

    Raises:
        ConfigError: the maximum length is over the context.
        DataError: a boundary that is not stable, or examples over the maximum length if `over_long` is `error`.
        PluginError, ModelError: the style or the tokenizer broke its contract.
    """
    max_length = config.max_length or context_length
    if max_length > context_length:
        raise ConfigError(
            f"tokens.max_length: expected at most {context_length}, the context length of the model, found {max_length}"
        )
    widths = byte_lengths(tokenizer)
    builder = Builder(max_length, config.over_long, tokenizer.vocab_size, cuts_beginning=cuts_beginning)

    def encoded(some: Sequence[Example]) -> Iterator[_Row]:
        return _encode(some, style, tokenizer, widths, config.boundary)

    for chunk in _chunks(examples, 4096):
        for example, row in zip(chunk, encoded(chunk), strict=True):
            whole_length = len(row.ids) + 1
            if whole_length > max_length and builder.cuts_input:
                shorter = shortened(example, lambda one: len(next(encoded([one])).ids) < max_length)
                if shorter is not None:
                    row = next(encoded([shorter]))
                    on_shortened(shorter)
            roles = np.append(row.roles, np.uint8(Role.END))
            ids = [*row.ids, tokenizer.end_id]
            builder.add(row.index, ids, roles, num_prompt=row.num_prompt, whole_length=whole_length)
        if on_examples is not None:
            on_examples(len(chunk))
    return builder.finish()


def encode_prompts(examples: Sequence[Example], style: PromptStyle, tokenizer: Tokenizer) -> list[list[int]]:
    """The prompts for inference, each tokenised alone.

    Raises:
        PluginError: the style failed on an example.
    """
    return tokenizer.encode_batch([_render(style, example).prompt_text for example in examples])


def byte_lengths(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Bytes of every token id, (V,)."""
    return np.array([len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)], dtype=np.int64)


def token_roles(ids: Sequence[int], segments: Sequence[Segment], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The role of the segment with each token's first byte, (num_tokens,).

    Args:
        widths: `byte_lengths` of the tokenizer.

    Raises:
        ModelError: the tokens' bytes differ from the text.
    """
    taken = widths[np.asarray(ids, dtype=np.int64)]
    starts = np.cumsum(taken) - taken
    ends = np.cumsum([len(segment.text.encode()) for segment in segments], dtype=np.int64)
    num_bytes = int(ends[-1]) if len(ends) else 0
    if int(taken.sum()) != num_bytes or not taken.all():
        raise ModelError(
            f"the model's tokenizer makes {int(taken.sum())} bytes of a text of {num_bytes}: "
            "token_bytes() of a text's ids, joined, must be the text, and no control token may come from text"
        )
    codes = np.array([segment.role for segment in segments], dtype=np.uint8)
    return codes[np.searchsorted(ends, starts, side="right")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """An example as a style writes it."""

    prompt: tuple[Segment, ...]
    answer: tuple[Segment, ...]
    prompt_text: str
    answer_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An example's ids and roles, without the end token."""

    index: int
    ids: list[int]
    roles: NDArray[np.uint8]
    num_prompt: int


def _chunks(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def _encode(
    examples: Sequence[Example],
    style: PromptStyle,
    tokenizer: Tokenizer,
    widths: NDArray[np.int64],
    boundary: str,
) -> Iterator[_Row]:
    rendered = [_render(style, example) for example in examples]
    prompt_ids = tokenizer.encode_batch([one.prompt_text for one in rendered])
    if boundary == "split":
        answer_ids = tokenizer.encode_batch([one.answer_text for one in rendered])
        whole_ids = [[*prompt, *answer] for prompt, answer in zip(prompt_ids, answer_ids, strict=True)]
    else:
        whole_ids = tokenizer.encode_batch([one.prompt_text + one.answer_text for one in rendered])
    for example, alone, whole, one in zip(examples, prompt_ids, whole_ids, rendered, strict=True):
        if whole[: len(alone)] != alone:
            raise DataError(_boundary_message(example, style, tokenizer, alone, whole))
        roles = token_roles(whole, (*one.prompt, *one.answer), widths)
        yield _Row(index=example.index, ids=whole, roles=roles, num_prompt=len(alone))


def _render(style: PromptStyle, example: Example) -> _Rendered:
    """Turn a style's exceptions into errors that name style and example."""
    try:
        prompt, answer = style.render(example)
        texts = ("".join(piece.text for piece in part) for part in (prompt, answer))
        rendered = _Rendered(prompt=prompt, answer=answer, prompt_text=next(texts), answer_text=next(texts))
    except CallError as error:
        raise PluginError(f"example {example.index}: {error}") from error
    except SftframeError:
        raise
    except Exception as error:
        what = describe(error, type(style).__module__.partition(".")[0])
        raise PluginError(f"prompt style {style.name!r} failed on example {example.index}: {what}") from error
    if not answer:
        raise PluginError(
            f"prompt style {style.name!r} gave example {example.index} no RESPONSE segment; expected exactly one"
        )
    return rendered


def _boundary_message(
    example: Example, style: PromptStyle, tokenizer: Tokenizer, alone: Sequence[int], whole: Sequence[int]
) -> str:
    same = next((i for i, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), min(len(alone), len(whole)))

    def show(ids: Sequence[int]) -> str:
        return " ".join(f"{tokenizer.decode([i])!r}({i})" for i in ids)

    return (
        f"example {example.index}: with prompt style {style.name!r} a token crosses the boundary between prompt and "
        f"answer: the prompt alone ends in {show(alone[same:])}, the whole text continues with "
        f"{show(whole[same : len(alone) + 1])}. End the prompt with another character, or set "
        "tokens.boundary=split to tokenise the two sides separately"
    )
