"""A judge's mean, corrected by people's labels, with how judge and people agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sftframe.analysis.agreement import Agreement, LabelledAnswer, agreement
from sftframe.analysis.label_files import AnsweredArms, MatchedLabels, PeopleLabels, match_labels
from sftframe.analysis.labels import FEW_LABELS, Corrected, corrected, labelled_scores
from sftframe.errors import DataError
from sftframe.records import JudgeItem

JudgeScores = Mapping[str, Mapping[int, Mapping[int, float | None]]]
"""Arm to seed to item to the judge's score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedMean:
    """What people's labels say of one set of answers that a judge scored."""

    mean: Corrected
    agreement: Agreement
    notes: tuple[str, ...]
    """What was left out or is rough, one line each."""


def correct_mean(
    items: Sequence[JudgeItem],
    scores: Mapping[int, float | None],
    labels: PeopleLabels,
    *,
    name: str = "the answers",
    groups: Mapping[int, str] | None = None,
) -> CorrectedMean:
    """The mean of a judge's scores, corrected.

    Args:
        scores: by item; None = the judge gave none, and the item is left out.
        name: of the answers, for messages.
        groups: by item its group; items of one group are one unit.

    Raises:
        DataError: the labels are of other answers, or too few.
    """
    only = 0
    arms = {name: {only: items}}
    matched = match_labels(labels, arms)
    known = {item.index: score for item in items if (score := scores.get(item.index)) is not None}
    if not known:
        raise DataError(f"{name}: the judge gave no scores, so there is nothing to correct")
    found = labelled_scores({only: known}, matched.scores[name], design=matched.design, groups=groups)
    mean = corrected(found)
    return CorrectedMean(
        mean=mean,
        agreement=agreement_of(matched, arms, {name: {only: scores}}, groups),
        notes=(*matched.notes, *few_labels(mean.num_labels)),
    )


def agreement_of(
    matched: MatchedLabels, arms: AnsweredArms, scores: JudgeScores, groups: Mapping[int, str] | None = None
) -> Agreement:
    """How judge and people agree on all answers that have both a score and a label."""
    labels = matched.labels
    return agreement(
        list(_labelled_answers(matched, arms, scores)),
        is_binary=labels.is_binary,
        num_people=labels.num_people,
        num_twice=labels.num_twice,
        alpha=labels.alpha,
        groups=groups,
    )


def _labelled_answers(matched: MatchedLabels, arms: AnsweredArms, scores: JudgeScores) -> Iterator[LabelledAnswer]:
    for arm, runs in arms.items():
        for seed, items in runs.items():
            for item in items:
                label, score = matched.scores[arm][seed].get(item.index), scores[arm][seed].get(item.index)
                if label is not None and score is not None:
                    yield LabelledAnswer(arm=arm, index=item.index, length=len(item.answer), judge=score, people=label)


def few_labels(number: int) -> list[str]:
    """A note if the interval is rough."""
    if number >= FEW_LABELS:
        return []
    return [f"only {number} items have labels: the interval is wide, and rough below {FEW_LABELS}; label more"]
