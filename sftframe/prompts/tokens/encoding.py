"""Examples as ids with roles.

A whole text is tokenised once, and each token has the role of the segment that holds its first character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sftframe.config import TokensConfig
from sftframe.errors import ConfigError, DataError
from sftframe.plugins import PromptStyle, Tokenizer
from sftframe.prompts.tokens.controls import ControlNames
from sftframe.prompts.tokens.lengths import Builder, LengthReport, shortened
from sftframe.prompts.tokens.rendered import Piece, Rendered, render
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
    builder = Builder(
        max_length,
        config.over_long,
        tokenizer.vocab_size,
        cuts_beginning=cuts_beginning,
        context_length=context_length,
    )

    def encoded(some: Sequence[Example]) -> Iterator[_Row]:
        return _encode(some, style, tokenizer, config.boundary)

    for chunk in _chunks(examples, 4096):
        for example, row in zip(chunk, encoded(chunk), strict=True):
            whole_length = len(row.ids)
            if whole_length > max_length and builder.cuts_input:
                shorter = shortened(example, lambda one: len(next(encoded([one])).ids) <= max_length)
                if shorter is not None:
                    example, row = shorter, next(encoded([shorter]))
                    on_shortened(shorter)
            earlier = tuple(turn.weight if counted_turns == "all" else 0.0 for turn in example.turns)
            turns = Turns(row.turn_starts, (*earlier, example.weight))
            builder.add(
                example.index, row.ids, row.roles, num_prompt=row.num_prompt, whole_length=whole_length, turns=turns
            )
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
    written = _written(examples, style, tokenizer)
    prompts = [one.prompt_pieces(boundary) for one in written]
    encoded = iter(_ids(tokenizer, [piece.segments for pieces in prompts for piece in pieces]))
    found = []
    for pieces in prompts:
        ids: list[int] = []
        for piece in pieces:
            ids += next(encoded) if not piece.is_ended else [*next(encoded), tokenizer.end_id]
        found.append(ids)
    return found


def _written(examples: Sequence[Example], style: PromptStyle, tokenizer: Tokenizer) -> list[Rendered]:
    """The examples as the style writes them; if the tokenizer reads names, with those of begin and end tokens."""
    written = [render(style, example) for example in examples]
    names = ControlNames.of(tokenizer)
    return written if names is None else [names.completed(one) for one in written]


def _ids(tokenizer: Tokenizer, texts: Sequence[Sequence[Segment]]) -> list[list[int]]:
    """Ids of each text."""
    if tokenizer.reads_control_names:
        return [ids for ids, _ in tokenizer.encode_segments(texts)]
    return tokenizer.encode_batch(["".join(segment.text for segment in segments) for segments in texts])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An example's ids and roles, with all begin and end tokens."""

    ids: list[int]
    roles: NDArray[np.uint8]
    turn_starts: tuple[int, ...]
    num_prompt: int


def _chunks(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def _encode(examples: Sequence[Example], style: PromptStyle, tokenizer: Tokenizer, boundary: str) -> Iterator[_Row]:
    written = [one.pieces(boundary) for one in _written(examples, style, tokenizer)]
    prompts = iter(_ids(tokenizer, [prompt for pieces in written for piece in pieces for prompt in piece.prompts]))
    encoded = iter(tokenizer.encode_segments([piece.segments for pieces in written for piece in pieces]))
    for example, pieces in zip(examples, written, strict=True):
        row = _Growing()
        for number, piece in enumerate(pieces, start=1):
            whole, numbers = next(encoded)
            for _ in piece.prompts:
                alone = next(prompts)
                if whole[: len(alone)] != alone:
                    raise DataError(_boundary_message(example, style, tokenizer, alone, whole))
                row.num_prompt = len(row.ids) + len(alone)
            row.add(piece, whole, np.asarray(numbers, dtype=np.int64))
            if piece.is_ended or (number == len(pieces) and not tokenizer.reads_control_names):
                row.add_end(tokenizer.end_id, turn=piece.parts[-1].turn)
        yield row.finished(num_turns=len(example.turns) + 1)


class _Growing:
    """A row to which pieces are added."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.num_prompt = 0
        self._roles: list[NDArray[np.uint8]] = []
        self._turns: list[NDArray[np.int64]] = []

    def add(self, piece: Piece, ids: Sequence[int], numbers: NDArray[np.int64]) -> None:
        """A piece's ids.

        Args:
            numbers: for each id the number of its segment in the piece.
        """
        segments = [(segment.role, part.turn) for part in piece.parts for segment in part.segments]
        self.ids += ids
        self._roles.append(np.array([role for role, _ in segments], dtype=np.uint8)[numbers])
        self._turns.append(np.array([turn for _, turn in segments], dtype=np.int64)[numbers])

    def add_end(self, end_id: int, *, turn: int) -> None:
        """An end token."""
        self.ids.append(end_id)
        self._roles.append(np.array([Role.END], dtype=np.uint8))
        self._turns.append(np.array([turn], dtype=np.int64))

    def finished(self, *, num_turns: int) -> _Row:
        """The row."""
        starts = np.searchsorted(np.concatenate(self._turns), np.arange(num_turns))
        return _Row(
            ids=self.ids,
            roles=np.concatenate(self._roles),
            turn_starts=tuple(starts.tolist()),
            num_prompt=self.num_prompt,
        )


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
