"""The sign-flip test against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sftframe.analysis.intervals import sign_flip


def test_differences_of_one_sign_are_matched_by_two_of_all_patterns(paired):
    found = sign_flip(paired([[1, 2, 3, 4]] * 3))
    assert (found.items, found.seeds) == (2 / 16, 2 / 8)


def test_patterns_that_reach_the_same_sum_count(paired):
    # 3 + 2 - 1 = 4; sums of all eight patterns: ±6, ±4, ±2, 0 twice: four of them are as far from zero as 4
    assert sign_flip(paired([[3, 2, -1]])).items == 4 / 8


def test_ties_carry_no_information(paired):
    assert sign_flip(paired([[0, 0, 0, 1, 2, 3, 4]])).items == 2 / 16


@pytest.mark.parametrize("rows", [[[0, 0, 0]], [[5, 0, 0]], [[1, -1, 2, -2]]])
def test_identical_arms_a_single_difference_and_balanced_ones_have_p_one(paired, rows):
    assert sign_flip(paired(rows)).items == 1.0


def test_one_seed_has_no_p_over_seeds(paired):
    assert sign_flip(paired([[1, 2, 3]])).seeds is None


def test_many_items_get_random_patterns_and_the_same_p_for_the_same_seed(paired):
    pair = paired([np.random.default_rng(3).normal(0.1, 1, 200)])
    assert sign_flip(pair, seed=1) == sign_flip(pair, seed=1)
    assert sign_flip(pair, seed=1).items == pytest.approx(sign_flip(pair, seed=2).items, abs=0.03)


def test_no_p_from_random_patterns_is_zero(paired):
    assert sign_flip(paired([[1.0] * 100])).items == pytest.approx(2 / 10_000)


def test_random_patterns_agree_with_all_of_them(paired):
    # 16 equal differences of which 4 are negative: P(|8 - heads| >= 4) = 2 * (1 + 16 + 120 + 560 + 1820) / 65536
    pair = paired([[1.5] * 12 + [-1.5] * 4])
    assert sign_flip(pair).items == pytest.approx(2 * 2517 / 65536, abs=0.008)


def test_many_items_have_the_p_of_a_normal_sum(paired):
    # 20,001 differences of size 1 whose sum is 277 = 1.9586 standard deviations
    pair = paired([[1.0] * 10_139 + [-1.0] * 9_862])
    assert sign_flip(pair).items == pytest.approx(0.0502, abs=0.008)
