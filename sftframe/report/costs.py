"""What the runs of a comparison cost: time and steps of training, tokens, judged answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sftframe.analysis import ComparedArm, ComparisonResult
from sftframe.formatting import duration
from sftframe.runs import LoadedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one run, or the sum of several; None = not recorded in one of them."""

    num_runs: int
    seconds: float | None
    """Of training; the time for answers and verdicts is not recorded."""
    steps: int | None
    examples: int | None
    tokens: int | None
    """That the model saw in training, padding aside."""
    judged: int
    """Answers with a verdict. A cached verdict counts, so it may be more than the judge was asked for."""


def cost_of_run(run: LoadedRun) -> Cost:
    """Of one run, as its `summary.json` says."""
    train = run.summary.get("train") or {}

    def known(key: str) -> Any:
        return value if isinstance(value := train.get(key), int | float) else None

    return Cost(
        num_runs=1,
        seconds=known("seconds"),
        steps=known("steps"),
        examples=known("examples_seen"),
        tokens=known("tokens_seen"),
        judged=sum(item.verdict is not None for item in run.items) if run.judge else 0,
    )


def cost_of_arm(arm: ComparedArm) -> Cost:
    """Of all its seeds."""
    return total([cost_of_run(run) for run in arm.runs.values()])


def total(costs: Sequence[Cost]) -> Cost:
    """The sum."""

    def added(values: Sequence[Any]) -> Any:
        return None if any(value is None for value in values) else sum(values)

    columns = zip(*(asdict(cost).values() for cost in costs), strict=True)
    return Cost(**dict(zip(Cost.__dataclass_fields__, map(added, columns), strict=True)))


def cost_in_words(cost: Cost) -> str:
    """`6 runs: 28 s of training (4.7 s a run), 360 steps, 147,780 tokens; 1,158 answers judged`; empty if nothing is
    known.
    """
    parts = []
    if cost.seconds is not None:
        each = f" ({duration(cost.seconds / cost.num_runs)} a run)" if cost.num_runs > 1 else ""
        parts.append(f"{duration(cost.seconds)} of training{each}")
    parts += [f"{cost.steps:,} steps"] if cost.steps is not None else []
    parts += [f"{cost.tokens:,} tokens"] if cost.tokens is not None else []
    told = [", ".join(parts)] if parts else []
    told += [f"{cost.judged:,} answers judged"] if cost.judged else []
    runs = f"{cost.num_runs:,} run{'s' * (cost.num_runs != 1)}"
    return f"{runs}: {'; '.join(told)}" if parts else ""


def costs_document(result: ComparisonResult) -> dict[str, Any]:
    """By arm and seed, and in all, as JSON values."""
    arms = {arm.name: cost_of_arm(arm) for arm in result.arms}
    return {
        "total": asdict(total([*arms.values()])),
        "arms": [
            {
                "name": arm.name,
                **asdict(arms[arm.name]),
                "runs": {str(seed): asdict(cost_of_run(run)) for seed, run in arm.runs.items()},
            }
            for arm in result.arms
        ],
    }
