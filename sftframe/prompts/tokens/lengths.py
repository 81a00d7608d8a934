"""Examples within the longest length that a run allows: what is cut, dropped or refused, and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftframe.errors import DataError
from sftframe.prompts.tokens.store import ONE_TURN, StoredTurns, TokenStore, Turns
from sftframe.records import Example

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
        self._turns: list[Turns] = []
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
        turns: Turns = ONE_TURN,
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
            turns=StoredTurns.collect(self._turns),
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
    >>> what_helps_over_long(64, 64, "error", has_conversations=True).partition("set ")[2][:85]
    'tokens.over_long=drop, truncate-prompt (leaves out the oldest exchanges, cuts inputs)'
    """
    is_open = context_length is None or max_length < context_length
    if is_open and (context_length is None or over_long != "drop" or shortest <= context_length):
        up_to = "" if context_length is None else f" up to {context_length}, the context length of the model"
        first = f"raise --max-length{up_to}"
    else:
        first = f"choose a model with a context of more than {context_length} tokens"
    if over_long == "error":
        cut = "leaves out the oldest exchanges, cuts inputs" if has_conversations else "cuts inputs"
        modes = f"drop, truncate-prompt ({cut}) or truncate-end (cuts answers)"
    else:
        modes = " or ".join(mode for mode in ("truncate-prompt", "truncate-end") if mode != over_long)
    single = ", or use single exchanges with data.turns=last (or each)" if has_conversations else ""
    return f"{first}, or set tokens.over_long={modes}{single}"
