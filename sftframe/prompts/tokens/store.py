"""Many tokenised examples in flat arrays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sftframe.records import TokenizedExample


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
        turns: StoredTurns | None = None,
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
class StoredTurns:
    """Where the exchanges of many examples begin, and their weights, in flat arrays."""

    starts: NDArray[np.int32]
    """(num_turns,)"""
    weights: NDArray[np.float64]
    """(num_turns,)"""
    offsets: NDArray[np.int64]
    """(num_examples + 1,)"""

    @classmethod
    def collect(cls, turns: Sequence[Turns]) -> StoredTurns | None:
        """The turns of all examples; None if each is one exchange of weight 1."""
        if all(one == ONE_TURN for one in turns):
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

    def select(self, rows: NDArray[Any]) -> StoredTurns:
        """The turns of some examples."""
        numbers = np.diff(self.offsets)
        is_kept = np.repeat(np.isin(np.arange(len(numbers)), rows), numbers)  # (num_turns,)
        return StoredTurns(
            starts=self.starts[is_kept],
            weights=self.weights[is_kept],
            offsets=np.concatenate([[0], np.cumsum(numbers[rows])]),
        )

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        return self.starts.nbytes + self.weights.nbytes + self.offsets.nbytes


@dataclass(frozen=True, slots=True)
class Turns:
    """Position of the first token of each exchange of an example, and the weights of their answers."""

    starts: tuple[int, ...]
    weights: tuple[float, ...]

    def within(self, length: int) -> Turns:
        """Those that begin before a length."""
        number = sum(start < length for start in self.starts)
        return Turns(self.starts[:number], self.weights[:number])


ONE_TURN = Turns((0,), (1.0,))
