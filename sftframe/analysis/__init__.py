"""Comparisons of finished runs: on the same items, pair by pair, with intervals over items and seeds.

    compare_arms(scores)            every arm against the baseline: interval, p, verdict, what would settle it
    minimum_detectable_difference   before the first run, from a pilot or a given standard deviation
    judge_variance(repeats)         noise of a judge, from grading the same answers again
    correct_mean(items, scores, …)  a judge's mean, corrected by people's labels of some of the answers
    with_labels(result, labels)     a comparison, corrected by them

The statistics are pure functions of scores by arm, seed and item. The method and its measured calibration are in
`docs/explanation/calibration.md`. Shapes: S seeds, I items.
"""

from sftframe.analysis.agreement import Agreement, Bias
from sftframe.analysis.compare import (
    AxisTable,
    ComparisonResult,
    FlippedItem,
    PeopleFindings,
    YardstickTable,
    arms_of_answers,
    compare,
)
from sftframe.analysis.corrections import CorrectedMean, correct_mean
from sftframe.analysis.intervals import judge_variance, sign_flip_p
from sftframe.analysis.label_files import (
    DrawnItem,
    PeopleLabels,
    draw_items,
    labels_csv,
    read_labels,
    read_scale,
    rescaled_csv,
)
from sftframe.analysis.labelled_comparison import draw_for_labels, with_labels
from sftframe.analysis.labels import LEAST_LABELS, Corrected
from sftframe.analysis.looks import LookedAt, Looks, TakenLook
from sftframe.analysis.pairs import Comparison, ComparisonTable, Interval, VarianceComponents
from sftframe.analysis.planning import minimum_detectable_difference
from sftframe.analysis.runs import ComparedArm, group_into_arms
from sftframe.analysis.sentence import MAX_FULL
from sftframe.analysis.verdicts import compare_arms
from sftframe.analysis.yardsticks import COMPARED, YARDSTICKS, Measured, Yardstick, find_yardstick, measure

__all__ = [
    "COMPARED",
    "LEAST_LABELS",
    "MAX_FULL",
    "YARDSTICKS",
    "Agreement",
    "AxisTable",
    "Bias",
    "ComparedArm",
    "Comparison",
    "ComparisonResult",
    "ComparisonTable",
    "Corrected",
    "CorrectedMean",
    "DrawnItem",
    "FlippedItem",
    "Interval",
    "LookedAt",
    "Looks",
    "Measured",
    "PeopleFindings",
    "PeopleLabels",
    "TakenLook",
    "VarianceComponents",
    "Yardstick",
    "YardstickTable",
    "arms_of_answers",
    "compare",
    "compare_arms",
    "correct_mean",
    "draw_for_labels",
    "draw_items",
    "find_yardstick",
    "group_into_arms",
    "judge_variance",
    "labels_csv",
    "measure",
    "minimum_detectable_difference",
    "read_labels",
    "read_scale",
    "rescaled_csv",
    "sign_flip_p",
    "with_labels",
]
