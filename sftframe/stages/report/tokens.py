"""Examples as the model sees them: stretches of tokens with one role, and the number of their counted targets.

The tokens come from the same batch that is used in training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

PADDING = "padding"
"""The role of positions after a row's end."""


class ShownToken(NamedTuple):
    """One token as the report shows it; a plain tuple of the four values is accepted too."""

    text: str
    role: str
    """`Role.label`, or `padding`."""
    is_counted: bool
    """Whether it counts as a target in the loss; a row's first token never counts."""
    weight: float
    """Its weight in the loss; 0 if it does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring tokens of the same role."""

    role: str
    tokens: tuple[ShownToken, ...]

    @property
    def num_counted(self) -> int:
        """Tokens that count as targets."""
        return sum(token.is_counted for token in self.tokens)

    @property
    def weights(self) -> str:
        """The different weights of the counted targets, the smallest first; empty if none counts."""
        return ", ".join(f"{weight:g}" for weight in sorted({t.weight for t in self.tokens if t.is_counted}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownExample:
    """One row of a batch."""

    stretches: tuple[Stretch, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of the example, without padding."""
        return sum(len(stretch.tokens) for stretch in self.stretches if stretch.role != PADDING)

    @property
    def num_padding(self) -> int:
        """Positions after the row's end."""
        return sum(len(stretch.tokens) for stretch in self.stretches if stretch.role == PADDING)

    @property
    def num_counted(self) -> int:
        """Targets that count, with those in the padding if a strategy counts them."""
        return sum(stretch.num_counted for stretch in self.stretches)


def show_example(tokens: Iterable[tuple[str, str, bool, float]]) -> ShownExample:
    """The tokens of one example, cut where the role changes.

    >>> example = show_example([
    ...     ("Say", "instruction", False, 0.0), (" hi", "instruction", True, 0.1), ("hi", "response", True, 1.0)])
    >>> [(s.role, len(s.tokens), s.num_counted, s.weights) for s in example.stretches]
    [('instruction', 2, 1, '0.1'), ('response', 1, 1, '1')]
    """
    neighbours = groupby((ShownToken(*token) for token in tokens), lambda token: token.role)
    return ShownExample(stretches=tuple(Stretch(role=role, tokens=tuple(group)) for role, group in neighbours))
