"""What `--json` prints for a judgement and a comparison. `docs/judges.md` lists the fields; they are never renamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sftframe.files import plain
from sftframe.judging.asking import Judgement
from sftframe.judging.head_to_head import HeadToHead
from sftframe.records import Verdict
from sftframe.stages.judge import failure_counts

Document = dict[str, Any]


def judgement_document(judgement: Judgement) -> Document:
    """The judge, the mean with its interval, and every verdict in the items' order."""
    summary = judgement.summary
    document = {
        "judge": summary.name,
        "num_items": summary.num_items,
        "num_scored": summary.num_scored,
        "mean": summary.mean,
        "ci95": summary.ci95,
        "failures": failure_counts(judgement.verdicts),
        "repeats": judgement.noise,
        "verdicts": [_verdict(verdicts) for verdicts in zip(judgement.verdicts, *judgement.repeats, strict=True)],
    }
    made: Document = plain(document)
    return made


def comparison_document(comparison: HeadToHead) -> Document:
    """The judge, both sides, the totals, and every common item in a's order."""
    sides = {
        name: {"path": side.label, "num_items": len(side.items)}
        for name, side in (("a", comparison.a), ("b", comparison.b))
    }
    scored = [verdict for both in comparison.verdicts for verdict in both]
    document = {
        "judge": comparison.judge,
        "by": "pairs" if comparison.pairs else "scores",
        **sides,
        "num_common": len(comparison.matches),
        "failures": failure_counts([*scored, *comparison.preferences]),
        "scores": comparison.scores,
        "pairs": comparison.pairs,
        "items": _scored(comparison) if comparison.scores else _compared(comparison),
    }
    made: Document = plain(document)
    return made


def _verdict(verdicts: Sequence[Verdict]) -> Document:
    first = verdicts[0]
    row: Document = {"index": first.index, "status": first.status, "score": first.score, "reason": first.reason}
    if len(verdicts) > 1:
        row["scores"] = [verdict.score for verdict in verdicts]
    return row


def _scored(comparison: HeadToHead) -> list[Document]:
    return [
        {
            "index": a.index,
            "index_b": b.index,
            "score_a": one.score,
            "score_b": other.score,
            "difference": None if one.score is None or other.score is None else other.score - one.score,
            "status_a": one.status,
            "status_b": other.status,
        }
        for (a, b), (one, other) in zip(comparison.matches, comparison.verdicts, strict=True)
    ]


def _compared(comparison: HeadToHead) -> list[Document]:
    return [
        {
            "index": a.index,
            "index_b": b.index,
            "status": outcome.status,
            "winner": outcome.winner,
            "is_consistent": outcome.is_consistent,
            "reason": outcome.reason,
        }
        for (a, b), outcome in zip(comparison.matches, comparison.outcomes, strict=True)
    ]
