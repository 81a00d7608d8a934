"""Examples as tokens with roles, within the longest length that a run allows.

A whole text is tokenised once, and each token has the role of the segment that holds its first byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from sftframe.config import TokensConfig
from sftframe.errors import ConfigError, DataError, ModelError, PluginError, SftframeError
from sftframe.plugins import PromptStyle, Tokenizer
from sftframe.plugins.guard import CallError, describe
from sftframe.records import Example, Role, Segment, TokenizedExample, Turn


class TokenStore(Sequence[TokenizedExample]):
    """Many tokenised examples in flat arrays: about 3 bytes a token and 16 an example, where lists take 40."""

    def __init__(
        self,
        *,
        ids: NDArray[Any],
        roles: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        indices: NDArray[np.int64],
        truncated: NDArray[np.int32],
        turns: _StoredTurns | None = None,
    ) -> None:
        self._ids = ids  # (num_tokens,) uint16 or int32
        self._roles = roles  # (num_tokens,)
        self._offsets = offsets  # (num_examples + 1,)
        self._indices = indices  # (num_examples,)
        self._truncated = truncated  # (num_examples,)
        self._turns = turns

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, key: int) -> TokenizedExample: ...
    @overload
    def __getitem__(self, key: slice) -> list[TokenizedExample]: ...
    def __getitem__(self, key: int | slice) -> TokenizedExample | list[TokenizedExample]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        if not -len(self) <= key < len(self):
            raise IndexError(key)
        key %= len(self)
        start, stop = self._offsets[key], self._offsets[key + 1]
        return TokenizedExample(
            ids=self._ids[start:stop].astype(np.int64),
            roles=self._roles[start:stop],
            index=int(self._indices[key]),
            num_truncated=int(self._truncated[key]),
            **({} if self._turns is None else self._turns.of(key)),
        )

    def select(self, indices: Collection[int]) -> TokenStore:
        """The examples whose `Example.index` is among `indices`, in the order of the store."""
        rows = np.flatnonzero(np.isin(self._indices, np.fromiter(indices, dtype=np.int64)))
        lengths = self.lengths
        is_kept = np.repeat(np.isin(np.arange(len(self)), rows), lengths)  # (num_tokens,)
        return TokenStore(
            ids=self._ids[is_kept],
            roles=self._roles[is_kept],
            offsets=np.concatenate([[0], np.cumsum(lengths[rows])]),
            indices=self._indices[rows],
            truncated=self._truncated[rows],
            turns=self._turns and self._turns.select(rows),
        )

    @property
    def indices(self) -> list[int]:
        """`Example.index` of every example."""
        return [int(index) for index in self._indices]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example."""
        return np.diff(self._offsets)

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self._ids, self._roles, self._offsets, self._indices, self._truncated)
        return sum(array.nbytes for array in arrays) + (self._turns.num_bytes if self._turns else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredTurns:
    """Where the exchanges of many examples begin, and their weights, in flat arrays."""

    starts: NDArray[np.int32]
    """(num_turns,)"""
    weights: NDArray[np.float64]
    """(num_turns,)"""
    offsets: NDArray[np.int64]
    """(num_examples + 1,)"""

    @classmethod
    def collect(cls, turns: Sequence[_Turns]) -> _StoredTurns | None:
        """The turns of all examples; None if each is one exchange of weight 1."""
        if all(one == _ONE_TURN for one in turns):
            return None
        return cls(
            starts=np.array([start for one in turns for start in one.starts], dtype=np.int32),
            weights=np.array([weight for one in turns for weight in one.weights], dtype=np.float64),
            offsets=np.cumsum([0, *(len(one.starts) for one in turns)], dtype=np.int64),
        )

    def of(self, row: int) -> dict[str, Any]:
        """The fields of a `TokenizedExample`."""
        part = slice(self.offsets[row], self.offsets[row + 1])
        return {
            "turn_starts": tuple(self.starts[part].tolist()),
            "turn_weights": tuple(self.weights[part].tolist()),
        }

    def select(self, rows: NDArray[Any]) -> _StoredTurns:
        """The turns of some examples."""
        numbers = np.diff(self.offsets)
        is_kept = np.repeat(np.isin(np.arange(len(numbers)), rows), numbers)  # (num_turns,)
        return _StoredTurns(
            starts=self.starts[is_kept],
            weights=self.weights[is_kept],
            offsets=np.concatenate([[0], np.cumsum(numbers[rows])]),
        )

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        return self.starts.nbytes + self.weights.nbytes + self.offsets.nbytes


@dataclass(frozen=True, slots=True)
class _Turns:
    """Position of the first token of each exchange of an example, and the weights of their answers."""

    starts: tuple[int, ...]
    weights: tuple[float, ...]

    def within(self, length: int) -> _Turns:
        """Those that begin before a length."""
        number = sum(start < length for start in self.starts)
        return _Turns(self.starts[:number], self.weights[:number])


_ONE_TURN = _Turns((0,), (1.0,))


CUT = " … "
"""Takes the place of the removed text."""


def shortened(example: Example, fits: Callable[[Example], bool]) -> Example | None:
    """The example with as much of its input as fits, or of its instruction if it has no input; None if nothing fits.

    The beginning and the end stay, in equal parts. A text is never removed completely: a prompt without its input would
    be another question. A conversation loses its oldest exchanges first, as few as are needed; what is left begins with
    a question of the user.

    >>> example = Example(index=0, instruction="Sum up.", input="a long report on the weather", output="Rain.")
    >>> shortened(example, lambda one: len(one.input) <= 13).input
    'a lon … ather'
    """
    for number, exchange in enumerate(example.exchanges[1:], start=1):
        if exchange.speaker == "user" and fits(later := replace(example, turns=example.turns[number:])):
            return later
    if example.turns and example.speaker != "user":
        return None
    example = replace(example, turns=())
    has_input = bool(example.input.strip())
    text = example.input if has_input else example.instruction

    def kept(num_characters: int) -> Example:
        num_head = (num_characters + 1) // 2
        head, tail = text[:num_head], text[len(text) - num_characters // 2 :]
        cut = f"{head.rstrip()}{CUT}{tail.lstrip()}"
        return replace(example, input=cut) if has_input else replace(example, instruction=cut)

    low, high = 1, len(text) - 1
    if high < low or not fits(kept(low)):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(kept(middle)) else (low, middle - 1)
    return kept(low)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReport:
    """The lengths of the examples, in tokens with the end token, and the handling of those over the maximum."""

    num_examples: int
    """Before anything was dropped."""
    num_tokens: int
    """Of all examples kept, after cutting."""
    longest: int
    mean: float
    max_length: int
    over_long: tuple[int, ...]
    """Indices of the examples over the maximum."""
    num_dropped: int
    num_truncated: int
    num_tokens_cut: int
    prompt_cut: str | None = None
    """What `truncate-prompt` cuts: the middle of the `input`, or, in runs of older versions, the `beginning`."""


class Builder:
    """Collects examples, cuts or drops the long ones, and counts.

    Args:
        max_length: tokens with the end token.
        over_long: `error`, `drop`, `truncate-prompt` or `truncate-end`.
        vocab_size: up to 65,536 an id takes two bytes, else four.
        cuts_beginning: `truncate-prompt` cuts tokens here; otherwise the examples are already shortened.
        context_length: of the model, which messages name; None = there is no limit.
    """

    def __init__(
        self,
        max_length: int,
        over_long: str,
        vocab_size: int,
        *,
        cuts_beginning: bool = False,
        context_length: int | None = None,
    ) -> None:
        self._max_length = max_length
        self._context_length = context_length
        self._has_conversations = False
        self._mode = over_long
        self._cuts_beginning = cuts_beginning
        self._dtype = np.uint16 if vocab_size <= 2**16 else np.int32
        self._ids: list[NDArray[Any]] = []
        self._roles: list[NDArray[np.uint8]] = []
        self._indices: list[int] = []
        self._cuts: list[int] = []
        self._turns: list[_Turns] = []
        self._over: list[int] = []
        self._lengths: list[int] = []

    @property
    def cuts_input(self) -> bool:
        """Whether over-long examples must be shortened before they are added."""
        return self._mode == "truncate-prompt" and not self._cuts_beginning

    def add(
        self,
        index: int,
        ids: Sequence[int],
        roles: NDArray[np.uint8],
        *,
        num_prompt: int,
        whole_length: int | None = None,
        turns: _Turns = _ONE_TURN,
    ) -> None:
        """One example with its end token.

        Args:
            num_prompt: the number of ids in the prompt, in a conversation up to its last answer.
            whole_length: tokens before the example was shortened; by default it was not shortened.
        """
        whole_length = len(ids) if whole_length is None else whole_length
        self._lengths.append(whole_length)
        self._has_conversations |= len(turns.starts) > 1
        if whole_length > self._max_length:
            self._over.append(index)
        if len(ids) > self._max_length:
            keep = self._kept(len(ids), num_prompt)
            if keep is None:
                return
            ids, roles, turns = ids[keep], roles[keep], turns.within(self._max_length)
        self._ids.append(np.asarray(ids, dtype=self._dtype))
        self._roles.append(roles)
        self._indices.append(index)
        self._turns.append(turns)
        self._cuts.append(max(whole_length - len(ids), 0))

    def _kept(self, length: int, num_prompt: int) -> slice | None:
        """The tokens of an over-long example that stay; None = it cannot be used."""
        if self._mode == "truncate-prompt" and self._cuts_beginning and length - num_prompt < self._max_length:
            return slice(length - self._max_length, None)
        if self._mode == "truncate-end" and num_prompt < self._max_length:
            return slice(None, self._max_length)
        return None

    def finish(self) -> tuple[TokenStore, LengthReport]:
        """The store and the report.

        Raises:
            DataError: there are examples over the maximum and that is an error, or none is left.
        """
        if self._over and self._mode == "error":
            raise DataError(self._over_long_message())
        if not self._ids:
            raise DataError(
                f"none of the {len(self._lengths)} examples fits {self._max_length} tokens (the shortest has "
                f"{min(self._lengths)}): {self._what_helps(min(self._lengths))}"
            )
        kept = np.array([len(ids) for ids in self._ids], dtype=np.int64)
        store = TokenStore(
            ids=np.concatenate(self._ids),
            roles=np.concatenate(self._roles),
            offsets=np.concatenate([[0], np.cumsum(kept)]),
            indices=np.array(self._indices, dtype=np.int64),
            truncated=np.array(self._cuts, dtype=np.int32),
            turns=_StoredTurns.collect(self._turns),
        )
        return store, LengthReport(
            num_examples=len(self._lengths),
            num_tokens=int(kept.sum()),
            longest=max(self._lengths),
            mean=float(np.mean(self._lengths)),
            max_length=self._max_length,
            over_long=tuple(self._over),
            num_dropped=len(self._lengths) - len(self._ids),
            num_truncated=int(np.count_nonzero(self._cuts)),
            num_tokens_cut=int(np.sum(self._cuts)),
            prompt_cut=self._prompt_cut,
        )

    @property
    def _prompt_cut(self) -> str | None:
        if self._mode != "truncate-prompt":
            return None
        return "beginning" if self._cuts_beginning else "input"

    def _over_long_message(self) -> str:
        shown = ", ".join(str(index) for index in self._over[:5]) + (", …" if len(self._over) > 5 else "")
        return (
            f"{len(self._over)} of {len(self._lengths)} examples have more than {self._max_length} tokens "
            f"(index {shown}; the longest has {max(self._lengths)}): {self._what_helps(0)}"
        )

    def _what_helps(self, shortest: int) -> str:
        return what_helps_over_long(
            self._max_length,
            self._context_length,
            self._mode,
            shortest=shortest,
            has_conversations=self._has_conversations,
        )


def what_helps_over_long(
    max_length: int,
    context_length: int | None,
    over_long: str,
    *,
    shortest: int = 0,
    has_conversations: bool = False,
) -> str:
    """What to set where examples are over the maximum length: nothing that is set already or cannot help.

    Args:
        context_length: of the model; None = there is no limit.
        over_long: the `tokens.over_long` that is set.
        shortest: tokens of the shortest example that must fit.

    >>> what_helps_over_long(40, 64, "truncate-end")
    'raise --max-length up to 64, the context length of the model, or set tokens.over_long=truncate-prompt'
    >>> what_helps_over_long(64, 64, "truncate-end", has_conversations=True)  # doctest: +NORMALIZE_WHITESPACE
    'choose a model with a context of more than 64 tokens, or set tokens.over_long=truncate-prompt, or use single
    exchanges with data.turns=last (or each)'
    """
    is_open = context_length is None or max_length < context_length
    if is_open and (context_length is None or over_long != "drop" or shortest <= context_length):
        up_to = "" if context_length is None else f" up to {context_length}, the context length of the model"
        first = f"raise --max-length{up_to}"
    else:
        first = f"choose a model with a context of more than {context_length} tokens"
    if over_long == "error":
        modes = "drop, truncate-prompt (cuts inputs) or truncate-end (cuts answers)"
    else:
        modes = " or ".join(mode for mode in ("truncate-prompt", "truncate-end") if mode != over_long)
    single = ", or use single exchanges with data.turns=last (or each)" if has_conversations else ""
    return f"{first}, or set tokens.over_long={modes}{single}"


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
            turns = _Turns(row.turn_starts, (*earlier, example.weight))
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
    prompts = [_render(style, example).prompt_pieces(boundary) for example in examples]
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
class _Part:
    """The prompt or the answer of one exchange."""

    segments: tuple[Segment, ...]
    turn: int
    is_answer: bool

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)

    @property
    def is_open(self) -> bool:
        """An answer without a closing tag; the tokenizer's end token closes it."""
        return self.is_answer and self.segments[-1].role is not Role.END


@dataclass(frozen=True, slots=True)
class _Piece:
    """Parts whose text is tokenised together."""

    parts: tuple[_Part, ...]
    is_ended: bool
    """The tokenizer's end token follows."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def prompts(self) -> list[str]:
        """The text before each answer of the piece."""
        return [
            "".join(part.text for part in self.parts[:number])
            for number, part in enumerate(self.parts)
            if part.is_answer
        ]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """An example as a style writes it."""

    parts: tuple[_Part, ...]
    """Prompt and answer of every exchange."""

    def pieces(self, boundary: str) -> list[_Piece]:
        """What is tokenised together; an earlier answer without a closing tag ends a piece."""
        return _pieces(self.parts, boundary)

    def prompt_pieces(self, boundary: str) -> list[_Piece]:
        """The same without the last answer."""
        return _pieces(self.parts[:-1], boundary)


def _pieces(parts: Sequence[_Part], boundary: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    begun: list[_Part] = []
    for number, part in enumerate(parts, start=1):
        begun.append(part)
        is_ended = part.is_open and number < len(parts)
        if is_ended or boundary == "split" or number == len(parts):
            pieces.append(_Piece(tuple(begun), is_ended))
            begun = []
    return pieces


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
    rendered = [_render(style, example).pieces(boundary) for example in examples]
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


def _joined(encoded: Sequence[list[int]], pieces: Sequence[_Piece], end_id: int) -> list[int]:
    """The ids of pieces with their end tokens."""
    ids: list[int] = []
    for own, piece in zip(encoded, pieces, strict=True):
        ids += [*own, end_id] if piece.is_ended else own
    return ids


def _render(style: PromptStyle, example: Example) -> _Rendered:
    """Turn a style's exceptions into errors that name style and example."""
    try:
        if example.turns and not style.can_converse:
            raise _unwritten(style, example, "earlier exchanges")
        turns = style.render_turns(example)
        _check_written(style, example, turns)
    except CallError as error:
        raise PluginError(f"example {example.index}: {error}") from error
    except SftframeError:
        raise
    except Exception as error:
        what = describe(error, type(style).__module__.partition(".")[0])
        raise PluginError(f"prompt style {style.name!r} failed on example {example.index}: {what}") from error
    if not turns[-1][1]:
        raise PluginError(
            f"prompt style {style.name!r} gave example {example.index} no RESPONSE segment; expected exactly one"
        )
    return _Rendered(
        tuple(
            _Part(segments=segments, turn=turn, is_answer=is_answer)
            for turn, pair in enumerate(turns)
            for is_answer, segments in zip((False, True), pair, strict=True)
        )
    )


def _check_written(style: PromptStyle, example: Example, turns: Sequence[tuple[Sequence[Segment], ...]]) -> None:
    """Check that a rendering has what single questions do not have; styles may know nothing of it.

    Raises:
        DataError: it lacks the system message, the tools, what a tool gave back, or an exchange.
    """
    if not (example.turns or example.system or example.tools or example.speaker != "user"):
        return
    pieces = [piece for pair in turns for part in pair for piece in part]
    num_answers = sum(piece.role == Role.RESPONSE for piece in pieces)
    if num_answers != len(example.turns) + 1:
        raise PluginError(
            f"prompt style {style.name!r} gave example {example.index} {num_answers} RESPONSE segments; expected one "
            f"for each of its {len(example.turns) + 1} exchanges"
        )
    said = "".join(piece.text for piece in pieces if piece.role == Role.SYSTEM)
    if example.system.strip() not in said:
        raise _unwritten(style, example, "a system message")
    if example.tools and style.prompt_text(example) == style.prompt_text(replace(example, tools="")):
        raise _unwritten(style, example, "tools")
    for exchange, (prompt, _) in zip(example.exchanges, turns, strict=True):
        given = "".join(piece.text for piece in prompt if piece.role == Role.TOOL)
        if exchange.speaker == "tool" and exchange.instruction.strip() not in given:
            raise _unwritten(style, example, "what a tool gave back")


def writes(style: PromptStyle, example: Example) -> bool:
    """Whether a style writes all that an example has."""
    try:
        _render(style, example)
    except SftframeError:
        return False
    return True


class UnwrittenError(Exception):
    """The cause of a `DataError`: an example has what a prompt style does not write."""

    def __init__(self, example: Example, way_out: str) -> None:
        super().__init__()
        self.example = example
        self.way_out = way_out


_WAYS_OUT = {
    "earlier exchanges": "or use single exchanges with --set data.turns=last (or first, each)",
    "a system message": "or leave it out with --set data.fields.system=false",
    "tools": "or leave them out with --set data.fields.tools=false",
    "what a tool gave back": "or use single questions with --set data.turns=first (or each)",
}
"""What a style may not write, and how to use the data without it."""


def _unwritten(style: PromptStyle, example: Example, what: str) -> DataError:
    error = DataError(f"example {example.index} has {what}, which prompt style {style.name!r} does not write")
    error.__cause__ = UnwrittenError(example, _WAYS_OUT[what])
    return error


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


FIXED_EXAMPLES = (
    Example(index=0, instruction="Name a primary colour.", output="Red is a primary colour."),
    Example(index=1, instruction="Translate into French.", input="good morning", output="bonjour"),
    Example(
        index=2, instruction="Tell both lines:\n- naïve\n- 東京", input="first\n\nsecond", output="« naïve »\n東京"
    ),
)
"""The examples of a fingerprint: without input, with input, with line breaks and other scripts."""


def style_fingerprint(style: PromptStyle) -> str:
    """SHA-256 of the rendering of `FIXED_EXAMPLES`, hexadecimal; styles with the same text have the same hash."""
    return _hash_of(style, FIXED_EXAMPLES)


_EARLIER = (Turn(instruction="Greet me.", output="Hello!"), Turn(instruction="Add:", input="2 and 3", output="5"))
_CONVERSATION = Example(index=3, turns=_EARLIER, instruction="And in words?", output="Five.")
_CALL = Turn(instruction="What is the weather?", output='{"name": "weather", "arguments": {}}', is_call=True)
FIXED_CONVERSATIONS = (
    _CONVERSATION,
    replace(_CONVERSATION, system="Be brief."),
    Example(
        index=4,
        turns=(_CALL,),
        speaker="tool",
        instruction='{"sun": true}',
        output="It is sunny.",
        tools='[{"name": "weather", "description": "Tells the weather.", "parameters": {}}]',
    ),
)
"""The conversations of a fingerprint: three exchanges, the same with a system message, and one with a tool."""


def conversation_fingerprint(style: PromptStyle) -> str:
    """SHA-256 of the rendering of those `FIXED_CONVERSATIONS` that the style writes, hexadecimal."""
    return _hash_of(style, [example for example in FIXED_CONVERSATIONS if writes(style, example)])


def _hash_of(style: PromptStyle, examples: Sequence[Example]) -> str:
    rendered = [[(p.role.label, p.text) for part in style.render(example) for p in part] for example in examples]
    return hashlib.sha256(json.dumps(rendered).encode()).hexdigest()
