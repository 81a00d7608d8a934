"""Looks at a comparison while seeds are added: bounds, p values and intervals that hold for all looks together."""

from __future__ import annotations

import numpy as np
import pytest

from sftframe.analysis import Looks, compare_arms
from sftframe.analysis.intervals import spread
from sftframe.analysis.looks import CLOSEST, Information, adjusted_p, bounds, chance_of_any, information, level_of


def known(*shares: float) -> list[Information]:
    """Looks at these shares of the information, whose estimate never changes."""
    return [Information(reached=shares[: place + 1], share=share) for place, share in enumerate(shares)]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # the R packages ldbounds (alpha 0.05 two-sided) and gsDesign (sfLDOF, 0.025 one-sided)
        ([0.2, 0.4, 0.6, 0.8, 1.0], [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ([1 / 3, 2 / 3, 1.0], [3.7103, 2.5114, 1.9930]),
        ([1.0], [1.95996]),
    ],
    ids=["five", "three", "one"],
)
def test_the_bounds_are_those_of_the_published_programs(shares: list[float], expected: list[float]) -> None:
    assert bounds(known(*shares), 0.05) == pytest.approx(expected, abs=1.5e-4)


def test_two_independent_looks_are_wrong_in_as_many_cases_as_arithmetic_says() -> None:
    # informations so far apart that the looks know nothing of each other: 1 - 0.95 squared
    assert chance_of_any([1.959964, 1.959964], [1e-9, 1.0]) == pytest.approx(0.0975, abs=1e-4)


def test_looks_as_people_take_them_are_wrong_more_than_twice_as_often() -> None:
    # Armitage, McPherson & Rowe 1969: five looks at 5 % after equal steps are wrong in 14.2 %
    assert chance_of_any([1.959964] * 5, [1, 2, 3, 4, 5]) == pytest.approx(0.142, abs=5e-4)


