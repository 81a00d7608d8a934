"""A comparison corrected by people's labels: verdict, figures and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from sftframe.analysis import ComparisonResult, PeopleLabels, compare, group_into_arms, with_labels
from sftframe.analysis.corrections import compare_labelled
from sftframe.analysis.label_files import Place
from sftframe.analysis.labels import Design
from sftframe.errors import ConfigError, DataError
from sftframe.runs import LoadedRun

Run = Callable[..., LoadedRun]


def people_labels(labels: Mapping[str, Mapping[int, float]], **more: Any) -> PeopleLabels:
    """By arm and item, of one seed."""
    keys = {Place(index=i, arm=arm): label for arm, own in labels.items() for i, label in own.items()}
    return PeopleLabels(
        path="labels.csv",
        labels=keys,
        probability=dict.fromkeys(keys, 0.5),
        stratum=dict.fromkeys(keys, ""),
        num_unlabelled=0,
        num_people=1,
        num_twice=0,
        alpha=None,
        **more,
    )


def unjust(number: int = 80) -> tuple[list[float], list[float], dict[str, dict[int, float]]]:
    """Scores of A and B by a judge who takes 30 points from B, and people who find B better by 20."""
    generator = np.random.default_rng(7)
    quality = generator.normal(50, 20, size=number)
    noise = generator.normal(0, 4, size=(4, number))
    one, other = quality + noise[0], quality - 10 + noise[1]
    labels = {"mask-pad": quality + noise[2], "mask-instruction": quality + 20 + noise[3]}
    labelled = generator.permutation(number)[: number // 2]
    return (
        np.clip(one, 0, 100).tolist(),
        np.clip(other, 0, 100).tolist(),
        {name: {int(i): float(np.clip(values[i], 0, 100)) for i in labelled} for name, values in labels.items()},
    )


@pytest.fixture
def compared(run: Run) -> Callable[..., ComparisonResult]:
    numbers = itertools.count()

    def call(one: Sequence[float | None], other: Sequence[float | None], **more: Any) -> ComparisonResult:
        number = next(numbers)
        arms = group_into_arms(
            [run(f"a{number}", scores=one), run(f"b{number}", scores=other, collate="mask-instruction")]
        )
        return compare(arms, **more)

    return call


def test_people_turn_the_verdict_of_an_unjust_judge_round(compared):
    one, other, labels = unjust()
    judged = compared(one, other)
    found = with_labels(judged, people_labels(labels))
    assert [judged.main.table.comparisons[0].verdict, found.main.table.comparisons[0].verdict] == ["worse", "better"]
    comparison = found.main.table.comparisons[0]
    assert comparison.difference == pytest.approx(20, abs=2)
    assert comparison.interval is not None
    assert comparison.interval.low < 20 < comparison.interval.high
    assert found.people is not None
    pair = found.people.pairs["mask-instruction"]
    assert (pair.num_labels, pair.num_items) == (40, 80)
    assert pair.judge_alone == pytest.approx(judged.main.table.comparisons[0].difference)
    assert found.sentence.startswith("By people's labels of 40 of 80 items and the scores of toy, ")
    assert "their labels alone say" in comparison.explanation
    assert "the judge alone -9.68." in comparison.explanation


def test_the_judges_own_comparison_stays_beside_it(compared):
    one, other, labels = unjust()
    judged = compared(one, other)
    found = with_labels(judged, people_labels(labels))
    assert [table.yardstick.key for table in found.tables][:2] == ["judge_and_people", "judge"]
    assert found.tables[1:] == judged.tables
    assert found.main is found.tables[0]
    assert found.people is not None
    assert found.people.judged == judged.main.table
    bias = {part.name: part.difference for part in found.people.agreement.arms}
    assert bias["mask-instruction"] == pytest.approx(-30, abs=3)
    assert bias["mask-pad"] == pytest.approx(0, abs=3)


def test_means_of_arms_differ_by_the_difference(compared):
    one, other, labels = unjust()
    table = with_labels(compared(one, other), people_labels(labels)).main.table
    first, second = (arm.mean for arm in table.arms)
    assert second - first == pytest.approx(table.comparisons[0].difference)


def test_the_other_baseline_gives_the_mirrored_result(compared, run):
    one, other, labels = unjust()
    arms = compared(one, other).arms
    found = [
        with_labels(compare(arms, baseline=name), people_labels(labels)).main.table.comparisons[0]
        for name in ("mask-pad", "mask-instruction")
    ]
    assert found[0].difference == pytest.approx(-found[1].difference)
    assert found[0].p_value == pytest.approx(found[1].p_value)
    assert [one.verdict for one in found] == ["better", "worse"]


def test_labels_of_one_arm_alone_are_an_error_that_says_what_is_missing(compared):
    one, other, labels = unjust()
    with pytest.raises(DataError, match="0 of 80 items have a label of mask-pad and of mask-instruction, expected at"):
        with_labels(compared(one, other), people_labels({"mask-pad": labels["mask-pad"]}))


def test_few_labels_are_noted(compared):
    one, other, labels = unjust()
    few = {name: dict(list(own.items())[:12]) for name, own in labels.items()}
    found = with_labels(compared(one, other), people_labels(few))
    assert any(note.startswith("only 12 items have labels") for note in found.notes)


def test_another_yardstick_is_refused(compared):
    one, other, labels = unjust()
    with pytest.raises(ConfigError, match="the yardstick is exact_match: leave out --yardstick or --labels"):
        with_labels(compared(one, other, yardstick="exact_match"), people_labels(labels))


def test_equal_answers_stay_identical(run):
    one, _, labels = unjust()
    arms = group_into_arms([run("a", scores=one), run("b", scores=one, collate="mask-instruction")])
    both = people_labels(dict.fromkeys(labels, labels["mask-pad"]))
    found = with_labels(compare(arms), both)
    assert found.main.table.comparisons[0].verdict == "identical"


def test_an_open_verdict_says_what_more_labels_would_give(compared):
    generator = np.random.default_rng(2)
    one, other = generator.uniform(0, 100, size=(2, 60))
    labels = {"mask-pad": dict(enumerate(one[:20])), "mask-instruction": dict(enumerate(other[:20]))}
    found = with_labels(compared(one.tolist(), other.tolist()), people_labels(labels))
    assert found.main.table.comparisons[0].verdict == "cannot tell"
    assert any("More labels make the interval narrower, down to about ±" in line for line in found.details)
    assert not any("would settle it" in line for line in found.details)


def test_missing_scores_of_the_judge_can_take_the_verdict_away(compared):
    one, other, labels = unjust()
    some = with_labels(compared([None, *one[1:]], other), people_labels(labels)).main.table.comparisons[0]
    many = with_labels(compared([*one[:60], *[None] * 20], other), people_labels(labels)).main.table.comparisons[0]
    assert some.missing is not None
    assert (some.verdict, some.num_items, some.missing.in_baseline) == ("better", 79, 1)
    assert many.missing is not None
    assert (many.verdict, many.missing.changes_verdict) == ("cannot tell", True)
    assert many.missing.low == pytest.approx(0.75 * many.difference - 25)


def scores_of(values: Mapping[str, Sequence[float]]) -> dict[str, dict[int, dict[int, float]]]:
    return {name: {1: dict(enumerate(own))} for name, own in values.items()}


def test_p_values_of_several_arms_are_adjusted():
    generator = np.random.default_rng(4)
    judge = {name: generator.uniform(0, 100, 60).tolist() for name in "ABC"}
    labels = {name: own[:30] for name, own in judge.items()}
    found = compare_labelled(scores_of(judge), scores_of(labels), margin=2.0).table
    assert [one.candidate for one in found.comparisons] == ["B", "C"]
    alone = sorted(one.p_value or 0 for one in found.comparisons)
    adjusted = sorted(one.p_holm or 0 for one in found.comparisons)
    assert adjusted[0] == pytest.approx(min(1, 2 * alone[0]))


def test_an_arm_that_a_third_one_has_no_labels_for_keeps_its_own():
    generator = np.random.default_rng(4)
    judge = {name: generator.uniform(0, 100, 60).tolist() for name in "ABC"}
    labels = scores_of({"A": judge["A"][:30], "B": judge["B"][:30], "C": judge["C"][:12]})
    found = compare_labelled(scores_of(judge), labels)
    assert {name: pair.num_labels for name, pair in found.pairs.items()} == {"B": 30, "C": 12}


def test_groups_are_units_and_are_told():
    generator = np.random.default_rng(4)
    judge = {name: generator.uniform(0, 100, 60).tolist() for name in "AB"}
    groups = {i: str(i // 3) for i in range(60)}
    found = compare_labelled(
        scores_of(judge), scores_of({name: own[:30] for name, own in judge.items()}), groups=groups
    ).table.comparisons[0]
    assert found.grouping is not None
    assert (found.grouping.num_groups, found.grouping.largest) == (20, 3)
    assert "The 60 items are in 20 groups, which count as units." in found.explanation


def test_a_grid_is_told_by_its_axes_where_all_arms_are_labelled(run):
    generator = np.random.default_rng(5)
    quality = generator.normal(50, 15, size=60)
    folders, settings, labels = [], {}, {}
    for prompt, gain in (("alpaca", 0), ("phi3", 15)):
        for collate in ("mask-pad", "mask-instruction"):
            name = f"{collate} · {prompt}"
            scores = np.clip(quality + generator.normal(0, 5, size=60), 0, 100)
            folders.append(run(name.replace(" ", ""), scores=scores.tolist(), collate=collate, prompt={"name": prompt}))
            settings[name] = {"prompt.name": prompt, "collate.name": collate}
            labels[name] = dict(enumerate(np.clip(quality[:40] + gain, 0, 100).tolist()))
    arms = group_into_arms(folders)
    assert {arm.name for arm in arms} == set(settings)
    judged = compare(arms, settings=settings)
    found = with_labels(judged, people_labels(labels))
    assert [axis.axis for axis in found.axes] == ["prompt.name", "collate.name"]
    prompts, masks = (axis.table.comparisons[0] for axis in found.axes)
    assert (prompts.verdict, prompts.difference) == ("better", pytest.approx(15, abs=2))
    assert masks.difference == pytest.approx(0, abs=2)
    parts = {"mask-pad · alpaca": (0, 40), "mask-instruction · alpaca": (0, 20), "mask-pad · phi3": (20, 40)}
    few = {name: {i: own[i] for i in range(*parts.get(name, (0, 20)))} for name, own in labels.items()}
    apart = with_labels(judged, people_labels(few))  # no item has a label in all arms
    assert apart.axes == ()
    assert len(apart.main.table.comparisons) == 3
    assert any(note.startswith("the verdict is arm by arm") for note in apart.notes)


def test_the_interval_covers_the_difference_of_two_arms_with_an_unjust_judge():
    generator = np.random.default_rng(9)
    inside = []
    for _ in range(120):
        quality = generator.normal(size=300)
        latent = {name: quality + 0.8 * generator.normal(size=300) for name in "AB"}
        judge = {
            name: np.clip(50 + 20 * own - 15 * (name == "B") + 10 * generator.normal(size=300), 0, 100).tolist()
            for name, own in latent.items()
        }
        labelled = generator.permutation(300)[:70]
        people = {name: {1: {int(i): 100.0 * bool(own[i] > 0) for i in labelled}} for name, own in latent.items()}
        design = Design(probability=dict.fromkeys(map(int, labelled), 70 / 300), stratum={})
        found = compare_labelled(scores_of(judge), people, design=design).table.comparisons[0]
        assert found.interval is not None
        inside.append(found.interval.low <= 0 <= found.interval.high)
    assert 0.92 <= np.mean(inside) <= 0.99
