"""A comparison as one self-contained page: verdict, forest plot, arms, curves, flipped items, tokens, set-up."""

from sftframe.comparison.report.curves import ArmCurves, read_arm_curves
from sftframe.comparison.report.page import PageInput, comparison_page

__all__ = ["ArmCurves", "PageInput", "comparison_page", "read_arm_curves"]
