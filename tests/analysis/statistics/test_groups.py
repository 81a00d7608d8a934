"""Items of one group are one unit: in intervals, tests and plans, whatever the sizes of the groups."""

from __future__ import annotations

import numpy as np
import pytest

from sftframe.analysis.intervals import (
    confidence_interval,
    equivalence_p_value,
    group_spread,
    grouping,
    half_width,
    p_value,
    sign_flip,
    spread,
)
from sftframe.analysis.pairs import PairedDifferences, group_numbers
from sftframe.analysis.verdicts import compare_arms
from sftframe.confidence import grouped_interval, independent_number, mean_interval, share_interval


@pytest.fixture
def copied(paired):
    """Differences of 12 items in 3 seeds, and the same with each item three times, in a group of its own."""
    rng = np.random.default_rng(1)
    values = rng.normal(-1.0, 10.0, 12) + rng.normal(0.0, 3.0, (3, 12))
    groups = np.repeat(np.arange(12), 3)
    three = PairedDifferences(values=np.repeat(values, 3, axis=1), weights=np.ones(36), groups=groups)
    return paired(values.tolist()), three


def test_copies_of_an_item_in_one_group_say_no_more_than_the_item(copied):
    once, three = copied
    assert three.mean == pytest.approx(once.mean)
    one, other = (confidence_interval(pair) for pair in copied)
    assert (other.low, other.high, other.covers) == (pytest.approx(one.low), pytest.approx(one.high), one.covers)
    assert p_value(three) == pytest.approx(p_value(once))
    assert equivalence_p_value(three, 3.0) == pytest.approx(equivalence_p_value(once, 3.0))
    assert sign_flip(three).items == sign_flip(once).items


def test_without_their_groups_the_copies_look_like_more_items(copied):
    once, three = copied
    alone, own = confidence_interval(three.ungrouped), confidence_interval(once)
    assert alone.high - alone.low < 0.75 * (own.high - own.low)
    found = grouping(three)
    assert (found.num_groups, found.largest) == (12, 3)
    assert found.half_width == pytest.approx((own.high - own.low) / 2)
    assert found.half_width_ungrouped == pytest.approx((alone.high - alone.low) / 2)
    assert found.effective_items == pytest.approx(12)


def scores_of(pair: PairedDifferences) -> dict[str, dict[int, dict[int, float]]]:
    """Two arms with these differences."""
    rows = [dict(enumerate(row)) for row in pair.values.tolist()]
    return {"a": {seed: dict.fromkeys(row, 0.0) for seed, row in enumerate(rows)}, "b": dict(enumerate(rows))}


def test_a_plan_counts_items_in_groups_like_those_there_are(copied):
    once, three = (
        compare_arms(scores_of(pair), margin=3.0, groups={} if pair.groups is None else names(pair)).comparisons[0]
        for pair in copied
    )
    assert once.needed.items * 3 == three.needed.items
    assert (three.needed.seeds, three.needed.group_size) == (once.needed.seeds, 3.0)
    assert three.minimum_detectable == pytest.approx(once.minimum_detectable)
    assert "in new groups of 3 on average" in three.explanation
    words = (
        "The 36 items are in 12 groups, which count like 12 independent items, so the interval is 1.5 times as wide."
    )
    assert words in three.explanation
    assert (three.num_items, three.num_better) == (36, 3 * once.num_better)


def names(pair: PairedDifferences) -> dict[int, str]:
    return {item: f"family {number}" for item, number in enumerate(pair.groups.tolist())}


def test_two_groups_of_three_and_one_item_by_hand():
    # deviations of the sums: -4.5 and 4.5; shares .75 and .25, sum of squares .625; squares over 1 - 2p + .625:
    # (20.25 / .125 + 20.25 / 1.125) / 16 = 11.25; one degree of freedom: t = 12.7062
    low, high = grouped_interval([0.0, 0.0, 0.0, 6.0], ["a", "a", "a", "b"])
    assert (low, high) == (pytest.approx(1.5 - 42.618, abs=1e-3), pytest.approx(1.5 + 42.618, abs=1e-3))
    pair = PairedDifferences(values=np.array([[0.0, 0.0, 0.0, 6.0]]), weights=np.ones(4), groups=np.array([0, 0, 0, 1]))
    half = float(half_width(group_spread(pair.units.values, pair.units.weights, is_adjusted=False), 0.05))
    assert half == pytest.approx(42.618, abs=1e-3)


