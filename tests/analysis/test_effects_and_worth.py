"""How large a difference is in words, and what more seeds and items would do to its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sftframe.analysis import compare, compare_arms, find_yardstick, group_into_arms
from sftframe.analysis.intervals import Spread
from sftframe.analysis.planning import worth_of_more
from sftframe.analysis.sentence import effect, worth
from sftframe.runs import LoadedRun

from .test_sentence import BETTER, JUDGED, UNJUDGED, claim

Runs = Callable[..., LoadedRun]


def spread(seed: float, item: float, residual: float, *, num_seeds: int = 3, num_items: int = 10) -> Spread:
    return Spread(
        seed=np.array(seed),
        item=np.array(item),
        residual=np.array(residual),
        num_seeds=num_seeds,
        num_items=num_items,
    )


def test_where_seeds_are_all_that_varies_three_more_narrow_the_interval_as_t_tables_say() -> None:
    # standard error 1 with three seeds, t = 4.303; with six 1 / sqrt(2), t = 2.571
    found = worth_of_more(spread(1.0, 0.0, 0.0))
    assert found is not None
    assert found.half_width == pytest.approx(4.303, abs=1e-3)
    assert found.with_seeds == pytest.approx(2.571 / 2**0.5, abs=1e-3)
    assert found.with_items == pytest.approx(4.303, abs=1e-3)
    assert found.items_like_seeds is None
    assert found.seeds_like_items == 1  # the fewest that can be added


def test_where_items_are_all_that_varies_seeds_bring_nothing() -> None:
    # t = 2.262 with 10 items, 2.093 with 20
    found = worth_of_more(spread(0.0, 1.0, 0.0))
    assert found is not None
    assert found.with_seeds == pytest.approx(found.half_width) == pytest.approx(2.262, abs=1e-3)
    assert found.with_items == pytest.approx(2.093 / 2**0.5, abs=1e-3)
    assert found.seeds_like_items is None


def test_what_is_not_known_from_one_seed_or_one_item_is_not_told() -> None:
    one_seed = worth_of_more(spread(0.0, 1.0, 0.0, num_seeds=1))
    one_item = worth_of_more(spread(1.0, 0.0, 0.0, num_items=1))
    assert one_seed is not None
    assert one_item is not None
    assert (one_seed.with_seeds, one_seed.items) == (None, 10)
    assert one_item.with_items is None
    assert worth_of_more(spread(0.0, 0.0, 0.0)) is None


def test_groups_of_items_are_added_in_their_mean_size() -> None:
    found = worth_of_more(spread(0.0, 1.0, 0.0), group_size=3.2)
    assert found is not None
    assert found.items == 32


def test_nothing_more_is_told_where_more_of_both_would_change_nothing() -> None:
    same = {seed: dict.fromkeys(range(8), 50.0) for seed in (1, 2)}
    (found,) = compare_arms({"a": same, "b": same}, score_range=100.0, margin=2.0).comparisons
    assert found.worth is None or found.worth.half_width > 0
    (identical,) = compare_arms({"a": same, "b": same}, score_range=100.0, equal_answers={"b": 1.0}).comparisons
    assert (identical.verdict, identical.worth) == ("identical", None)


def told(found: Any, **changes: Any) -> str:
    comparison = dataclasses.replace(BETTER, worth=found, **changes)
    return worth(claim(comparison), JUDGED, "about 43 s of training")


def test_the_worth_of_seeds_and_items_is_compared() -> None:
    components = dataclasses.replace(BETTER.components, seed=9.0, item=193.0, residual=0.0)
    found = worth_of_more(spread(9.0, 1.0, 0.0, num_items=193))
    assert told(found, components=components, num_seeds=3) == (
        "The uncertainty comes from seeds (75%) and items (25%). 3 more seeds (about 43 s of training) would narrow "
        "the "
        "interval to about ±5.8 and 193 more items to about ±13.0; it is ±13.1 points of 100 now. Seeds are worth more "
        "here: no number of items would do as much."
    )


def test_seeds_that_did_not_differ_are_worth_less_than_items() -> None:
    components = dataclasses.replace(BETTER.components, seed=0.0, item=193.0, residual=0.0)
    found = worth_of_more(spread(0.0, 1.0, 0.0, num_items=193))
    assert told(found, components=components, num_seeds=3) == (
        "The uncertainty comes from items (100%). 193 more items would narrow the interval to about ±1.4 and 3 more "
        "seeds (about 43 s of training) would hardly narrow it; it is ±2.0 points of 100 now. Items are worth more "
        "here: "
        "no number of seeds would do as much."
    )


def test_of_one_seed_the_part_of_the_seeds_is_said_to_be_unknown() -> None:
    components = dataclasses.replace(BETTER.components, seed=None, item=193.0, residual=0.0)
    found = worth_of_more(spread(0.0, 1.0, 0.0, num_seeds=1, num_items=193))
    assert told(found, components=components, num_seeds=1) == (
        "The part of the seeds is not known from one seed; the rest comes from items (100%). 193 more items would "
        "narrow "
        "the interval to about ±1.4; it is ±2.0 points of 100 now."
    )
    assert told(None) == ""


def test_the_effect_says_what_is_counted_and_for_how_many_items(run: Runs) -> None:
    arms = group_into_arms(
        [
            run(f"{mask}-{seed}", scores=scores, seed=seed, collate=mask)
            for mask, scores in (("mask-pad", [0, 0, 100, 50]), ("pad-only", [100, 100, 0, 50]))
            for seed in (1, 2)
        ]
    )
    # means: 150 / 4 and 250 / 4; "right" is the answer where the score is 100: 1 and 2 of 4
    assert compare(arms).effects == (
        "With collate pad-only 25.0 points of 100 more: a mean of 62.5 instead of 37.5. Of 4 items, averaged over the "
        "seeds, 2 are better, 1 worse and 1 the same. The difference has this direction in 2 of 2 seeds.",
    )
    assert compare(arms, yardstick="exact_match").effects == (
        "With collate pad-only 25.0 more of 100 answers are equal to a reference answer: 50.0 instead of 25.0. Of 4 "
        "items, "
        "averaged over the seeds, 2 are better, 1 worse and 1 the same. The difference has this direction in 2 of 2 "
        "seeds.",
    )


def test_counts_of_labelled_items_are_said_to_be_of_these() -> None:
    labelled = claim(dataclasses.replace(BETTER, num_better=3, num_worse=1))
    assert effect(labelled, JUDGED) == (
        "With collate mask-instruction 9.2 points of 100 more. Of 4 items with people's labels, averaged over the "
        "seeds, "
        "3 are better, 1 worse and 0 the same."
    )


def test_means_that_are_not_of_the_same_items_are_not_told(run: Runs) -> None:
    arms = group_into_arms([run("a", scores=[0, 10, 20]), run("b", scores=[10, 20, None], collate="pad-only")])
    assert compare(arms).effects == (
        "With collate pad-only 10.0 points of 100 more. Of 2 items, 2 are better, 0 worse and 0 the same.",
    )


def test_the_differences_of_the_seeds_have_the_difference_as_their_mean(run: Runs) -> None:
    pairs = {1: ([10, 20], [14, 22]), 2: ([10, 20], [9, 20])}  # +3 and -0.5
    runs = [
        run(f"{name}-{seed}", scores=scores[number], seed=seed, collate=name)
        for seed, scores in pairs.items()
        for number, name in enumerate(("mask-pad", "pad-only"))
    ]
    result = compare(group_into_arms(runs))
    (found,) = result.main.table.comparisons
    assert result.effects[0].endswith(" The difference has this direction in 1 of 2 seeds.")
    assert found.seed_differences == (3.0, -0.5)
    assert found.difference == pytest.approx(1.25)


def test_a_yardstick_without_words_of_its_own_tells_the_figure() -> None:
    plain = dataclasses.replace(find_yardstick("judge"), effect=None)
    assert plain.effect_in_words(-3.0) == "-3.0 points of 100"
    assert UNJUDGED.yardstick.effect_in_words(0.0) == "the same mean score"
