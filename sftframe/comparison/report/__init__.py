"""A comparison as one self-contained page: verdict, forest plot, arms, curves, flipped items, tokens, set-up.

Takes a `ComparisonResult` and what else is known of its runs, gives HTML. matplotlib and jinja2 are imported when a
page is made.
"""

from sftframe.comparison.report.curves import ArmCurves, read_arm_curves
from sftframe.comparison.report.page import PageInput, comparison_page

__all__ = ["ArmCurves", "PageInput", "comparison_page", "read_arm_curves"]
