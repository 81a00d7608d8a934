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
    found = compare_arms(planted({"a": 0.0, "b": 3.5}, num_items=30), margin=3.0).comparisons[0]
    assert found.verdict == "cannot tell"
    assert found.needed is not None
    assert found.needed.items is not None
    assert found.needed.seeds is not None
    assert found.needed.both is not None
    items, seeds = found.needed.both
    together = f"About {items} more items together with {seeds} more seeds"
    alone = f"{found.needed.items} more items or {found.needed.seeds} more seeds alone"
    assert f"{together}, or {alone}, would settle it with a chance of 80%" in found.explanation


def test_as_many_more_as_were_asked_for_do_settle_it_each_way(planted):
    before = compare_arms(planted({"a": 0.0, "b": 3.5}, num_items=30), margin=3.0).comparisons[0].needed
    assert before is not None
    ways = [(before.items or 0, 0), (0, before.seeds or 0), before.both or (0, 0)]
    for items, seeds in ways:
        scores = planted({"a": 0.0, "b": 3.5}, num_items=30 + items, num_seeds=5 + seeds)
        assert compare_arms(scores, margin=3.0).comparisons[0].verdict == "better"


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


@pytest.mark.parametrize("margin", [None, 0.1, 50.0])
def test_equal_scores_without_a_scale_show_nothing(margin):
    # two equal items say nothing about a third one: how far could it go?
    scores = {arm: {0: {0: 1.0, 1: 2.0}, 1: {0: 3.0, 1: 2.0}} for arm in "ab"}
    found = compare_arms(scores, margin=margin).comparisons[0]
    assert (found.verdict, found.interval, found.p_equivalence) == ("cannot tell", None, None)


def test_the_same_answers_with_the_same_scores_are_identical():
    scores = {arm: {0: dict(enumerate([40.0, 90.0, 5.0])), 1: dict(enumerate([30.0, 80.0, 5.0]))} for arm in "abc"}
    scores["c"][1][2] = 6.0
    table = compare_arms(scores, score_range=100.0, margin=2.0, equal_answers={"b": 1.0, "c": 1.0})
    assert next(found.verdict for found in table.comparisons) == "identical"
    assert table.comparisons[0].explanation == "b and a are identical: the same answers to all 3 items."
    assert table.comparisons[1].verdict != "identical"  # one score differs
    assert compare_arms(scores, score_range=100.0, equal_answers={"b": 0.99}).comparisons[0].verdict != "identical"


def test_equal_answers_bring_no_noise_of_the_judge():
    scores = {"a": {0: {0: 1.0, 1: 2.0, 2: 9.0}}, "b": {0: {0: 1.0, 1: 2.0, 2: 4.0}}}
    of = [
        compare_arms(scores, judge_variance=3.0, equal_answers=equal).comparisons[0].components.judge
        for equal in (None, {"b": 2 / 3})
    ]
    assert of == pytest.approx([6.0, 2.0])


def test_one_item_with_the_same_difference_in_every_seed_shows_nothing():
    scores = {"a": {s: {0: 50.0} for s in range(4)}, "b": {s: {0: 57.0} for s in range(4)}}
    found = compare_arms(scores, score_range=100.0).comparisons[0]
    assert (found.verdict, found.interval, found.p_value) == ("cannot tell", None, None)


def test_no_interval_goes_beyond_the_scale():
    scores = {"a": {0: {0: 0.0, 1: 0.0, 2: 5.0}}, "b": {0: {0: 100.0, 1: 100.0, 2: 95.0}}}
    up, down = (compare_arms(scores, score_range=100.0, baseline=name).comparisons[0].interval for name in "ab")
    assert up is not None
    assert down is not None
    assert (up.high, down.low) == (100.0, -100.0)


