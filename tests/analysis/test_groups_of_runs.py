"""Groups of items in finished runs: from any run that knows them, also beside older runs that know none."""

import csv
import io

import pytest

from sftframe.analysis import compare, group_into_arms
from sftframe.analysis.runs import ComparedArm, groups_of
from sftframe.report.documents import comparison_csv, comparison_document, comparison_markdown

from .conftest import item

SCORES = [10, 12, 80, 78, 40, 44, 90, 85]
BETTER = [30, 34, 81, 80, 42, 45, 70, 64]
FAMILIES = ["a", "a", "b", "b", "c", "c", "d", "d"]


def lines(scores, families=()):
    known = list(families) or [""] * len(scores)
    return [
        item(index, score, **({"group": group} if group else {}))
        for index, (score, group) in enumerate(zip(scores, known, strict=True))
    ]


@pytest.fixture
def arms(run):
    """By name of the groups in the candidate's file: two arms, the baseline of an older version."""

    def make(families, baseline_families=()):
        runs = [
            run("old", items=lines(SCORES, baseline_families)),
            run("new", items=lines(BETTER, families), collate="mask-instruction"),
        ]
        return group_into_arms(runs)

    return make


def test_runs_with_and_without_groups_are_compared_with_the_groups(arms):
    found = compare(arms(FAMILIES))
    comparison = found.main.table.comparisons[0]
    assert comparison.grouping.num_groups == 4
    assert comparison.interval.high - comparison.interval.low > 1.3 * 2 * comparison.grouping.half_width_ungrouped
    assert any(note.endswith("old has none") for note in found.notes)
    assert "4 groups, which count like " in found.main.in_groups


def test_older_runs_are_compared_as_before(arms):
    found = compare(arms([]))
    assert found.main.table.comparisons[0].grouping is None
    assert "group" not in found.sentence
    assert "groups" not in comparison_markdown(found)


def test_items_that_are_together_in_one_of_two_groupings_are_together(arms):
    two = arms(["x", "x", "", "", "y", "y", "z", ""], ["", "p", "p", "", "q", "", "", "q"])
    groups = groups_of(two)
    assert groups[0] == groups[1] == groups[2]
    assert groups[4] == groups[5] == groups[7]
    assert len({groups[0], groups[4], groups[6]}) == 3
    assert 3 not in groups
    assert any("groups of items differ" in note for note in compare(two).notes)


def test_the_group_makes_no_arm(run):
    settings = {"data": {"group": "topic"}}
    runs = [run("a", seed=1), run("b", seed=2, **settings), run("c", collate="pad-only")]
    assert [(arm.name, sorted(arm.runs)) for arm in group_into_arms(runs)] == [("mask-pad", [1, 2]), ("pad-only", [1])]


def test_documents_say_what_the_groups_cost(arms):
    found = compare(arms(FAMILIES, FAMILIES))
    document = comparison_document(found)
    grouping = document["yardsticks"][0]["comparisons"][0]["grouping"]
    assert (grouping["num_groups"], grouping["largest"]) == (4, 2)
    [row, *_] = csv.DictReader(io.StringIO(comparison_csv(found)))
    assert row["num_groups"] == "4"
    assert float(row["half_width"]) == pytest.approx(grouping["half_width"])
    assert "The 8 items are in 4 groups (the largest has 2), and a group is one unit." in comparison_markdown(found)
    assert isinstance(found.arms[0], ComparedArm)


ALIKE = [f"What is {number} times {number}?" for number in range(4)] + [f"How many legs has {n} cats" for n in range(4)]


def alike(scores, **more):
    return [item(index, score, instruction=ALIKE[index], **more) for index, score in enumerate(scores)]


def test_families_without_a_name_are_noted_with_what_they_would_change(run):
    # within a family all differences are the same: +20 in one and +10 in the other, which is one difference per group
    better = [score + (20 if index < 4 else 10) for index, score in enumerate(SCORES)]
    runs = [run("a", items=alike(SCORES)), run("b", items=alike(better), collate="pad-only")]
    found = compare(group_into_arms(runs))
    assert found.main.table.comparisons[0].verdict == "better"
    (note,) = (note for note in found.notes if "look alike" in note)
    assert note.startswith("8 of the 8 test questions look alike in 2 families (the largest has 4, such as 'What is 0")
    # 15 with deviations of 5 and -5: two groups give t(1) * 5 = 63.5, eight items t(7) * sqrt(200 / 7 / 8) = 4.47
    assert "the interval of pad-only would be ±63.5 instead of ±4.47 (14 times as wide)" in note
    assert "pad-only would be 'cannot tell'" in note
    assert "--set data.group=FIELD" in note
    assert note in comparison_markdown(found)


def test_families_are_not_noted_where_groups_are_named_or_ruled_out(run):
    named = [
        run("a", items=[*alike(SCORES[:7]), item(7, 85, instruction=ALIKE[7])]),
        run("b", items=[item(i, s, instruction=ALIKE[i], group="g") for i, s in enumerate(BETTER)], collate="pad-only"),
    ]
    ruled_out = [
        run("c", items=alike(SCORES), data={"group": False}),
        run("d", items=alike(BETTER), data={"group": False}, collate="pad-only"),
    ]
    for runs in (named, ruled_out):
        assert not any("look alike" in note for note in compare(group_into_arms(runs)).notes)
