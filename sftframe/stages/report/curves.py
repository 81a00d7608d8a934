"""The course of a training run, from `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import accumulate
from typing import Any, TypeVar

from sftframe.errors import DataError
from sftframe.records import EvalRecord, StepRecord
from sftframe.stored import read_record

MAX_ROWS = 12
"""Rows of the table next to the chart if a run was never evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All steps and evaluations of a run, each in the order of their steps; either may be empty."""

    steps: tuple[StepRecord, ...] = ()
    evals: tuple[EvalRecord, ...] = ()

    @property
    def tokens_seen(self) -> dict[int, int]:
        """Tokens seen by each step that was recorded, in the order of the steps; 0 tokens at step 0."""
        trained = {step.step: step.tokens_seen for step in self.steps}
        evaluated = {evaluation.step: evaluation.tokens_seen for evaluation in self.evals}
        return dict(sorted({0: 0, **evaluated, **trained}.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """One line of the table next to the chart; None if nothing was measured at that step."""

    step: int
    tokens_seen: int
    train_loss: float | None
    """Running mean up to this step, as drawn."""
    evaluation: EvalRecord | None


def read_curves(lines: Iterable[Mapping[str, Any]]) -> Curves:
    """The curves of the lines of `metrics.jsonl`.

    A step that was logged twice (a run was killed and resumed from an earlier checkpoint) counts once, with its last
    record. Kinds and fields of a later version are ignored.

    Raises:
        DataError: a line lacks a field of its kind; the message has the line's number.
    """
    steps: dict[int, StepRecord] = {}
    evals: dict[int, EvalRecord] = {}
    for number, line in enumerate(lines, start=1):
        if line.get("kind") == "step":
            step = _record(StepRecord, line, number)
            steps[step.step] = step
        elif line.get("kind") == "eval":
            evaluation = _record(EvalRecord, line, number)
            evals[evaluation.step] = evaluation
    return Curves(
        steps=tuple(steps[step] for step in sorted(steps)),
        evals=tuple(evals[step] for step in sorted(evals)),
    )


def mean_window(num_steps: int) -> int:
    """Number of steps in the running mean of the train loss: a 40th of the run, 5 to 50; 1 = no mean, for up to 50
    steps.

    >>> [mean_window(n) for n in (1, 50, 51, 234, 5000)]
    [1, 1, 5, 5, 50]
    """
    return 1 if num_steps <= 50 else min(max(5, num_steps // 40), 50)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and up to `window - 1` before it; values that are not finite are left out of the mean.

    >>> running_mean([4.0, 2.0, 6.0, float("nan")], 2)
    [4.0, 3.0, 4.0, 6.0]
    """
    finite = [math.isfinite(value) for value in values]
    sums = [0.0, *accumulate(value if is_finite else 0.0 for value, is_finite in zip(values, finite, strict=True))]
    counts = [0, *accumulate(map(int, finite))]
    starts = [max(0, end - window) for end in range(1, len(sums))]
    return [
        (sums[end] - sums[start]) / (counts[end] - counts[start]) if counts[end] > counts[start] else math.nan
        for end, start in enumerate(starts, start=1)
    ]


def curve_rows(curves: Curves) -> tuple[CurveRow, ...]:
    """The chart's figures at every evaluation and at the last step; without evaluations, at up to 12 even steps."""
    tokens_seen = curves.tokens_seen
    means = running_mean([step.loss for step in curves.steps], mean_window(len(curves.steps)))
    losses = {step.step: mean for step, mean in zip(curves.steps, means, strict=True)}
    evaluations = {evaluation.step: evaluation for evaluation in curves.evals}
    shown = {*(evaluations or _even([*losses], MAX_ROWS)), *[*losses][-1:]}
    return tuple(
        CurveRow(
            step=step,
            tokens_seen=tokens_seen[step],
            train_loss=losses.get(step),
            evaluation=evaluations.get(step),
        )
        for step in sorted(shown)
    )


_Record = TypeVar("_Record", StepRecord, EvalRecord)


def _record(kind: type[_Record], line: Mapping[str, Any], number: int) -> _Record:
    missing = [f.name for f in fields(kind) if f.name not in line and f.default is MISSING]
    if missing:
        raise DataError(
            f"metrics.jsonl, line {number}: a {line['kind']} without {', '.join(missing)}; "
            "expected what `sftframe train` writes: remove the line, or train again"
        )
    values = {f.name: _finite_or_nan(line[f.name]) for f in fields(kind) if f.name in line}
    return read_record(kind, values, f"metrics.jsonl, line {number}")


def _finite_or_nan(value: Any) -> Any:
    return math.nan if value is None else value


def _even(steps: Sequence[int], most: int) -> list[int]:
    """Up to `most` of the steps, evenly spread, with the first and the last."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]
