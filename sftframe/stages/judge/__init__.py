"""Judging: every answered example gets a verdict from a judge, every pair of answers a preference.

The judge's contract is checked, so that no verdict gets to another item and no failed item is left out silently.
Nothing is written here: the caller gets each verdict as soon as it arrives.
"""

from sftframe.stages.judge.contract import is_score
from sftframe.stages.judge.failures import check_failures, failure_counts, failure_share
from sftframe.stages.judge.items import judge_item, make_items, match_items
from sftframe.stages.judge.pairs import (
    PairOutcome,
    PairSummary,
    combine,
    differing,
    make_pairs,
    mirrored,
    summarise_pairs,
)
from sftframe.stages.judge.repeats import JudgeNoise, measure_noise
from sftframe.stages.judge.scoring import judge_pairs, judge_responses
from sftframe.stages.judge.summary import ScoreDifference, paired_difference, summarise

__all__ = [
    "JudgeNoise",
    "PairOutcome",
    "PairSummary",
    "ScoreDifference",
    "check_failures",
    "combine",
    "differing",
    "failure_counts",
    "failure_share",
    "is_score",
    "judge_item",
    "judge_pairs",
    "judge_responses",
    "make_items",
    "make_pairs",
    "match_items",
    "measure_noise",
    "mirrored",
    "paired_difference",
    "summarise",
    "summarise_pairs",
]
