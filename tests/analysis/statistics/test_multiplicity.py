"""Holm's adjustment against values worked out by hand."""

from __future__ import annotations

import pytest

from sftframe.analysis.intervals import holm


def test_each_p_is_multiplied_by_the_tests_left_and_never_falls_below_the_one_before():
    # 5 x .01, 4 x .02, 3 x .03, then 2 x .04 = .08 and 1 x .05, both raised to .09
    assert holm([0.05, 0.01, 0.03, 0.02, 0.04]) == pytest.approx((0.09, 0.05, 0.09, 0.08, 0.09))


def test_one_comparison_needs_no_adjustment():
    assert holm([0.04]) == (0.04,)


def test_no_p_exceeds_one():
    assert holm([0.6, 0.7]) == (1.0, 1.0)


def test_what_was_not_tested_is_not_counted():
    assert holm([None, 0.03, None, 0.02]) == (None, 0.04, None, 0.04)


def test_nothing_to_adjust_is_nothing():
    assert holm([]) == ()
