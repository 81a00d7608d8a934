"""Plans against textbook sample sizes and simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.followed_plans import follow_plans
from benchmarks.simulated_arms import YARDSTICKS
from sftframe.analysis import VarianceComponents, minimum_detectable_difference
from sftframe.analysis.intervals import Spread, half_width, spread
from sftframe.analysis.pairs import Needed
from sftframe.analysis.planning import needed_to_settle
from sftframe.errors import ConfigError

ITEMS_ALONE = VarianceComponents(seed=None, item=900.0, residual=0.0)


def simulated_power(components: VarianceComponents, difference: float, num_items: int, num_seeds: int) -> float:
    """Share of simulated experiments whose interval leaves out zero."""
    rng = np.random.default_rng(0)
    deviations = [np.sqrt(part) for part in (components.seed, components.item, components.residual)]
    shapes = [(3000, num_seeds, 1), (3000, 1, num_items), (3000, num_seeds, num_items)]
    parts = [rng.normal(0, deviation, shape) for deviation, shape in zip(deviations, shapes, strict=True)]
    values = difference + parts[0] + parts[1] + parts[2]
    return float((np.abs(values.mean(axis=(1, 2))) > half_width(spread(values), 0.05)).mean())


def test_34_items_find_half_a_standard_deviation_with_power_0_8():
    # the textbook's one-sample t test: d = 0.5, n = 34, power 0.81
    sd_1 = VarianceComponents(seed=None, item=1.0, residual=0.0)
    assert minimum_detectable_difference(sd_1, num_items=34, num_seeds=1) == pytest.approx(0.495, abs=0.005)


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_the_detectable_difference_is_found_four_times_of_five(num_seeds):
    components = VarianceComponents(seed=2.0, item=100.0, residual=300.0)
    difference = minimum_detectable_difference(components, num_items=60, num_seeds=num_seeds)
    assert simulated_power(components, difference, 60, num_seeds) == pytest.approx(0.8, abs=0.03)


def test_arms_that_never_vary_show_any_difference():
    still = VarianceComponents(seed=0.0, item=0.0, residual=0.0)
    assert minimum_detectable_difference(still, num_items=10, num_seeds=3) == 0.0


def found(num_items: int, num_seeds: int = 1, *, seed: float = 0.0, item: float = 0.0, residual: float = 0.0) -> Spread:
    """What is found on average if these are the variances of one difference."""
    rest = residual / (num_items * num_seeds)
    return Spread(
        seed=np.array(seed / num_seeds + rest if num_seeds > 1 else 0.0),
        item=np.array(item / num_items + rest),
        residual=np.array(rest),
        num_seeds=num_seeds,
        num_items=num_items,
    )


def simulated_promise(needed: Needed, difference: float, so_far: Spread, margin: float | None) -> float:
    """Share of verdicts after the proposed plan, over truths drawn as the plan supposes, each way by itself."""
    rng = np.random.default_rng(0)
    assert needed.both is not None
    num_items, num_seeds = so_far.num_items + needed.both[0], so_far.num_seeds + needed.both[1]
    number = so_far.num_items * so_far.num_seeds
    settled = []
    for _ in range(400):
        mean_squares = [
            float(part) * number * freedom / rng.chisquare(freedom)
            for part, freedom in (
                (so_far.seed, so_far.num_seeds - 1),
                (so_far.item, so_far.num_items - 1),
                (so_far.residual, (so_far.num_seeds - 1) * (so_far.num_items - 1)),
            )
        ]
        seed = max(mean_squares[0] - mean_squares[2], 0.0) / so_far.num_items
        item = max(mean_squares[1] - mean_squares[2], 0.0) / so_far.num_seeds
        variance = seed / so_far.num_seeds + item / so_far.num_items + mean_squares[2] / number
        values = (
            rng.normal(difference, np.sqrt(variance))
            + rng.normal(0, np.sqrt(seed), (num_seeds, 1))
            + rng.normal(0, np.sqrt(item), (1, num_items))
            + rng.normal(0, np.sqrt(mean_squares[2]), (num_seeds, num_items))
        )
        new = spread(values)
        distance = abs(values.mean())
        settled.append(distance > half_width(new, 0.05) or distance + half_width(new, 0.1) < (margin or 0.0))
    return float(np.mean(settled))


def test_items_for_a_difference_are_those_of_the_formula():
    # 1,000 items leave a standard error of 3: the true difference is 5 ± 3, the next mean 5 ± sqrt(3² + e²) with the
    # next standard error e = sqrt(9000 / n). With e = 1.2255 it is above 1.96 e with a chance of
    # Phi((5 - 2.402) / 3.2407) = 0.7886, and below -1.96 e with 0.0112: in all 0.8, so n = 5,993
    needed = needed_to_settle(5.0, found(1000, item=9000.0))
    assert needed is not None
    assert needed.items == pytest.approx(4993, rel=0.02)
    assert (needed.seeds, needed.both, needed.would_show) == (None, None, "a difference")


def test_items_for_a_difference_that_looks_like_zero_are_those_of_the_formula():
    # the true difference is 0 ± 1, the next mean 0 ± sqrt(1 + e²): beyond 1.96 e with a chance of 0.8 (two sides:
    # 0.2533 standard deviations) for e² = 1 / 58.9, which 58.9 times as many items have
    needed = needed_to_settle(0.0, found(1000, item=1000.0))
    assert needed is not None
    assert needed.items == pytest.approx(57_900, rel=0.03)
    assert needed.chance_of_equivalence == 0


def test_items_for_either_verdict_within_a_margin_are_those_of_the_formula():
    # the true difference is 0 ± sqrt(0.9): 1 from the items, narrowed by the expected 0 ± 3 of two margins. With
    # e = 0.517 the next mean, 0 ± sqrt(0.9 + e²) = 1.0804, is within 1.5 - 1.645 e = 0.6495 with a chance of 0.452 and
    # beyond 1.96 e = 1.0133 with 0.348, so n = 1000 / e² = 3,741
    needed = needed_to_settle(0.0, found(1000, item=1000.0), margin=1.5)
    assert needed is not None
    assert needed.items == pytest.approx(2741, rel=0.03)
    assert needed.chance_of_equivalence == pytest.approx(0.452, abs=0.01)
    assert needed.chance_of_difference == pytest.approx(0.348, abs=0.01)
    assert needed.would_show == "equivalence"


def test_a_margin_settles_what_looks_like_zero_much_sooner():
    sizes = [
        needed.items
        for margin in (None, 1.5, 3.0)
        if (needed := needed_to_settle(0.0, found(100, item=200.0), margin=margin)) and needed.items is not None
    ]
    assert sizes[0] > 9 * sizes[1] > 18 * sizes[2]


def test_without_a_margin_a_difference_of_zero_may_be_beyond_reach():
    assert needed_to_settle(0.0, found(10_000, item=1000.0)) is None


def test_where_nothing_varies_there_is_no_plan():
    assert needed_to_settle(1.0, found(10, 3), margin=1.0) is None


def test_where_seeds_vary_most_no_number_of_items_is_enough():
    needed = needed_to_settle(1.5, found(100, 3, seed=4.0, item=1.0, residual=1.0), margin=1.0)
    assert needed is not None
    assert (needed.items, needed.both) == (None, None)
    assert needed.seeds is not None


def test_where_items_vary_most_no_number_of_seeds_is_enough():
    needed = needed_to_settle(5.0, found(100, 5, item=900.0, residual=1.0), margin=5.0)
    assert needed is not None
    assert needed.seeds is None
    assert needed.items is not None


def test_where_both_vary_too_much_both_have_to_grow_and_the_promise_is_kept():
    so_far = found(20, 5, seed=1.0, item=50.0)
    needed = needed_to_settle(2.0, so_far)
    assert needed is not None
    assert (needed.items, needed.seeds) == (None, None)
    assert simulated_promise(needed, 2.0, so_far, None) == pytest.approx(0.8, abs=0.06)


def test_a_cheaper_plan_of_both_is_proposed_beside_those_of_one_alone():
    needed = needed_to_settle(1.5, found(60, 5, item=40.0, residual=200.0), margin=3.0)
    assert needed is not None
    assert needed.items is not None
    assert needed.seeds is not None
    assert needed.both is not None
    # half of a cell's cost is training, half grows with the items
    items, seeds = needed.both
    mixed = (5 + seeds) * (1 + (60 + items) / 60) / 2
    assert mixed < 0.8 * min((1 + (60 + needed.items) / 60) * 5 / 2, 5 + needed.seeds)


def test_fewer_seeds_say_less_about_seeds_so_more_are_asked_for():
    # both have the same standard error of seeds, 1, and hardly another
    few, many = (
        needed_to_settle(2.0, found(100, number, seed=float(number), item=0.01, residual=0.01), margin=1.5)
        for number in (3, 20)
    )
    assert few is not None
    assert many is not None
    assert few.seeds is not None
    assert many.seeds is not None
    assert (3 + few.seeds) / 3 > 1.5 * (20 + many.seeds) / 20


def test_the_range_of_a_plan_holds_it_and_keeps_its_proportion():
    needed = needed_to_settle(1.5, found(110, 3, seed=1.0, item=290.0, residual=625.0), margin=3.0)
    assert needed is not None
    assert needed.both is not None
    assert needed.low is not None
    assert needed.high is not None
    assert needed.low[0] < needed.both[0] < needed.high[0]
    assert needed.low[1] < needed.both[1] < needed.high[1]
    assert needed.high[0] / needed.high[1] == pytest.approx(needed.both[0] / needed.both[1], rel=0.15)


def test_the_chance_of_a_plan_is_the_sum_of_its_two_verdicts():
    needed = needed_to_settle(0.5, found(110, 3, seed=1.0, item=290.0, residual=625.0), margin=3.0)
    assert needed is not None
    assert needed.chance_of_difference is not None
    assert needed.chance_of_equivalence is not None
    assert 0.8 <= needed.chance_of_difference + needed.chance_of_equivalence < 0.83
    assert needed.would_show == ("a difference" if needed.chance_of_difference > 0.4 else "equivalence")


@pytest.mark.parametrize("num_seeds", [1, 3, 5])
def test_followed_plans_end_with_a_verdict_four_times_of_five(num_seeds):
    # on average over truths: what is easy to see is settled more often, half a margin less often
    judge = YARDSTICKS[0]
    rows = [
        follow_plans(judge, difference, scatter, num_seeds, 110, 20)
        for difference in (0.0, 0.5, 4 / 3)
        for scatter in (("small",) if num_seeds > 1 else ("no",))
    ]
    assert float(np.mean([row.settled_anew for row in rows])) == pytest.approx(0.83, abs=0.12)
    assert max(row.out_of_reach for row in rows) < 0.1


@pytest.mark.parametrize("wrong", [{"num_items": 1}, {"num_seeds": 0}, {"alpha": 0.0}, {"power": 1.0}])
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"a plan needs|expected a probability"):
        minimum_detectable_difference(ITEMS_ALONE, **({"num_items": 10, "num_seeds": 1} | wrong))


def test_a_plan_from_one_item_is_refused():
    with pytest.raises(ConfigError, match="at least one seed and two items"):
        needed_to_settle(1.0, found(1, 3, seed=1.0))
