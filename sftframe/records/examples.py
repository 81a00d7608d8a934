"""Records of instruction data: examples, rendered segments and token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = Sequence[int] | NDArray[np.integer[Any]]


class Role(IntEnum):
    """What a piece of a rendered example is; also the code of a token's role in `TokenizedExample.roles`."""

    TEMPLATE = 0
    """Constant words of the prompt style."""
    INSTRUCTION = 1
    INPUT = 2
    RESPONSE = 3
    END = 4
    """A closing tag of the style, and the tokenizer's end token."""

    @property
    def label(self) -> str:
        """The role's name as it is shown and written to files: lower case."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One entry of instruction data."""

    instruction: str
    input: str = ""
    """May be empty: many instructions need no further input."""
    output: str
    index: int
    """Position in the source file, counted from 0."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rendered text with one role."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedExample:
    """A rendered example as token ids, the end token included."""

    ids: Integers
    roles: Integers
    """One `Role` per id."""
    index: int
    """`Example.index`."""
    num_truncated: int = 0
    """Tokens that were cut to fit the maximum length; 0 for most."""
