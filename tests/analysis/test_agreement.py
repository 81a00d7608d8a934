"""Judge against people: agreement, bias by arm and by length."""

from __future__ import annotations

import pytest

from sftframe.analysis.agreement import LabelledAnswer, agreement


def answers(judge, people, lengths=None, arms=None):
    return [
        LabelledAnswer(
            arm=arms[place] if arms else "A",
            index=place,
            length=lengths[place] if lengths else 9,
            judge=one,
            people=other,
        )
        for place, (one, other) in enumerate(zip(judge, people, strict=True))
    ]


def test_correlations_of_known_numbers():
    """scipy.stats: pearsonr 0.8 and spearmanr 0.8 of these ranks."""
    ranks = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    other = [2, 1, 4, 3, 6, 5, 8, 7, 10, 9]
    found = agreement(answers(ranks, other), is_binary=False)
    assert found.pearson == found.spearman == pytest.approx(1 - 6 * 10 / 990)  # Spearman's formula, all differ by one
    assert found.accuracy is None
    cubes = agreement(answers([rank**3 / 10 for rank in ranks], other), is_binary=False)
    assert cubes.spearman == found.spearman
    assert cubes.pearson != found.pearson


def test_the_share_of_equal_judgements_of_right_and_wrong():
    judge = [0, 49, 50, 100] * 5
    people = [0, 0, 100, 0] * 5
    assert agreement(answers(judge, people), is_binary=True).accuracy == 0.75


def test_no_correlation_without_variation_or_with_few_answers():
    assert agreement(answers([5] * 20, [0, 100] * 10), is_binary=True).pearson is None
    assert agreement(answers([1, 2, 3], [1, 2, 3]), is_binary=False).spearman is None


def test_the_bias_of_each_arm_has_its_interval():
    found = agreement(answers([50, 60, 20, 30], [60, 80, 10, 10], arms=list("AABB")), is_binary=False)
    one, other = found.arms
    assert (one.name, one.judge, one.people, one.difference) == ("A", 55, 70, -15)
    assert (other.name, other.difference) == ("B", 15)
    # differences -10 and -20: 15 +- 12.706 * 5
    assert (one.low, one.high) == pytest.approx((-15 - 63.53, -15 + 63.53), abs=0.01)


def test_answers_of_one_item_are_one_unit():
    twice = [
        LabelledAnswer(arm="A", index=index // 2, length=9, judge=50, people=50 + 10 * (index // 2))
        for index in range(8)
    ]
    found = agreement(twice, is_binary=False).arms[0]
    once = agreement(answers([50] * 4, [50, 60, 70, 80]), is_binary=False).arms[0]
    assert (found.low, found.high) == pytest.approx((once.low, once.high))


def test_a_judge_of_length_is_found_out():
    lengths = [10, 20, 40, 80] * 15
    judge = [20.0 + 10 * (place % 4) for place in range(60)]
    found = agreement(answers(judge, [40.0, 41.0] * 30, lengths), is_binary=False)
    assert found.length_slope == pytest.approx(10, abs=0.5)
    assert found.length_slope_ci95 is not None
    assert 9 < found.length_slope_ci95[0] < found.length_slope_ci95[1] < 11
    assert [part.num_answers for part in found.lengths] == [30, 15, 15]
    assert [part.name for part in found.lengths] == [
        "10 to 20 characters",
        "40 characters",
        "80 characters",
    ]
    assert [part.difference for part in found.lengths] == pytest.approx([-15.5, 0, 9])


def test_lengths_that_hardly_differ_are_no_subject():
    found = agreement(answers([1.0, 2.0] * 20, [3.0] * 40, [30, 40] * 20), is_binary=False)
    assert found.length_slope is None
    assert agreement(answers([1.0, 2.0] * 20, [3.0] * 40), is_binary=False).lengths == ()
