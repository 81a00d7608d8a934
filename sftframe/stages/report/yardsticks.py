"""The headline table: each yardstick before and after fine-tuning, with its unit and what it means.

The caller decides whether a change could be chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from sftframe.records import JudgeSummary, Yardsticks
from sftframe.stages.report.numerals import fixed, percent, signed

Movement = Literal["better", "worse", "no change", "could be chance", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One measured value."""

    value: float | None
    text: str
    details: tuple[str, ...] = ()
    """Denominator, interval and judge, if there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YardstickRow:
    """One line of the table."""

    key: str
    """The field's name in `summary.json`."""
    label: str
    unit: str
    meaning: str
    before: Cell
    after: Cell
    change: str
    """Signed, in the unit shown: percentage points for shares; empty if there is none."""
    is_points: bool
    movement: Movement
    """Empty if no direction is better, or one side was not measured."""


def yardstick_rows(
    before: Yardsticks | None,
    after: Yardsticks | None,
    *,
    num_before: int,
    num_after: int,
    chance_keys: Collection[str] = (),
) -> tuple[YardstickRow, ...]:
    """The table's rows, always all seven.

    Args:
        num_before: answers of the untuned model, the denominator of its shares; 0 = not known.
        num_after: the same after fine-tuning.
        chance_keys: rows with a change that must not be called better or worse.
    """
    rows = [
        _row(kind, kind.cell(_value(before, kind.key), num_before), kind.cell(_value(after, kind.key), num_after))
        for kind in _KINDS
    ]
    old, new = before.judge if before else None, after.judge if after else None
    has_one_judge = old is not None and new is not None and old.name == new.name
    rows.append(_row(_JUDGE, _judge_cell(old), _judge_cell(new), is_comparable=has_one_judge))
    return tuple(_hedged(row) if row.key in chance_keys else row for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    key: str
    label: str
    unit: str
    meaning: str
    cell: Callable[[float | None, int], Cell]
    scale: float = 1.0
    digits: int = 3
    cost: Callable[[float], float] | None = None
    """Whether a smaller value is better; None: neither direction is good by itself."""


def _plain_cell(value: float | None, num_items: int) -> Cell:
    return Cell(value=value, text=fixed(value, 3))


def _share_cell(value: float | None, num_items: int) -> Cell:
    if value is None or not math.isfinite(value) or not num_items:
        return Cell(value=value, text=percent(value))
    low, high = wilson_interval(value, num_items)
    details = (f"{round(value * num_items)} of {num_items}", f"95 % interval {fixed(100 * low)}–{percent(high)}")
    return Cell(value=value, text=percent(value), details=details)


def wilson_interval(share: float, num_items: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), correct at 0 and 1 too.

    >>> [round(end, 4) for end in wilson_interval(0.5, 10)]
    [0.2366, 0.7634]
    """
    z2 = 1.959964**2
    centre = (share + z2 / (2 * num_items)) / (1 + z2 / num_items)
    half = math.sqrt(z2 * (share * (1 - share) / num_items + z2 / (4 * num_items**2))) / (1 + z2 / num_items)
    return max(0.0, centre - half), min(1.0, centre + half)


def _judge_cell(judge: JudgeSummary | None) -> Cell:
    if judge is None:
        return Cell(value=None, text=fixed(None), details=("not judged",))
    interval = (f"95 % interval {fixed(judge.ci95[0])}–{fixed(judge.ci95[1])}",) if judge.ci95 else ()
    details = (f"{judge.num_scored} of {judge.num_items} scored", *interval, f"judge: {judge.name}")
    return Cell(value=judge.mean, text=fixed(judge.mean), details=details)


_KINDS = (
    _Kind(
        key="response_nll_per_token",
        label="Response NLL per token",
        unit="nats",
        meaning="How much the reference answers, end included, surprise the model. Lower is better; "
        "compares between all runs with the same tokenizer.",
        cell=_plain_cell,
        cost=lambda value: value,
    ),
    _Kind(
        key="response_nll_per_byte",
        label="Response NLL per byte",
        unit="nats",
        meaning="The same surprise, per UTF-8 byte of the references. Lower is better; "
        "compares across tokenizers and prompt styles too.",
        cell=_plain_cell,
        cost=lambda value: value,
    ),
    _Kind(
        key="prompt_nll_per_token",
        label="Prompt NLL per token",
        unit="nats",
        meaning="How much the prompts surprise the model. It falls when prompts count in the loss; "
        "neither direction is good by itself.",
        cell=_plain_cell,
    ),
    _Kind(
        key="exact_match",
        label="Exact answers",
        unit="share of all answers",
        meaning="Answers equal to the reference, white space at the ends aside. Higher is better.",
        cell=_share_cell,
        scale=100,
        digits=1,
        cost=lambda value: -value,
    ),
    _Kind(
        key="stop_rate",
        label="Answers that stop by themselves",
        unit="share of all answers",
        meaning="The others ran on until they were cut off. Higher is better.",
        cell=_share_cell,
        scale=100,
        digits=1,
        cost=lambda value: -value,
    ),
    _Kind(
        key="length_ratio",
        label="Length ratio",
        unit="characters per character",
        meaning="Length of all answers over that of all references. Best near 1.",
        cell=_plain_cell,
        cost=lambda value: abs(value - 1),
    ),
)
_JUDGE = _Kind(
    key="judge",
    label="Judge's mean score",
    unit="points of 100",
    meaning="Mean over the answers that the judge could score. Higher is better.",
    cell=_plain_cell,
    digits=1,
    cost=lambda value: -value,
)


def _value(yardsticks: Yardsticks | None, key: str) -> float | None:
    value: float | None = getattr(yardsticks, key) if yardsticks else None
    return value


def _row(kind: _Kind, before: Cell, after: Cell, *, is_comparable: bool = True) -> YardstickRow:
    change, movement = _change(kind, before.value, after.value) if is_comparable else ("", "")
    return YardstickRow(
        key=kind.key,
        label=kind.label,
        unit=kind.unit,
        meaning=kind.meaning,
        before=before,
        after=after,
        change=change,
        is_points=kind.digits == 1,
        movement=movement,
    )


def _change(kind: _Kind, before: float | None, after: float | None) -> tuple[str, Movement]:
    if before is None or after is None or not math.isfinite(before + after):
        return "", ""
    change = signed(kind.scale * (after - before), kind.digits)
    if kind.cost is None:
        return change, ""
    if fixed(kind.scale * before, kind.digits) == fixed(kind.scale * after, kind.digits):
        return change, "no change"
    return change, "better" if kind.cost(after) < kind.cost(before) else "worse"


def _hedged(row: YardstickRow) -> YardstickRow:
    return replace(row, movement="could be chance") if row.movement in ("better", "worse") else row
