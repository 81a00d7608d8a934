"""Two sets of scored answers as arms, from files with only questions, references, answers and scores."""

from __future__ import annotations

from pathlib import Path

from sftframe.comparison.runs import ComparedArm, FinishedRun
from sftframe.judging import HeadToHead
from sftframe.records import ItemResult, JudgeItem, Verdict

_ONLY_SEED = 0


def arms_of_answers(head_to_head: HeadToHead) -> list[ComparedArm]:
    """Both sides on their common questions; likelihoods and stop reasons are not known.

    Args:
        head_to_head: with scores of single answers.
    """
    sides = zip((head_to_head.a, head_to_head.b), zip(*head_to_head.matches, strict=True), strict=True)
    verdicts = list(zip(*head_to_head.verdicts, strict=True))
    names = _names(head_to_head)
    arms = []
    for number, (side, items) in enumerate(sides):
        results = tuple(_result(*both) for both in zip(range(len(items)), items, verdicts[number], strict=True))
        run = FinishedRun(
            path=Path(side.label),
            seed=_ONLY_SEED,
            settings={},
            pairing={},
            judge=head_to_head.judge,
            items=results,
            summary={},
            manifest={},
        )
        arms.append(ComparedArm(name=names[number], runs={_ONLY_SEED: run}))
    return arms


def _names(head_to_head: HeadToHead) -> tuple[str, str]:
    a, b = head_to_head.a.label, head_to_head.b.label
    return (a, b) if a != b else (f"{a} (A)", f"{b} (B)")


def _result(index: int, item: JudgeItem, verdict: Verdict) -> ItemResult:
    return ItemResult(
        index=index,
        instruction=item.instruction,
        input=item.input,
        reference=item.reference,
        answer=item.answer,
        stop_reason=None,
        response_nll=None,
        num_response_bytes=len(item.reference.encode()),
        score=verdict.score,
        verdict=verdict.status,
        reason=verdict.reason,
    )