def test_an_equivalence_is_told_with_the_interval_that_shows_it(planted):
    found = compare_arms(planted({"a": 0.0, "b": 0.0}, num_items=400), margin=5.0, unit="points").comparisons[0]
    assert found.verdict == "equivalent"
    assert found.equivalence_interval is not None
    assert found.interval is not None
    assert found.equivalence_interval.level == pytest.approx(0.9)
    assert found.interval.low < found.equivalence_interval.low < found.equivalence_interval.high < found.interval.high
    assert -5 < found.equivalence_interval.low < found.equivalence_interval.high < 5
    assert f"90 % interval {found.equivalence_interval.low:+.3g}" in found.explanation


def test_one_seed_speaks_of_the_answers(planted):
    found = compare_arms(planted({"a": 0.0, "b": 20.0}, num_seeds=1, num_items=60), unit="points").comparisons[0]
    assert found.verdict == "better"
    assert found.explanation.startswith("The answers of b are better than those of a (+")
    two = compare_arms(planted({"a": 0.0, "b": 20.0}, num_seeds=2, num_items=60), unit="points").comparisons[0]
    assert two.explanation.startswith("b is better than a (+")


def made(base: float, num_items: int = 40, missing: int = 0) -> dict[int, dict[int, float | None]]:
    """Three seeds; the last items have no score."""
    return {
        seed: {item: None if item >= num_items - missing else base + (7 * item + seed) % 5 for item in range(num_items)}
        for seed in range(3)
    }


def test_what_a_third_arm_lacks_does_not_matter_to_two_others():
    scores = {"a": made(40.0), "b": made(44.0), "c": made(40.0, missing=30)}
    table = compare_arms(scores, score_range=100.0)
    assert [(found.num_items, found.num_seeds) for found in table.comparisons] == [(40, 3), (10, 3)]
    alone = compare_arms({name: scores[name] for name in "ab"}, score_range=100.0).comparisons[0]
    assert (table.comparisons[0].interval, table.comparisons[0].missing) == (alone.interval, None)
    assert table.arms[0].mean == pytest.approx(sum(sum(one.values()) for one in scores["a"].values()) / 120)


def test_missing_scores_that_could_turn_the_verdict_leave_it_open():
    found = compare_arms({"a": made(40.0), "b": made(48.0, missing=16)}, score_range=100.0, unit="points").comparisons[
        0
    ]
    assert found.verdict == "cannot tell"
    assert found.missing is not None
    assert (found.missing.in_baseline, found.missing.in_candidate, found.missing.num_items) == (0, 16, 40)
    assert found.missing.changes_verdict
    # 24 items of about +8, and 16 of which the candidate has 0 or 100 against about 42
    assert found.missing.low == pytest.approx((24 * 8 - 16 * 42) / 40, abs=1.0)
    assert found.missing.high == pytest.approx((24 * 8 + 16 * 58) / 40, abs=1.0)
    assert "16 in b" in found.explanation
    assert "score them" in found.explanation


def test_missing_scores_that_cannot_turn_the_verdict_are_told_all_the_same():
    found = compare_arms({"a": made(20.0, missing=1), "b": made(70.0, missing=2)}, score_range=100.0).comparisons[0]
    assert found.verdict == "better"
    assert found.missing is not None
    assert not found.missing.changes_verdict
    assert "2 in b and 1 in a" in found.explanation
    assert "leaves the verdict as it is" in found.explanation


def test_missing_scores_without_a_scale_are_counted():
    found = compare_arms({"a": made(20.0), "b": made(70.0, missing=3)}).comparisons[0]
    assert found.missing is not None
    assert (found.missing.low, found.missing.high) == (None, None)
    assert "some have no score and are left out: 3 in b." in found.explanation


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


def test_a_comparison_is_on_the_items_of_its_own_arms(planted):
    scores = planted({"a": 0.0, "b": 0.0, "c": 0.0}, num_seeds=2, num_items=20)
    del scores["c"][1][7]
    table = compare_arms(scores)
    assert 7 not in table.items
    assert table.num_dropped_items == 1
    assert [arm.num_missing_items for arm in table.arms] == [0, 0, 1]
    assert [found.num_items for found in table.comparisons] == [20, 19]
    assert table.arms[0].seed_means[0] == pytest.approx(sum(scores["a"][0].values()) / 20)


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
