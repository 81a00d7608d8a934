"""Comparisons of finished runs: on the same items, pair by pair, with intervals over items and seeds.

Intervals and p-values come from `sftframe.statistics`, runs from the pipeline.
"""

from sftframe.comparison.answers import arms_of_answers
from sftframe.comparison.documents import comparison_csv, comparison_document, comparison_markdown
from sftframe.comparison.flips import FlippedItem, flipped_items
from sftframe.comparison.result import ComparisonResult, compare
from sftframe.comparison.runs import ComparedArm, FinishedRun, check_comparable, group_into_arms, read_run
from sftframe.comparison.tables import (
    AxisLevels,
    AxisTable,
    YardstickTable,
    axis_levels,
    compare_levels,
    compare_on_all_yardsticks,
)
from sftframe.comparison.yardsticks import YARDSTICKS, Yardstick, find_yardstick

__all__ = [
    "YARDSTICKS",
    "AxisLevels",
    "AxisTable",
    "ComparedArm",
    "ComparisonResult",
    "FinishedRun",
    "FlippedItem",
    "Yardstick",
    "YardstickTable",
    "arms_of_answers",
    "axis_levels",
    "check_comparable",
    "compare",
    "compare_levels",
    "compare_on_all_yardsticks",
    "comparison_csv",
    "comparison_document",
    "comparison_markdown",
    "find_yardstick",
    "flipped_items",
    "group_into_arms",
    "read_run",
]
