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
