"""Examples as ids with roles.

A whole text is tokenised once, and each token has the role of the segment that holds its first byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sftframe.config import TokensConfig
from sftframe.errors import ConfigError, DataError, ModelError
from sftframe.plugins import PromptStyle, Tokenizer
from sftframe.prompts.tokens.lengths import Builder, LengthReport, shortened
from sftframe.prompts.tokens.rendered import Piece, render
from sftframe.prompts.tokens.store import TokenStore, Turns
from sftframe.records import Example, Role, Segment


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
    counted_turns: Literal["all", "last"] = "all",
) -> tuple[TokenStore, LengthReport]:
    """Tokenise the examples for training.

    Args:
        context_length: the default of the maximum length, and its upper limit.
        on_examples: gets the number of newly finished examples.
        on_shortened: gets every example that `truncate-prompt` made shorter, in its shorter form.
        cuts_beginning: `truncate-prompt` removes tokens from the beginning, as in older runs.
        counted_turns: with `last`, the answers before the last one get the weight 0.

    Raises:
        ConfigError: the maximum length is over the context.
        DataError: a boundary that is not stable, a text that the style does not write, or examples over the maximum
            length if `over_long` is `error`.
        PluginError, ModelError: the style or the tokenizer broke its contract.
    """
    max_length = config.max_length or context_length
    if max_length > context_length:
        raise ConfigError(
            f"tokens.max_length: expected at most {context_length}, the context length of the model, found {max_length}"
        )
    widths = byte_lengths(tokenizer)
    builder = Builder(
        max_length,
        config.over_long,
        tokenizer.vocab_size,
        cuts_beginning=cuts_beginning,
        context_length=context_length,
    )

    def encoded(some: Sequence[Example]) -> Iterator[_Row]:
        return _encode(some, style, tokenizer, widths, config.boundary)

    for chunk in _chunks(examples, 4096):
        for example, row in zip(chunk, encoded(chunk), strict=True):
            whole_length = len(row.ids) + 1
            if whole_length > max_length and builder.cuts_input:
                shorter = shortened(example, lambda one: len(next(encoded([one])).ids) < max_length)
                if shorter is not None:
                    example, row = shorter, next(encoded([shorter]))
                    on_shortened(shorter)
            roles = np.append(row.roles, np.uint8(Role.END))
            ids = [*row.ids, tokenizer.end_id]
            earlier = tuple(turn.weight if counted_turns == "all" else 0.0 for turn in example.turns)
            turns = Turns(row.turn_starts, (*earlier, example.weight))
            builder.add(example.index, ids, roles, num_prompt=row.num_prompt, whole_length=whole_length, turns=turns)
        if on_examples is not None:
            on_examples(len(chunk))
    return builder.finish()


def encode_prompts(
    examples: Sequence[Example], style: PromptStyle, tokenizer: Tokenizer, *, boundary: str = "whole"
) -> list[list[int]]:
    """The prompts for inference, each tokenised alone; earlier exchanges as in training.

    Args:
        boundary: as in training, see `TokensConfig.boundary`; without earlier exchanges it makes no difference.

    Raises:
        PluginError: the style failed on an example.
        DataError: the style cannot write all of an example.
    """
    prompts = [render(style, example).prompt_pieces(boundary) for example in examples]
    ids = iter(tokenizer.encode_batch([piece.text for pieces in prompts for piece in pieces]))
    return [_joined([next(ids) for _ in pieces], pieces, tokenizer.end_id) for pieces in prompts]


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
    codes = np.array([segment.role for segment in segments], dtype=np.uint8)
    roles: NDArray[np.uint8] = codes[_segment_numbers(ids, segments, widths)]
    return roles


def _segment_numbers(
    ids: Sequence[int], segments: Sequence[Segment], widths: NDArray[np.int64]
) -> NDArray[np.integer[Any]]:
    """Which segment has each token's first byte, (num_tokens,); raises as `token_roles`."""
    taken = widths[np.asarray(ids, dtype=np.int64)]
    starts = np.cumsum(taken) - taken
    ends = np.cumsum([len(segment.text.encode()) for segment in segments], dtype=np.int64)
    num_bytes = int(ends[-1]) if len(ends) else 0
    if int(taken.sum()) != num_bytes or not taken.all():
        raise ModelError(
            f"the model's tokenizer makes {int(taken.sum())} bytes of a text of {num_bytes}: "
            "token_bytes() of a text's ids, joined, must be the text, and no control token may come from text"
        )
    return np.searchsorted(ends, starts, side="right")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An example's ids and roles, without the last end token."""

    ids: list[int]
    roles: NDArray[np.uint8]
    turn_starts: tuple[int, ...]
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
    rendered = [render(style, example).pieces(boundary) for example in examples]
    texts = [text for pieces in rendered for piece in pieces for text in (piece.text, *piece.prompts)]
    encoded = iter(tokenizer.encode_batch(texts))
    for example, pieces in zip(examples, rendered, strict=True):
        ids: list[int] = []
        roles: list[NDArray[np.uint8]] = []
        turns: list[NDArray[np.int64]] = []
        num_prompt = 0
        for piece in pieces:
            whole = next(encoded)
            for _ in piece.prompts:
                alone = next(encoded)
                if whole[: len(alone)] != alone:
                    raise DataError(_boundary_message(example, style, tokenizer, alone, whole))
                num_prompt = len(ids) + len(alone)
            segments = [(segment, part.turn) for part in piece.parts for segment in part.segments]
            numbers = _segment_numbers(whole, [segment for segment, _ in segments], widths)
            roles.append(np.array([segment.role for segment, _ in segments], dtype=np.uint8)[numbers])
            turns.append(np.array([turn for _, turn in segments], dtype=np.int64)[numbers])
            ids += whole
            if piece.is_ended:
                ids.append(tokenizer.end_id)
                roles.append(np.array([Role.END], dtype=np.uint8))
                turns.append(np.array([piece.parts[-1].turn], dtype=np.int64))
        starts = np.searchsorted(np.concatenate(turns), np.arange(len(example.turns) + 1))
        yield _Row(
            ids=ids,
            roles=np.concatenate(roles),
            turn_starts=tuple(starts.tolist()),
            num_prompt=num_prompt,
        )


def _joined(encoded: Sequence[list[int]], pieces: Sequence[Piece], end_id: int) -> list[int]:
    """The ids of pieces with their end tokens."""
    ids: list[int] = []
    for own, piece in zip(encoded, pieces, strict=True):
        ids += [*own, end_id] if piece.is_ended else own
    return ids


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
