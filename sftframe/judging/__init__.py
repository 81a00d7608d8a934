"""Judging of answers from runs and files, with the verdict cache and repeats, and comparison of two sets of answers.

Nothing here imports torch, so that judging a file starts at once.
"""

from sftframe.judging.answered import AnsweredItems, asked_again, is_answer_file, read_answered_file, read_answered_run
from sftframe.judging.asking import Judgement, Judging
from sftframe.judging.documents import comparison_document, judgement_document
from sftframe.judging.files import choose_judge, judge_file, judge_items
from sftframe.judging.head_to_head import HeadToHead, compare_answers, compare_items, read_side

__all__ = [
    "AnsweredItems",
    "HeadToHead",
    "Judgement",
    "Judging",
    "asked_again",
    "choose_judge",
    "compare_answers",
    "compare_items",
    "comparison_document",
    "is_answer_file",
    "judge_file",
    "judge_items",
    "judgement_document",
    "read_answered_file",
    "read_answered_run",
    "read_side",
]
