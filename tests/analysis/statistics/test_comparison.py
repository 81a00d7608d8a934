"""Verdicts on arms with a planted difference, and what is said where little can be known."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from sftframe.analysis.verdicts import compare_arms
from sftframe.errors import ConfigError, DataError


def test_a_planted_difference_is_found_within_its_interval(planted):
    table = compare_arms(planted({"plain": 0.0, "masked": 4.0}), unit="points")
    found = table.comparisons[0]
    assert (found.baseline, found.candidate, found.verdict) == ("plain", "masked", "better")
    assert found.interval is not None
    assert found.interval.low < 4 < found.interval.high
    assert found.explanation.startswith("masked is better than plain (+")
    assert found.needed is None


def test_the_same_scores_are_worse_where_low_is_good_and_different_where_nothing_is(planted):
    scores = planted({"a": 0.0, "b": 4.0})
    verdicts = [compare_arms(scores, direction=direction).comparisons[0].verdict for direction in ("lower", "none")]
    assert verdicts == ["worse", "different"]


def test_items_are_counted_by_whom_they_favour():
    scores = {"a": {0: {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}}, "b": {0: {0: 2.0, 1: 2.0, 2: 0.0, 3: 1.0}}}
    higher, lower = (compare_arms(scores, direction=direction).comparisons[0] for direction in ("higher", "lower"))
    assert (higher.num_better, higher.num_worse, higher.num_tied) == (2, 1, 1)
    assert (lower.num_better, lower.num_worse, lower.num_tied) == (1, 2, 1)


def test_a_difference_within_the_margin_is_equivalent_even_if_it_is_not_zero(planted):
    found = compare_arms(planted({"a": 0.0, "b": 2.0}), margin=5.0).comparisons[0]
    assert found.p_value is not None
    assert found.p_value < 0.05
    assert found.verdict == "equivalent"
    assert "equivalent within ±5" in found.explanation


def test_without_a_margin_nothing_is_equivalent(planted):
    found = compare_arms(planted({"a": 0.0, "b": 0.0})).comparisons[0]
    assert (found.verdict, found.p_equivalence) == ("cannot tell", None)


def test_what_cannot_be_told_says_how_much_more_would_settle_it(planted):
    found = compare_arms(planted({"a": 0.0, "b": 2.5}, num_items=30)).comparisons[0]
    assert found.verdict == "cannot tell"
    assert found.needed is not None
    assert found.needed.items is not None
    assert f"About {found.needed.items} more items" in found.explanation
    assert "with a chance of 80%" in found.explanation


def test_as_many_more_items_as_were_asked_for_do_settle_it(planted):
    before = compare_arms(planted({"a": 0.0, "b": 2.5}, num_items=30)).comparisons[0]
    assert before.needed is not None
    after = compare_arms(planted({"a": 0.0, "b": 2.5}, num_items=30 + (before.needed.items or 0))).comparisons[0]
    assert after.verdict == "better"


def test_one_seed_speaks_of_items_only_and_says_so(planted):
    found = compare_arms(planted({"a": 0.0, "b": 9.0}, num_seeds=1)).comparisons[0]
    assert found.interval is not None
    assert found.interval.covers == "items"
    assert found.components.seed is None
    assert found.sign_flip.seeds is None
    assert "how much another seed would change it is unknown" in found.explanation


def test_two_seeds_that_disagree_cannot_tell_however_many_items_there_are():
    first, second = dict.fromkeys(range(500), 10.0), dict.fromkeys(range(500), 2.0)
    scores = {"a": {1: dict.fromkeys(range(500), 0.0), 2: dict.fromkeys(range(500), 0.0)}, "b": {1: first, 2: second}}
    found = compare_arms(scores).comparisons[0]
    assert found.verdict == "cannot tell"
    assert found.needed is not None
    assert found.needed.items is None
    assert found.needed.seeds is not None
    assert found.components.shares == {"seed": 1.0, "item": 0.0, "other": 0.0}


def test_identical_arms_are_equivalent_only_as_far_as_so_many_items_can_show():
    few, many = ({"a": {0: dict.fromkeys(range(n), 70.0)}, "b": {0: dict.fromkeys(range(n), 70.0)}} for n in (10, 300))
    verdicts = [compare_arms(s, margin=3.0, score_range=100.0).comparisons[0].verdict for s in (few, many)]
    assert verdicts == ["cannot tell", "equivalent"]


def test_identical_arms_of_unknown_range_are_equivalent_if_asked_and_else_open():
    scores = {arm: {0: {0: 1.0, 1: 2.0}, 1: {0: 3.0, 1: 2.0}} for arm in "ab"}
    asked, not_asked = compare_arms(scores, margin=0.1), compare_arms(scores)
    assert asked.comparisons[0].verdict == "equivalent"
    assert not_asked.comparisons[0].verdict == "cannot tell"
    assert "say which difference matters" in not_asked.comparisons[0].explanation


def test_one_item_speaks_of_seeds_only():
    scores = {"a": {s: {0: 50.0} for s in range(3)}, "b": {0: {0: 60.0}, 1: {0: 61.0}, 2: {0: 59.0}}}
    found = compare_arms(scores).comparisons[0]
    assert found.interval is not None
    assert (found.interval.covers, found.verdict, found.minimum_detectable) == ("seeds", "better", None)
    assert "this speaks of other seeds only" in found.explanation


def test_one_item_that_cannot_tell_makes_no_plan():
    scores = {"a": {s: {0: 50.0} for s in range(3)}, "b": {0: {0: 60.0}, 1: {0: 41.0}, 2: {0: 59.0}}}
    found = compare_arms(scores).comparisons[0]
    assert (found.verdict, found.needed) == ("cannot tell", None)
    assert "would settle" not in found.explanation


def test_one_item_and_one_seed_tell_nothing():
    found = compare_arms({"a": {0: {0: 50.0}}, "b": {0: {0: 90.0}}}, margin=1.0).comparisons[0]
    assert (found.difference, found.interval, found.p_value, found.verdict) == (40.0, None, None, "cannot tell")
    assert "nothing can be said about chance" in found.explanation


def test_p_is_adjusted_for_the_number_of_arms_and_the_verdict_goes_by_it(planted):
    scores = planted({"a": 0.0, "b": 2.0})
    alone = compare_arms(scores).comparisons[0]
    among = compare_arms(scores | {f"copy of a {i}": scores["a"] for i in range(9)})
    assert alone.p_value is not None
    assert among.comparisons[0].p_holm == pytest.approx(10 * alone.p_value)


def test_a_difference_that_counts_only_alone_says_so():
    # p 0.016 alone, 0.05 or more with Holm among four
    rows = {"a": [0.0] * 6, "b": [1.0, 2.0, 3.0, 1.0, 2.0, -0.5]}
    scores = {name: {0: dict(enumerate(values))} for name, values in rows.items()}
    scores |= {f"copy of a {i}": scores["a"] for i in range(3)}
    found = compare_arms(scores, score_range=10.0).comparisons[0]
    assert found.p_value is not None
    assert found.p_value < 0.05
    assert found.verdict == "cannot tell"
    assert "Alone it would count as a difference" in found.explanation


def test_any_arm_can_be_the_baseline_and_the_sign_turns(planted):
    scores = planted({"a": 0.0, "b": 4.0})
    there, back = compare_arms(scores).comparisons[0], compare_arms(scores, baseline="b").comparisons[0]
    assert (back.baseline, back.candidate) == ("b", "a")
    assert back.difference == -there.difference
    assert back.verdict == "worse"


def test_every_figure_is_on_the_items_that_all_arms_have(planted):
    scores = planted({"a": 0.0, "b": 0.0, "c": 0.0}, num_seeds=2, num_items=20)
    del scores["c"][1][7]
    table = compare_arms(scores)
    assert 7 not in table.items
    assert table.num_dropped_items == 1
    assert [arm.num_missing_items for arm in table.arms] == [0, 0, 1]
    rest = [value for item, value in scores["a"][0].items() if item != 7]
    assert table.arms[0].seed_means[0] == pytest.approx(sum(rest) / 19)


def test_a_ratio_of_sums_is_compared_as_such():
    nats = {"a": {0: {0: 10.0, 1: 300.0}}, "b": {0: {0: 30.0, 1: 290.0}}}
    table = compare_arms(nats, weights={0: 10.0, 1: 290.0}, direction="lower")
    assert [arm.mean for arm in table.arms] == pytest.approx([310 / 300, 320 / 300])
    assert table.comparisons[0].difference == pytest.approx(10 / 300)


def test_the_result_goes_into_json_as_it_is(planted):
    table = compare_arms(planted({"a": 0.0, "b": 1.0, "c": 9.0}), margin=3.0, judge_variance=4.0, score_range=100.0)
    text = json.dumps(asdict(table), allow_nan=False)
    assert json.loads(text)["comparisons"][1]["verdict"] == "better"


def test_the_same_scores_give_the_same_result(planted):
    scores = planted({"a": 0.0, "b": 1.0})
    assert compare_arms(scores) == compare_arms(scores)


def test_an_unknown_baseline_is_refused_with_a_suggestion(planted):
    with pytest.raises(ConfigError, match="no arm 'plan' to compare with; did you mean 'plain'"):
        compare_arms(planted({"plain": 0.0, "masked": 0.0}), baseline="plan")


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_a_margin_that_is_no_positive_difference_is_refused(planted, margin):
    with pytest.raises(ConfigError, match="expected a positive difference"):
        compare_arms(planted({"a": 0.0, "b": 0.0}), margin=margin)


def test_arms_without_a_common_item_are_refused():
    with pytest.raises(DataError, match="a and b have no scored item in common"):
        compare_arms({"a": {0: {0: 1.0}}, "b": {0: {1: 1.0}}})
