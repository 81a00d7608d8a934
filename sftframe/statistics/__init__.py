"""Statistics of comparisons: whether two arms differ by more than chance, over items and seeds.

Pure functions of scores by arm, seed and item; the caller reads runs, files, judges and yardsticks.

    compare_arms(scores)            every arm against the baseline: interval, p, verdict, what would settle it
    minimum_detectable_difference   before the first run, from a pilot or a given standard deviation
    judge_variance(repeats)         noise of a judge, from grading the same answers again

The method and its measured calibration are in `docs/statistics.md`.

Shapes: S seeds, I items.
"""

from sftframe.statistics.comparison import compare_arms
from sftframe.statistics.crossed import confidence_interval, equivalence_p_value, p_value, variance_components
from sftframe.statistics.judging import judge_variance
from sftframe.statistics.multiplicity import holm
from sftframe.statistics.pairing import ArmScores, PairedDifferences, Scores, pair_up
from sftframe.statistics.planning import minimum_detectable_difference, needed_to_settle
from sftframe.statistics.results import (
    ArmSummary,
    Comparison,
    ComparisonTable,
    Direction,
    Interval,
    Needed,
    SignFlip,
    VarianceComponents,
    VerdictKind,
)
from sftframe.statistics.sign_flip import sign_flip

__all__ = [
    "ArmScores",
    "ArmSummary",
    "Comparison",
    "ComparisonTable",
    "Direction",
    "Interval",
    "Needed",
    "PairedDifferences",
    "Scores",
    "SignFlip",
    "VarianceComponents",
    "VerdictKind",
    "compare_arms",
    "confidence_interval",
    "equivalence_p_value",
    "holm",
    "judge_variance",
    "minimum_detectable_difference",
    "needed_to_settle",
    "p_value",
    "pair_up",
    "sign_flip",
    "variance_components",
]
