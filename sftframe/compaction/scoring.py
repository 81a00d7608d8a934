"""How queries and keys become scores: what models differ in, for every way of computing attention."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What happens to the products of queries and keys before the softmax."""

    scale: float
    window: int | None = None
    """How many positions a query sees, itself included; None = all up to itself."""
    softcap: float | None = None
    """Scores are pressed between -softcap and softcap by a hyperbolic tangent; None = they stay."""

    @property
    def factor(self) -> float:
        """What queries are multiplied by, so that their products with keys need no pass before the tangent."""
        return self.scale / (self.softcap or 1.0)
