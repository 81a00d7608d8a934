"""Which scores are compared, and what is said when none can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sftframe.analysis.pairs import PairedDifferences, common_scores, differences, linearised
from sftframe.errors import ConfigError, DataError


def pair_up(baseline: Any, candidate: Any, weights: Any = None) -> PairedDifferences:
    return differences(common_scores({"baseline": baseline, "candidate": candidate}, weights), 0, 1)


def test_differences_are_candidate_minus_baseline_by_seed_and_item():
    found = pair_up({7: {0: 1.0, 1: 2.0}, 8: {0: 3.0, 1: 4.0}}, {8: {1: 40.0, 0: 30.0}, 7: {1: 20.0, 0: 10.0}})
    assert found.values.tolist() == [[9.0, 18.0], [27.0, 36.0]]
    assert found.mean == 22.5


@pytest.mark.parametrize("missing", [{0: 5.0}, {0: 5.0, 1: None}, {0: 5.0, 1: float("nan")}])
def test_an_item_without_a_score_in_one_arm_and_seed_is_dropped_everywhere_and_counted(missing):
    whole = {0: 1.0, 1: 2.0}
    found = common_scores({"a": {1: whole, 2: whole}, "b": {1: whole, 2: missing}})
    assert found.items == (0,)
    assert found.values.tolist() == [[[1.0], [1.0]], [[1.0], [5.0]]]
    assert (found.num_dropped_items, found.num_missing_items) == (1, (0, 1))


def test_a_seed_that_one_arm_lacks_is_dropped_and_counted_but_its_items_are_not():
    found = common_scores({"a": {1: {0: 1.0}, 2: {0: 2.0, 9: 3.0}}, "b": {1: {0: 4.0}}})
    assert (found.seeds, found.num_dropped_seeds, found.items, found.num_dropped_items) == ((1,), 1, (0,), 0)


def test_a_score_of_zero_is_a_score():
    assert pair_up({1: {0: 0.0}}, {1: {0: 0.0}}).values.tolist() == [[0.0]]


def test_a_ratio_is_the_sum_of_numerators_over_the_sum_of_weights():
    found = pair_up({1: {0: 4.0, 1: 6.0}}, {1: {0: 6.0, 1: 6.0}}, weights={0: 1.0, 1: 3.0})
    assert found.mean == pytest.approx(12 / 4 - 10 / 4)


def test_a_ratios_linearisation_takes_the_ratio_times_the_excess_weight_from_each_item():
    found = pair_up({1: {0: 0.0, 1: 0.0}}, {1: {0: 2.0, 1: 0.0}}, weights={0: 1.0, 1: 3.0})
    # 2 nats over a mean of 2 bytes; ratio 0.5; weights 0.5 and 1.5: 1 + 0.25 and 0 - 0.25
    assert found.influence.tolist() == [[1.25, -0.25]]


def test_linearisation_changes_nothing_where_all_weights_are_one():
    values = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert linearised(values, np.ones(2)).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("scores", "error", "words"),
    [
        ({"a": {1: {0: 1.0}}}, ConfigError, "at least two arms, got 1"),
        ({"a": {1: {0: 1.0}}, "b": {2: {0: 1.0}}}, DataError, "a and b have no seed in common"),
        ({"a": {}, "b": {}}, DataError, "no seed in common"),
        ({"a": {1: {0: 1.0}}, "b": {1: {5: 1.0}}}, DataError, "no scored item in common"),
        ({"a": {1: {0: 1.0}}, "b": {1: {0: float("nan")}}}, DataError, "no scored item in common"),
        ({"a": {1: {0: 1.0}}, "b": {1: {0: float("-inf")}}}, DataError, "b, seed 1: the score of item 0 is infinite"),
    ],
)
def test_what_cannot_be_paired_is_refused(scores, error, words):
    with pytest.raises(error, match=words):
        common_scores(scores)


@pytest.mark.parametrize("weights", [{}, {0: 0.0}, {0: -1.0}, {0: float("nan")}, {0: float("inf")}])
def test_a_ratio_needs_a_positive_weight_for_each_item(weights):
    with pytest.raises(DataError, match="the weight of item 0 is"):
        pair_up({1: {0: 1.0}}, {1: {0: 1.0}}, weights=weights)
