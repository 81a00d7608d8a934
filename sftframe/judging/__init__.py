"""Judging: every answered example gets a verdict from a judge, every pair of answers a preference.

The judge's contract is checked, so that no verdict gets to another item and no failed item is left out silently.
Nothing here imports torch, so that judging a file starts at once.
"""

from sftframe.judging.asking import Judgement, Judging
from sftframe.judging.cautions import caution_of
from sftframe.judging.files import (
    HeadToHead,
    choose_judge,
    compare_answers,
    comparison_document,
    families_note,
    is_answer_file,
    judge_behind,
    judge_file,
    judge_items,
    judgement_document,
    read_answered_file,
)
from sftframe.judging.pairs import PairSummary
from sftframe.judging.scoring import ScoreDifference, failure_counts, make_items, summarise

__all__ = [
    "HeadToHead",
    "Judgement",
    "Judging",
    "PairSummary",
    "ScoreDifference",
    "caution_of",
    "choose_judge",
    "compare_answers",
    "comparison_document",
    "failure_counts",
    "families_note",
    "is_answer_file",
    "judge_behind",
    "judge_file",
    "judge_items",
    "judgement_document",
    "make_items",
    "read_answered_file",
    "summarise",
]
