"""Examples that are too long: refused, dropped or cut, and always counted.

A cut example keeps at least one target of its answer. A cut answer gets no end token, because it would teach the model
to stop in the middle of a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftframe.errors import DataError
from sftframe.stages.tokens.store import TokenStore


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
    """

    def __init__(self, max_length: int, over_long: str, vocab_size: int, *, cuts_beginning: bool = False) -> None:
        self._max_length = max_length
        self._mode = over_long
        self._cuts_beginning = cuts_beginning
        self._dtype = np.uint16 if vocab_size <= 2**16 else np.int32
        self._ids: list[NDArray[Any]] = []
        self._roles: list[NDArray[np.uint8]] = []
        self._indices: list[int] = []
        self._cuts: list[int] = []
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
    ) -> None:
        """One example with its end token.

        Args:
            num_prompt: the number of ids in the prompt.
            whole_length: tokens before the example was shortened; by default it was not shortened.
        """
        whole_length = len(ids) if whole_length is None else whole_length
        self._lengths.append(whole_length)
        if whole_length > self._max_length:
            self._over.append(index)
        if len(ids) > self._max_length:
            keep = self._kept(len(ids), num_prompt)
            if keep is None:
                return
            ids, roles = ids[keep], roles[keep]
        self._ids.append(np.asarray(ids, dtype=self._dtype))
        self._roles.append(roles)
        self._indices.append(index)
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
                f"none of the {len(self._lengths)} examples fits {self._max_length} tokens: raise --max-length"
            )
        kept = np.array([len(ids) for ids in self._ids], dtype=np.int64)
        store = TokenStore(
            ids=np.concatenate(self._ids),
            roles=np.concatenate(self._roles),
            offsets=np.concatenate([[0], np.cumsum(kept)]),
            indices=np.array(self._indices, dtype=np.int64),
            truncated=np.array(self._cuts, dtype=np.int32),
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
            f"(index {shown}; the longest has {max(self._lengths)}): raise --max-length up to the context, or set "
            "tokens.over_long to drop, truncate-prompt (cuts inputs) or truncate-end (cuts answers)"
        )
