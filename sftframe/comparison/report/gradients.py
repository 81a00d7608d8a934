"""The angle between the arms' gradients, as lines and as a table.

The records are like `sftframe.ablation`'s `GradientCosine`; there may be none, since they are measured on request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sftframe.comparison.report.curves import MAX_ROWS, ArmLines, even_steps
from sftframe.comparison.result import ComparisonResult


class Cosine(Protocol):
    """Two arms' gradients on the same examples at the same weights."""

    @property
    def step(self) -> int: ...
    @property
    def candidate(self) -> str: ...
    @property
    def cosine(self) -> float | None: ...
    @property
    def norm_ratio(self) -> float | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineRow:
    """One step."""

    step: int
    values: tuple[tuple[float | None, float | None], ...]
    """Cosine and ratio of norms per arm, in the order of the lines."""


def cosine_lines(result: ComparisonResult, cosines: Sequence[Cosine]) -> tuple[ArmLines, ...]:
    """One line per arm that was measured against the baseline."""
    lines = []
    for position, arm in enumerate(result.arms):
        points = {one.step: one.cosine for one in cosines if one.candidate == arm.name and one.cosine is not None}
        if points:
            lines.append(ArmLines(position=position, name=arm.name, by_seed={0: points}))
    return tuple(lines)


def cosine_rows(lines: Sequence[ArmLines], cosines: Sequence[Cosine]) -> tuple[CosineRow, ...]:
    """Up to a dozen steps."""
    known = {(one.step, one.candidate): (one.cosine, one.norm_ratio) for one in cosines}
    return tuple(
        CosineRow(step=step, values=tuple(known.get((step, line.name), (None, None)) for line in lines))
        for step in even_steps((one.step for one in cosines), MAX_ROWS)
    )
