"""Which runs are arms of one comparison, and which are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sftframe.analysis import group_into_arms
from sftframe.analysis.runs import check_comparable
from sftframe.errors import ConfigError, DataError
from sftframe.runs import LoadedRun, RunStore

Runs = Callable[..., LoadedRun]


def test_runs_that_differ_in_their_seed_alone_are_one_arm(run: Runs) -> None:
    runs = [
        run("a1", seed=1),
        run("b1", seed=1, collate="mask-instruction"),
        run("a2", seed=2),
        run("b2", seed=2, collate="mask-instruction"),
    ]
    arms = group_into_arms(runs)
    assert [(arm.name, sorted(arm.runs)) for arm in arms] == [("mask-pad", [1, 2]), ("mask-instruction", [1, 2])]


def test_an_arm_is_named_after_all_that_tells_it_from_the_others(run: Runs) -> None:
    runs = [run("a", train={"lr": 0.1}), run("b", train={"lr": 0.2}), run("c", train={"lr": 0.1}, collate="pad-only")]
    assert [arm.name for arm in group_into_arms(runs)] == [
        "mask-pad · lr 0.1",
        "mask-pad · lr 0.2",
        "pad-only · lr 0.1",
    ]


def test_the_machine_makes_no_arm(run: Runs) -> None:
    runs = [run("a", threads=1), run("b", threads=2, seed=2), run("c", collate="pad-only")]
    assert [arm.name for arm in group_into_arms(runs)] == ["mask-pad", "pad-only"]


def test_a_run_and_its_repetition_with_another_seed_are_nothing_to_compare(run: Runs) -> None:
    with pytest.raises(ConfigError, match=r"nothing to compare.*differ only in their seed"):
        group_into_arms([run("a", seed=1), run("b", seed=2)])


def test_the_same_run_twice_is_refused(run: Runs) -> None:
    with pytest.raises(ConfigError, match="have the same settings and seed 1: leave one out"):
        group_into_arms([run("a"), run("b"), run("c", collate="pad-only")])


@pytest.mark.parametrize("key", ["data", "test"])
def test_runs_on_other_data_or_items_are_refused(run: Runs, key: str) -> None:
    arms = group_into_arms([run("a"), run("b", collate="pad-only", pairing={key: "other"})])
    with pytest.raises(DataError, match="so they cannot be compared: make the runs with the same --data"):
        check_comparable(arms)


def test_unpaired_runs_are_compared_and_it_is_said(run: Runs) -> None:
    arms = group_into_arms([run("a"), run("b", collate="pad-only", pairing={"order": "other"})])
    (note,) = check_comparable(arms)
    assert note.startswith("not paired: within seed 1,")
    assert "other batches" in note


def test_an_ablations_arms_that_do_not_pair_are_refused(run: Runs) -> None:
    arms = group_into_arms([run("a"), run("b", collate="pad-only", pairing={"initial_weights": "other"})])
    with pytest.raises(DataError, match=r"do not pair: within seed 1, .*b has other initial weights than .*a"):
        check_comparable(arms, by_design={})


def test_what_an_axis_changes_by_design_is_said_and_let_pass(run: Runs) -> None:
    arms = group_into_arms([run("a"), run("b", collate="pad-only", pairing={"order": "other"})])
    assert check_comparable(arms, by_design={"order": "train.batch_size"}) == [
        "arms have other batches by design: train.batch_size differs"
    ]


def test_other_seeds_have_other_batches_and_that_is_no_difference_between_arms(run: Runs) -> None:
    arms = group_into_arms([run("a"), run("b", seed=2, pairing={"order": "x"}), run("c", collate="pad-only")])
    assert check_comparable(arms, by_design={}) == []


def test_a_run_that_is_not_finished_is_refused(make_run: Callable[..., Path]) -> None:
    folder = make_run("a")
    (folder / "items.jsonl").unlink()
    with pytest.raises(ConfigError, match="is not finished: finish it with sftframe run --resume"):
        RunStore.open(folder).load()


def test_a_damaged_line_is_said_with_its_run(make_run: Callable[..., Path]) -> None:
    folder = make_run("a")
    (folder / "items.jsonl").write_text('{"index": 1}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"items\.jsonl, line 1: instruction: expected a value, found none"):
        RunStore.open(folder).load()