@pytest.mark.parametrize("shares", [(0.3, 0.7, 1.0), (0.9, 0.99, 0.999, 1.0)], ids=["seeds vary", "items vary"])
def test_all_looks_together_are_wrong_in_5_of_100_cases(shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(1)
    steps = np.diff([0.0, *shares])
    paths = (rng.standard_normal((200_000, len(shares))) * np.sqrt(steps)).cumsum(axis=1) / np.sqrt(shares)
    wrong = (np.abs(paths) >= bounds(known(*shares), 0.05)).any(axis=1).mean()
    assert 0.04 if max(np.divide(shares[:-1], shares[1:])) > CLOSEST else 0.0485 <= wrong <= 0.0515


def test_a_look_that_gets_nothing_of_alpha_shows_nothing() -> None:
    # at the second look the seeds turn out to vary so much that the first has spent more than is allowed by now
    early = Information(reached=(0.9,), share=0.9)
    assert bounds([early, Information(reached=(0.2, 0.3), share=0.3)], 0.05)[1] == np.inf
    assert level_of(np.inf) == 0.0


@pytest.mark.parametrize("shares", [(1.0,), (0.4, 1.0), (0.15, 0.25, 0.4)], ids=str)
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_the_adjusted_p_is_the_alpha_at_which_the_look_just_shows_it(shares: tuple[float, ...], alpha: float) -> None:
    p = level_of(bounds(known(*shares), alpha)[-1])
    assert adjusted_p(p, known(*shares)) == pytest.approx(alpha, rel=1e-3)


def test_an_early_look_at_a_middling_p_is_no_evidence_at_all() -> None:
    assert adjusted_p(0.4, known(0.15)) == 1.0


def test_items_are_information_that_the_first_look_already_has() -> None:
    # item deviations only: 3 seeds know nearly as much as 20; seeds only: 3 of 20
    rng = np.random.default_rng(0)
    items = spread(np.repeat(rng.standard_normal((1, 200)), 3, axis=0) + 1e-6 * rng.standard_normal((3, 200)))
    assert information(items, [3], 20).share == pytest.approx(1.0, abs=0.01)
    seeds = spread(np.repeat(rng.standard_normal((3, 1)), 200, axis=1) + 1e-6 * rng.standard_normal((3, 200)))
    assert information(seeds, [3], 20).share == pytest.approx(3 / 20, rel=0.01)


def test_alpha_is_spent_as_if_the_seeds_varied_more_than_was_seen() -> None:
    values = np.random.default_rng(0).standard_normal((3, 200)) + np.array([[1.0], [0.0], [-1.0]]) / 20
    found = spread(values)
    seen = (found.item - found.residual + 3 * found.seed / 20) / (found.item - found.residual + found.seed)
    assert 3 / 20 < information(found, [3], 20).share < seen
    assert information(found, [3, 20], 20).share == 1.0


def test_without_any_variation_the_information_is_that_of_the_seeds() -> None:
    assert information(spread(np.zeros((3, 50))), [3], 12).share == pytest.approx(0.25)


@pytest.fixture
def arms(planted):
    """Five seeds, 200 items, the second arm 2.5 points better."""
    return planted({"a": 0.0, "b": 2.5})


def first_seeds(scores, number):
    return {arm: {seed: items for seed, items in seeds.items() if seed < number} for arm, seeds in scores.items()}


def test_the_interval_leaves_out_zero_exactly_where_p_is_below_5_percent(planted) -> None:
    looks = Looks(taken=((0, 1, 2), (0, 1, 2, 3, 4)), planned=(3, 5, 8))
    seen = set()
    for effect in np.linspace(0, 4, 9):
        (found,) = compare_arms(planted({"a": 0.0, "b": effect}), looks=looks, score_range=100.0).comparisons
        leaves_out_zero = found.interval.low > 0 or found.interval.high < 0
        assert (found.p_value < 0.05) == leaves_out_zero == (found.verdict != "cannot tell")
        seen.add(found.verdict)
    assert seen == {"cannot tell", "better"}


def test_a_planned_look_is_stricter_than_one_alone_and_says_which_look_is_next(arms) -> None:
    alone = compare_arms(arms, margin=4.0).comparisons[0]
    looks = Looks(taken=((0, 1, 2), (0, 1, 2, 3, 4)), planned=(3, 5, 40))
    strict = compare_arms(arms, margin=4.0, looks=looks).comparisons[0]
    assert strict.interval.low < alone.interval.low
    assert strict.interval.level == alone.interval.level == 0.95
    assert strict.p_value > alone.p_value
    assert strict.p_equivalence > alone.p_equivalence
    assert alone.look is None
    assert strict.look.number == 2
    assert 5 / 40 < strict.look.share < 1
    assert "for all looks together" in strict.explanation


def test_an_open_look_names_the_next_one_and_the_last_one_what_would_settle_it(planted) -> None:
    scores = planted({"a": 0.0, "b": 0.2})
    early = Looks(taken=((0, 1, 2, 3, 4),), planned=(5, 8))
    assert "The next look is at 8 seeds." in compare_arms(scores, looks=early).comparisons[0].explanation
    last = Looks(taken=((0, 1, 2), (0, 1, 2, 3, 4)), planned=(3, 5))
    told = compare_arms(scores, looks=last).comparisons[0].explanation
    assert "next look" not in told
    assert "would settle it" in told


def test_a_second_look_that_was_not_planned_says_that_it_is_not_corrected_and_by_how_much(arms) -> None:
    looks = Looks(taken=((0, 1), (0, 1, 2, 3)))
    found = compare_arms(first_seeds(arms, 4), looks=looks).comparisons[0]
    alone = compare_arms(first_seeds(arms, 4)).comparisons[0]
    assert (found.interval, found.p_value, found.look) == (alone.interval, alone.p_value, None)
    # 8.3: two looks at 5 %, the second with twice the information (Armitage, McPherson & Rowe 1969)
    assert found.explanation.endswith(
        "These arms were already compared with 2 seeds, and this verdict with 4 is not corrected for that: where there "
        "is no difference, up to 8 of 100 such comparisons show one, not 5."
    )


def test_a_look_beyond_the_planned_ones_is_not_corrected(arms) -> None:
    looks = Looks(taken=((0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 4)), planned=(3, 4))
    assert not looks.is_corrected
    assert 0.05 < looks.wrong < 0.1
    assert "already compared with 3, 4 seeds" in compare_arms(arms, looks=looks).comparisons[0].explanation


def test_one_look_alone_is_as_if_there_were_no_looks(arms) -> None:
    assert compare_arms(arms, looks=Looks(taken=((0, 1, 2, 3, 4),))) == compare_arms(arms)


def test_the_only_planned_look_has_all_of_alpha(arms) -> None:
    planned = compare_arms(arms, looks=Looks(taken=((0, 1, 2, 3, 4),), planned=(5,))).comparisons[0]
    alone = compare_arms(arms).comparisons[0]
    assert planned.p_value == pytest.approx(alone.p_value, rel=1e-3)
    assert planned.interval.low == pytest.approx(alone.interval.low, abs=1e-4)


def test_holm_is_applied_after_the_looks(planted) -> None:
    scores = planted({"a": 0.0, "b": 2.0, "c": 2.0})
    looks = Looks(taken=((0, 1, 2, 3, 4),), planned=(5, 9))
    for found in compare_arms(scores, looks=looks).comparisons:
        (alone,) = compare_arms({"a": scores["a"], found.candidate: scores[found.candidate]}, looks=looks).comparisons
        assert found.p_value == pytest.approx(alone.p_value)
        assert found.p_holm >= found.p_value


def test_the_worth_of_more_is_told_at_the_last_look_alone_and_with_its_interval(planted) -> None:
    arms = planted({"a": 0.0, "b": 3.0}, num_seeds=5, num_items=60)
    early = compare_arms(arms, looks=Looks(taken=((0, 1, 2, 3, 4),), planned=(5, 8))).comparisons[0]
    last = compare_arms(arms, looks=Looks(taken=((0, 1, 2), (0, 1, 2, 3, 4)), planned=(3, 5))).comparisons[0]
    assert early.worth is None  # how many seeds come next is planned
    assert last.worth is not None
    assert last.interval is not None
    assert last.worth.half_width == pytest.approx((last.interval.high - last.interval.low) / 2)
    assert last.worth.half_width > compare_arms(arms).comparisons[0].worth.half_width
