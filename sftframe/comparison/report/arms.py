"""The arms in numbers: every yardstick with its seeds and verdict, and the counted tokens by role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sftframe.comparison.result import ComparisonResult
from sftframe.comparison.tables import YardstickTable
from sftframe.comparison.yardsticks import Yardstick
from sftframe.stages.report.numerals import ABSENT, fixed, signed
from sftframe.statistics import Comparison, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm by one yardstick."""

    yardstick: str
    mean: str
    seeds: tuple[tuple[int, str], ...]
    """Seed and mean of each."""
    difference: str
    """To the baseline; empty for the baseline itself."""
    verdict: str
    num_unscored: int
    """Answers without a score, over all seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One arm."""

    name: str
    position: int
    is_baseline: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesRow:
    """One arm's counted targets."""

    name: str
    shares: Mapping[str, float]
    """By role, 0-1."""


def arm_rows(result: ComparisonResult) -> tuple[ArmRow, ...]:
    """Every arm with a cell per yardstick, the main yardstick first."""
    tables = ordered_tables(result)
    return tuple(
        ArmRow(
            name=arm.name,
            position=position,
            is_baseline=arm.name == result.baseline,
            cells=tuple(_cell(table, arm.name) for table in tables),
        )
        for position, arm in enumerate(result.arms)
    )


def ordered_tables(result: ComparisonResult) -> tuple[YardstickTable, ...]:
    """The main yardstick, then the others."""
    return (result.main, *(table for table in result.tables if table is not result.main))


def share_rows(result: ComparisonResult) -> tuple[SharesRow, ...]:
    """The counted tokens in the training of each arm's first run; arms without a record are left out."""
    rows = [
        SharesRow(name=arm.name, shares=(arm.any_run().summary.get("train") or {}).get("counted_share") or {})
        for arm in result.arms
    ]
    return tuple(row for row in rows if row.shares)


def interval_text(interval: Interval | None, yardstick: Yardstick) -> str:
    """The bounds with their signs.

    >>> from sftframe.comparison import find_yardstick
    >>> interval_text(Interval(low=-1.5, high=2, level=0.95, covers="items"), find_yardstick("judge"))
    '−1.5 to +2.0'
    """
    if interval is None:
        return ABSENT
    return f"{signed(interval.low, yardstick.digits)} to {signed(interval.high, yardstick.digits)}"


def p_text(p_value: float | None) -> str:
    """A p-value with three digits.

    >>> p_text(0.0421), p_text(0.00001), p_text(None)
    ('0.042', '< 0.001', '–')
    """
    if p_value is None:
        return ABSENT
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def spread_text(found: Comparison) -> str:
    """The causes of the variance of one item's difference in one seed."""
    names = {"seed": "seeds", "item": "items", "judge": "judge", "other": "rest"}
    return ", ".join(
        f"{names[part]} {100 * share:.0f}\N{NO-BREAK SPACE}%" for part, share in found.components.shares.items()
    )


def _cell(table: YardstickTable, name: str) -> Cell:
    summary = next(arm for arm in table.table.arms if arm.name == name)
    found: Comparison | None = next((one for one in table.table.comparisons if one.candidate == name), None)
    digits = table.yardstick.digits
    return Cell(
        yardstick=table.yardstick.key,
        mean=fixed(summary.mean, digits),
        seeds=tuple(
            (seed, fixed(mean, digits)) for seed, mean in zip(table.table.seeds, summary.seed_means, strict=True)
        ),
        difference=signed(found.difference, digits) if found else "",
        verdict=found.verdict if found else "",
        num_unscored=table.num_unscored.get(name, 0),
    )
