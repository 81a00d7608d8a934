"""The benchmark of calibration itself: intervals and verdicts on simulated arms, small but not too small to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.calibration import Row, families_tables, limits_table, looks_table, plans_table, simulate
from benchmarks.families import FamilyPlace, follow_family_plans, simulate_families, simulate_family_pairs
from benchmarks.followed_plans import follow_plans
from benchmarks.limits import simulate_limit
from benchmarks.simulated_arms import SEED_BY_ARM, YARDSTICKS
from benchmarks.simulated_looks import simulate_looks

BY_NAME = {yardstick.name: yardstick for yardstick in YARDSTICKS}


@pytest.mark.parametrize("yardstick", YARDSTICKS, ids=lambda yardstick: yardstick.name)
@pytest.mark.parametrize("num_seeds", [1, 3, 5])
def test_19_of_20_intervals_hold_the_true_difference_and_better_is_seldom_wrong(yardstick, num_seeds):
    row = simulate(yardstick, "none", "no" if num_seeds == 1 else "small", num_seeds, 110, 500)
    assert row.coverage >= 0.925
    assert row.better <= 0.05


def test_the_interval_is_no_wider_than_it_has_to_be():
    assert simulate(BY_NAME["judge"], "large", "large", 5, 200, 1000).coverage <= 0.975


def test_averaging_over_seeds_and_forgetting_them_is_seen_to_fail():
    row = simulate(BY_NAME["judge"], "none", "large", 5, 110, 300, "seeds averaged, t over items")
    assert row.coverage < 0.85


def test_large_differences_are_found_and_never_called_equivalent():
    row = simulate(BY_NAME["exact"], "large", "small", 5, 200, 300)
    assert row.better > 0.95
    assert row.equivalent == 0


def test_equivalence_is_seldom_said_of_a_difference_as_large_as_the_margin():
    assert simulate(BY_NAME["judge"], "margin", "no", 5, 1000, 300).equivalent <= 0.08


def test_the_limits_that_the_documentation_states_are_measured():
    # what is rare and did not happen is not in an interval; more items do not help where seeds collapse
    assert simulate_limit("rare collapse of a seed", 5, 110, 500).better > 0.15
    assert simulate_limit("rare collapse of a seed", 5, 1000, 500).better > 0.4
    few, many = (simulate_limit("skewed items", 1, items, 2000) for items in (30, 1000))
    assert few.better > 0.07
    assert many.better < 0.05
    assert few.worse < 0.02


def families(yardstick="judge", *, groups=20, size=10, share=0.5, is_equal=False, seeds=1):
    return FamilyPlace(
        yardstick=BY_NAME[yardstick],
        num_groups=groups,
        size=size,
        share=share,
        is_equal=is_equal,
        num_seeds=seeds,
        seed_by_arm="no" if seeds == 1 else "small",
    )


@pytest.mark.parametrize(
    "place",
    [
        families(size=5, is_equal=True),
        families(),
        families(seeds=3),
        families("NLL", groups=10, size=20, share=0.8),
        families(groups=2, share=0.8, is_equal=True),
        families(groups=3, share=0.8),
    ],
    ids=["equal", "unequal", "3 seeds", "NLL", "2 groups", "3 groups"],
)
def test_families_are_covered_with_their_groups_alone(place):
    row = simulate_families(place, 500)
    assert row.coverage >= 0.92
    assert row.better <= 0.05
    assert row.equivalent_at_margin <= 0.05
    assert row.coverage_ungrouped < row.coverage - 0.03
    if place.num_seeds == 1:
        assert row.coverage_ungrouped < 0.85
        assert row.better_ungrouped > 0.07


def test_families_are_told_in_tables():
    rows = [
        simulate_families(families(groups=200 // size, size=size, seeds=seeds, is_equal=is_equal), 20)
        for size in (5, 10, 20)
        for seeds in (1, 3, 5)
        for is_equal in (True, False)
    ]
    rows += [simulate_families(families(groups=groups), 20) for groups in (2, 3, 5)]
    plans = [follow_family_plans(families(groups=40, size=5, is_equal=True), margins, 1) for margins in (0.0, 0.5)]
    pairs = [simulate_family_pairs(20, 10, 0.8, 24)]
    assert pairs[0].coverage >= 0.8 > pairs[0].coverage_ungrouped  # 96 and 54 % in 300 repetitions
    lines = families_tables(rows, plans, pairs).splitlines()
    assert lines[-1].startswith("| 20 of 10 | 80% |")
    assert "| judge, 3 x 10 families of 20 |" in "\n".join(lines)
    last = next(line for line in lines if line.startswith("| 40 of 5 | 1 | 50% |"))
    assert last.count("|") == 6


def test_plans_and_limits_are_told_in_tables():
    rows = [follow_plans(BY_NAME["rare"], 4 / 3, scatter, 3, 110, 2) for scatter in SEED_BY_ARM]
    table = plans_table(rows).splitlines()
    assert table[2].count("|") == table[4].count("|")
    assert table[4].startswith("| rare | 3 x 110 | 1.3 |")
    assert table[-1].startswith("| true difference 1.3 margins |")
    assert (
        limits_table([simulate_limit("skewed items", 1, 30, 10)])
        .splitlines()[2]
        .startswith("| skewed items | 1 x 30 |")
    )


def test_wrong_counts_what_is_not_true():
    shares = {"better": 0.01, "worse": 0.02, "equivalent": 0.04, "cannot_tell": 0.93}
    where = {"yardstick": "judge", "seed_by_arm": "no", "num_seeds": 2, "num_items": 50, "num_repetitions": 100}
    rest = {"true_difference": 0.0, "coverage": 0.95, "half_width": 1.0}
    wrong = {name: Row(difference=name, **where, **rest, **shares).wrong for name in ("none", "small", "large")}
    assert wrong == pytest.approx({"none": 0.03, "small": 0.02, "large": 0.06})


def test_the_benchmark_prints_json():
    command = [sys.executable, "-m", "benchmarks.calibration", "--methods", "--repetitions", "4", "--json"]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, cwd=root)
    rows = json.loads(done.stdout)["rows"]
    assert len(rows["sftframe"]) == 12
    assert {"coverage", "half_width", "true_difference"} <= set(rows["sftframe"][0])


def test_looks_until_it_is_decided_are_wrong_no_more_often_than_one_and_take_fewer_seeds():
    null = {row.way: row for row in simulate_looks(BY_NAME["judge"], 0.0, "small", 110, 400)}
    assert null["--until-decided"].better + null["--until-decided"].worse <= 0.07
    assert null["as people do it"].better + null["as people do it"].worse >= 0.08
    rows = simulate_looks(BY_NAME["judge"], 4 / 3, "small", 110, 200)
    found = {row.way: row for row in rows}
    assert found["--until-decided"].better >= found["once"].better - 0.03
    assert found["--until-decided"].num_seeds <= 17
    assert looks_table(rows).count("\n") == 2
