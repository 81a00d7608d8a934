"""Plans against textbook sample sizes and simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest

from sftframe.analysis import VarianceComponents, minimum_detectable_difference
from sftframe.analysis.intervals import half_width, spread
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


def test_items_for_a_difference_are_those_of_the_formula():
    # (1.960 + 0.842)² x 900 / 5² = 282.6, a little more for Student's t
    needed = needed_to_settle(5.0, ITEMS_ALONE, num_items=100, num_seeds=1)
    assert needed is not None
    assert 182 <= (needed.items or 0) <= 190
    assert (needed.seeds, needed.both, needed.would_show) == (None, None, "a difference")


def test_items_for_equivalence_are_those_of_the_formula():
    # (1.645 + 1.282)² x 900 / 6² = 214.1
    needed = needed_to_settle(0.0, ITEMS_ALONE, num_items=100, num_seeds=1, margin=6.0)
    assert needed is not None
    assert 114 <= (needed.items or 0) <= 121
    assert needed.would_show == "equivalence"


def test_a_difference_of_zero_without_a_margin_cannot_be_planned_for():
    assert needed_to_settle(0.0, ITEMS_ALONE, num_items=100, num_seeds=1) is None


def test_a_difference_as_large_as_the_margin_is_not_planned_to_be_equivalent():
    needed = needed_to_settle(6.0, ITEMS_ALONE, num_items=100, num_seeds=1, margin=6.0)
    assert needed is not None
    assert needed.would_show == "a difference"


def test_where_seeds_vary_most_no_number_of_items_is_enough():
    components = VarianceComponents(seed=4.0, item=1.0, residual=1.0)
    needed = needed_to_settle(1.5, components, num_items=100, num_seeds=3)
    assert needed is not None
    assert needed.items is None
    assert needed.seeds is not None
    assert simulated_power(components, 1.5, 100, 3 + needed.seeds) == pytest.approx(0.8, abs=0.04)


def test_where_items_vary_most_no_number_of_seeds_is_enough():
    components = VarianceComponents(seed=0.01, item=900.0, residual=1.0)
    needed = needed_to_settle(5.0, components, num_items=100, num_seeds=5)
    assert needed is not None
    assert needed.seeds is None
    assert needed.items is not None


def test_where_both_vary_too_much_both_have_to_grow():
    components = VarianceComponents(seed=1.0, item=50.0, residual=0.0)
    needed = needed_to_settle(2.0, components, num_items=20, num_seeds=3)
    assert needed is not None
    assert (needed.items, needed.seeds) == (None, None)
    assert needed.both is not None
    items, seeds = needed.both
    assert simulated_power(components, 2.0, 20 + items, 3 + seeds) == pytest.approx(0.83, abs=0.06)


@pytest.mark.parametrize("wrong", [{"num_items": 1}, {"num_seeds": 0}, {"alpha": 0.0}, {"power": 1.0}])
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"a plan needs|expected a probability"):
        minimum_detectable_difference(ITEMS_ALONE, **({"num_items": 10, "num_seeds": 1} | wrong))