def test_groups_of_one_item_change_nothing(paired):
    pair = paired([[1.0, 4.0, -2.0, 3.0], [2.0, 5.0, -1.0, 1.0]])
    sized = group_spread(pair.values, pair.weights)
    assert float(half_width(sized, 0.05)) == pytest.approx(float(half_width(spread(pair.values), 0.05)))
    assert mean_interval([1.0, 3.0, 5.0], ["a", "b", "c"]) == mean_interval([1.0, 3.0, 5.0])


def test_with_one_group_only_the_seeds_can_tell():
    rows = {seed: {0: 1.0 + seed, 1: 2.0, 2: 3.0 - seed} for seed in range(3)}
    arms = {"a": {seed: {0: 0.0, 1: 0.0, 2: 0.0} for seed in range(3)}, "b": rows}
    found = compare_arms(arms, groups=dict.fromkeys(range(3), "all")).comparisons[0]
    assert found.interval is None or found.interval.covers == "seeds"
    assert "All items are of one group" in found.explanation
    one_seed = {name: {0: seeds[0]} for name, seeds in arms.items()}
    alone = compare_arms(one_seed, groups=dict.fromkeys(range(3), "all")).comparisons[0]
    assert (alone.interval, alone.p_value, alone.needed, alone.verdict) == (None, None, None, "cannot tell")
    assert "with one seed nothing can be said about chance" in alone.explanation


def test_an_item_without_a_group_is_a_unit_of_its_own():
    assert group_numbers([0, 1, 2, 3], {0: "x", 1: "", 2: "x"}).tolist() == [0, 1, 0, 2]
    assert group_numbers([0, 1], {0: "x", 1: "y"}) is None


def test_a_group_is_as_large_as_its_scored_items():
    base = {0: {0: 10.0, 1: 10.0, 2: 10.0, 3: 10.0, 4: 10.0}}
    other = {0: {0: 20.0, 1: 25.0, 2: 12.0, 3: 5.0, 4: None}}
    groups = {0: "x", 1: "x", 2: "y", 3: "y", 4: "y"}
    found = compare_arms({"a": base, "b": other}, groups=groups).comparisons[0]
    assert (found.num_items, found.grouping.num_groups, found.grouping.largest) == (4, 2, 2)
    assert found.missing.in_candidate == 1


@pytest.mark.parametrize(("num_seeds", "size"), [(1, 5), (3, 5), (3, 12)])
def test_intervals_cover_where_items_of_a_group_go_together(num_seeds, size):
    """Families of unequal size whose items share half of what they differ in; 600 comparisons without a difference."""
    rng = np.random.default_rng(num_seeds * size)
    sizes = rng.integers(1, 2 * size, 24)
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    shape = (600, 1, len(sizes))
    family = (
        rng.standard_normal(shape)[..., numbers] + 0.3 * rng.standard_normal((600, num_seeds, len(sizes)))[..., numbers]
    )
    values = family + rng.standard_normal((600, num_seeds, len(numbers)))
    if num_seeds > 1:
        values = values + 0.1 * rng.standard_normal((600, num_seeds, 1))
    member = np.eye(len(sizes))[numbers] * len(sizes) / len(numbers)
    grouped = half_width(group_spread(values @ member, member.sum(axis=0)), 0.05)
    plain = half_width(spread(values), 0.05)
    means = np.abs(values.mean(axis=(-2, -1)))
    assert 0.925 < (means <= grouped).mean() <= 0.985
    assert (means <= plain).mean() < 0.87


