"""Intervals, p-values and variance components against hand calculation and scipy's tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sftframe.analysis.intervals import (
    confidence_interval,
    equivalence_p_value,
    half_width,
    p_value,
    spread,
    variance_components,
)
from sftframe.analysis.pairs import PairedDifferences

ITEMS = [3.0, -1.0, 4.0, 1.5, -0.5, 9.0, 2.5]
T_1, T_9 = 12.7062047364, 2.2621571628
"""97.5 % points of Student's t with 1 and 9 degrees of freedom, from its tables."""


def test_one_seed_gives_students_interval_and_p_over_the_items(paired):
    pair, reference = paired([ITEMS]), stats.ttest_1samp(ITEMS, 0)
    interval, expected = confidence_interval(pair), reference.confidence_interval(0.95)
    assert interval is not None
    assert interval.covers == "items"
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert p_value(pair) == pytest.approx(reference.pvalue)


def test_one_item_gives_students_interval_and_p_over_the_seeds(paired):
    pair, reference = paired([[x] for x in ITEMS]), stats.ttest_1samp(ITEMS, 0)
    interval, expected = confidence_interval(pair), reference.confidence_interval(0.95)
    assert interval is not None
    assert interval.covers == "seeds"
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert p_value(pair) == pytest.approx(reference.pvalue)


def test_equivalence_is_the_larger_p_of_two_one_sided_t_tests(paired):
    for margin in (1.0, 4.0, 8.0):
        above = stats.ttest_1samp(ITEMS, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(ITEMS, margin, alternative="less").pvalue
        assert equivalence_p_value(paired([ITEMS]), margin) == pytest.approx(max(above, below))


def test_one_item_and_one_seed_give_no_interval_and_no_p(paired):
    pair = paired([[3.0]])
    assert (confidence_interval(pair), p_value(pair), equivalence_p_value(pair, 1.0)) == (None, None, None)


def test_variance_without_interaction_is_split_between_seed_and_item(paired):
    # seed means 2 and 6, item means 3 and 5: mean squares 16, 4 and 0
    found = variance_components(paired([[1, 3], [5, 7]]))
    assert (found.seed, found.item, found.residual) == (8.0, 2.0, 0.0)


def test_interaction_is_taken_out_of_seed_and_item(paired):
    # the same means with +1 -1 -1 +1 added: residual mean square 4
    found = variance_components(paired([[2, 2], [4, 8]]), judge_variance=0.5)
    assert (found.seed, found.item, found.residual, found.judge) == (6.0, 0.0, 4.0, 1.0)
    assert found.shares == {"seed": 0.6, "item": 0.0, "judge": 0.1, "other": pytest.approx(0.3)}


def test_a_negative_estimate_of_a_variance_is_zero(paired):
    # all means are 0, all variation is interaction
    found = variance_components(paired([[1, -1], [-1, 1]]))
    assert (found.seed, found.item, found.residual) == (0.0, 0.0, 4.0)


def test_one_seed_leaves_seed_variance_unknown_not_zero(paired):
    found = variance_components(paired([[1, 3]]), judge_variance=0.5)
    assert (found.seed, found.item, found.residual) == (None, 2.0, 0.0)
    assert found.shares == {"item": 0.5, "judge": 0.5, "other": 0.0}


def test_a_judge_noisier_than_all_that_is_left_takes_no_more_than_that(paired):
    assert sum(variance_components(paired([[2, 2], [4, 8]]), judge_variance=1e6).shares.values()) == pytest.approx(1)


def test_no_variance_has_no_shares(paired):
    assert variance_components(paired([[2, 2], [2, 2]])).shares == {}


def test_the_variance_of_the_mean_is_that_of_simulated_means():
    rng = np.random.default_rng(1)
    seed, item, rest = (
        rng.normal(0, 1, (40_000, 3, 1)),
        rng.normal(0, 2, (40_000, 1, 8)),
        rng.normal(0, 3, (40_000, 3, 8)),
    )
    found = spread(seed + item + rest, is_adjusted=False)
    unbiased = (found.seed + found.item - found.residual).mean()
    assert unbiased == pytest.approx(1 / 3 + 4 / 8 + 9 / 24, rel=0.02)


def test_the_squares_of_the_parts_half_widths_add(paired):
    # seed part: standard error 2, item part: 1, nothing in common, one degree of freedom each
    interval = confidence_interval(paired([[1, 3], [5, 7]]))
    assert interval is not None
    assert interval.high - 4 == pytest.approx(T_1 * math.sqrt(2**2 + 1**2))
    assert interval.covers == "items and seeds"


def test_rare_differences_are_widened_by_those_that_did_not_happen(paired):
    # one item of ten differs by 1: squares 0.9, and 2 x 0.9 unseen ones: (0.9 + 1.8) / (10 x (9 + 1.8)) = 0.025
    interval = confidence_interval(paired([[1.0] + [0.0] * 9]))
    assert interval is not None
    assert interval.high - 0.1 == pytest.approx(T_9 * math.sqrt(0.025))


def test_all_tied_scores_have_the_width_of_two_unseen_differences_where_their_range_is_known(paired):
    pair = paired([[0.0] * 10])
    interval = confidence_interval(pair, score_range=100.0)
    assert interval is not None
    assert interval.high == pytest.approx(T_9 * math.sqrt(2 * 100**2 / 110))
    assert p_value(pair, score_range=100.0) == 1.0


def test_all_tied_scores_of_unknown_range_have_no_interval(paired):
    assert confidence_interval(paired([[0.0] * 10] * 3)) is None
    assert p_value(paired([[0.0] * 10] * 3)) == 1.0


def test_the_same_difference_everywhere_is_surer_the_more_items_show_it(paired):
    # standard error 2 x sqrt(2 / (n x (n + 1))): Student's t is sqrt(n x (n + 1) / 2), 1.73 for two and 7.42 for ten
    few, many = p_value(paired([[2.0] * 2])), p_value(paired([[2.0] * 10]))
    assert few == pytest.approx(2 * stats.t.sf(3**0.5, 1))
    assert many == pytest.approx(2 * stats.t.sf(55**0.5, 9))


def test_arms_that_differ_by_more_than_any_chance_have_p_zero(paired):
    assert p_value(paired([[1.0, 1.0 + 1e-9] * 50])) == 0.0


def test_more_ties_than_none_do_not_change_continuous_scores(paired):
    values = np.array([ITEMS, ITEMS[::-1]])
    assert spread(values, score_range=100.0).item == spread(values, is_adjusted=False).item


def test_many_comparisons_at_once_are_those_one_by_one():
    values = np.random.default_rng(2).normal(size=(4, 3, 6))
    values[1] = 0.0
    together = half_width(spread(values, score_range=1.0), 0.05)
    apart = [float(half_width(spread(one, score_range=1.0), 0.05)) for one in values]
    assert together.tolist() == pytest.approx(apart)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(2, 12), st.integers(0, 10_000), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_p_is_below_alpha_exactly_where_the_interval_leaves_out_zero(num_seeds, num_items, seed, level):
    rng = np.random.default_rng(seed)
    values = rng.normal(rng.normal(), 1, (num_seeds, num_items)) + rng.normal(0, 0.3, (num_seeds, 1))
    pair = PairedDifferences(values=values, weights=np.ones(num_items))
    interval, p = confidence_interval(pair, level=level), p_value(pair)
    assert interval is not None
    assert p is not None
    assert (p < 1 - level) == (interval.low > 0 or interval.high < 0)
