"""Judging: answered examples go to a judge, and every one of them comes back with a verdict; pairs, with a preference.

Holds the judge to its contract, so that no list is ever shifted by one and no failed item left out in silence. Knows
the `Judge` interface and the records; it does not know which judges there are, and writes nothing: each verdict is
handed on as it comes.
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