def test_rare_differences_keep_their_width_in_groups():
    """Ties are looked for in the sums of the groups, before these are linearised."""
    sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    numbers = np.repeat(np.arange(10), sizes)
    values = np.zeros((1, len(numbers)))
    tied = PairedDifferences(values=values, weights=np.ones(len(numbers)), groups=numbers)
    assert confidence_interval(tied, score_range=1.0).high > 0.2
    values[0, -1] = 1.0
    one = PairedDifferences(values=values, weights=np.ones(len(numbers)), groups=numbers)
    high = confidence_interval(one, score_range=1.0).high
    plain = float(half_width(group_spread(one.units.values, one.units.weights, is_adjusted=False), 0.05))
    assert high > 1.2 * plain


def test_a_share_in_groups_is_as_sure_as_its_independent_answers():
    assert share_interval(0.5, 20.0)[0] > share_interval(0.5, 5.0)[0]


def test_one_difference_in_all_groups_says_no_more_than_one_in_all_items(paired):
    """Groups of 3 and 1 with +10 everywhere have different sums, but nothing says how far another group could go."""
    groups = np.array([0, 0, 0, 1])
    pair = PairedDifferences(values=np.full((1, 4), 10.0), weights=np.ones(4), groups=groups)
    found = confidence_interval(pair)
    assert found.low < 0 < found.high
    assert p_value(pair) > 0.05
    # two units of 10, and two imaginary ones of 10 and -10, as for two items: t(1) * sqrt(200 / 6) = 73.36
    equal = PairedDifferences(values=np.full((1, 4), 10.0), weights=np.ones(4), groups=np.array([0, 0, 1, 1]))
    half = float(half_width(group_spread(equal.units.values, equal.units.weights), 0.05))
    assert half == pytest.approx(73.36, abs=0.01)


def test_groups_whose_items_cancel_out_do_not_prove_that_nothing_differs():
    # 10 - 10 in two groups, 0 in the third: with the scale of 0.6 the sums are zero only but for rounding
    groups = np.array([0, 0, 1, 1, 2])
    values = np.array([[10.0, -10.0, 10.1, -10.1, 0.0]])
    pair = PairedDifferences(values=values, weights=np.ones(5), groups=groups)
    assert confidence_interval(pair) is None
    assert equivalence_p_value(pair, 3.0) is None
    found = confidence_interval(pair, score_range=100.0)
    assert found.high - found.low > 50
    assert equivalence_p_value(pair, 3.0, score_range=100.0) > 0.3


def test_one_group_with_the_same_mean_in_every_seed_has_no_interval():
    values = np.array([[12.0, 8.0], [8.0, 12.0], [11.0, 9.0]])
    pair = PairedDifferences(values=values, weights=np.ones(2), groups=np.array([0, 0]))
    assert confidence_interval(pair) is None
    assert p_value(pair) is None


def test_a_rare_outcome_in_groups_has_no_interval_that_is_too_narrow():
    """6 % of 200 answers in 20 groups of ten that go together: one right answer says little about other groups."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    found = []
    for _ in range(400):
        hidden = np.sqrt(0.8) * rng.standard_normal(20)[groups] + np.sqrt(0.2) * rng.standard_normal(200)
        values = (hidden > 1.5548).astype(float).tolist()  # the normal distribution's 94 %
        low, high = share_interval(float(np.mean(values)), independent_number(values, groups.tolist()))
        found.append(low <= 0.06 <= high)
    assert np.mean(found) > 0.93


def test_twenty_thousand_items_in_many_groups_need_no_table_of_items_by_groups():
    """12,000 groups: a table with a row for each item and a column for each group would take 1.9 GB."""
    import tracemalloc

    rng = np.random.default_rng(0)
    numbers = np.concatenate([np.arange(12_000), rng.integers(0, 12_000, 8_000)])
    pair = PairedDifferences(values=rng.standard_normal((3, 20_000)), weights=np.ones(20_000), groups=numbers)
    tracemalloc.start()
    found = confidence_interval(pair)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.covers == "items and seeds"
    assert peak < 100e6
