"""What an ablation can be asked for, and what is refused before the first cell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Axis, Plan, make_plan, read_request, split_axes
from sftframe.ablation.planning import read_plan
from sftframe.config import merge
from sftframe.errors import ConfigError

Plans = Callable[..., Plan]


def names(plan: Plan) -> list[str]:
    return [arm.name for arm in plan.grid.arms]


def test_the_table_of_a_file_makes_the_arms(plan: Plans) -> None:
    assert names(plan()) == ["mask-pad", "mask-instruction"]
    assert plan().grid.seeds == (123, 124)
    assert plan(seed=7).grid.seeds == (7, 8)


def test_a_flag_replaces_the_axis_of_the_file(toy_layer: Any, toys: Any) -> None:
    axis = Axis(key="collate.name", values=("pad-only", "mask-pad"))
    assert names(make_plan(read_request(toy_layer, [axis]), toys.registry)) == ["pad-only", "mask-pad"]


def test_one_value_from_a_flag_replaces_the_axis_of_the_file_too(toy_layer: Any, toys: Any) -> None:
    layer = merge(toy_layer, {"ablate": {"set": {"train.lr": [1e-3, 1e-4]}}})
    plan = make_plan(read_request(layer, settings={"collate": "mask-pad"}), toys.registry)
    assert names(plan) == ["lr 0.001", "lr 0.0001"]
    assert {arm.layer["collate"]["name"] for arm in plan.grid.arms} == {"mask-pad"}


def test_a_seam_alone_stands_for_its_components_name(plan: Plans, toy_layer: Any, toys: Any) -> None:
    _, axes = split_axes(["collate=pad-only,mask-pad"])
    assert names(make_plan(read_request(toy_layer, axes), toys.registry)) == ["pad-only", "mask-pad"]


def test_a_plan_can_be_read_from_another_folder(
    plan: Plans, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data_file.parent)
    document = plan(data={"source": f"./{data_file.name}"}).document()
    assert document["data"]["source"] == str(data_file)


def test_options_vary_only_where_a_component_has_them(plan: Plans) -> None:
    found = plan(ablate={"collate": ["mask-pad", "prompt-weight"], "set": {"collate": {"weight": [0.0, 0.5]}}})
    assert names(found) == ["mask-pad", "prompt-weight · weight 0.0", "prompt-weight · weight 0.5"]


def test_a_plan_is_the_same_when_it_is_read_again(plan: Plans, toys: Any) -> None:
    made = plan(ablate={"set": {"train.lr": [1e-3, 2e-3]}})
    again = read_plan(made.document(), toys.registry)
    assert [arm.layer for arm in again.grid.arms] == [arm.layer for arm in made.grid.arms]
    assert (again.grid.seeds, names(again)) == (made.grid.seeds, names(made))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ablate": {"colate": ["a"]}}, r"no configuration key 'ablate\.colate'; did you mean 'collate'\?"),
        (
            {"ablate": {"collate": ["mask-pad", "mask-instructions"]}},
            "no collate strategy 'mask-instructions'; did you",
        ),
        ({"ablate": {"set": {"train.lrr": [1, 2]}}}, r"arm mask-pad · lrr 1: no configuration key 'train\.lrr'"),
        ({"ablate": {"set": {"collate.wieght": [1, 2]}}}, "no arm's --collate has such an option"),
        ({"ablate": {"set": {"data.limit": [10, 20]}}}, r"data\.limit cannot be varied: arms are compared on the same"),
        (
            {"ablate": {"set": {"judge.version": [1, 2]}}},
            r"judge\.version cannot be varied: scores of different judges",
        ),
        ({"ablate": {"set": {"seed": [1, 2]}}}, "seed cannot be varied: seeds are not arms"),
        ({"ablate": {"set": {"train.lr": 1}}}, r"ablate\.set\.train\.lr: expected a list of values, found 1"),
        ({"ablate": {"collate": "mask-pad"}}, "nothing to compare: give a setting at least two values"),
        ({"ablate": {"seeds": 0}}, r"ablate\.seeds"),
        ({"ablate": {"baseline": "mask-padd"}}, "no arm 'mask-padd'; did you mean 'mask-pad'"),
        ({"ablate": {"yardstick": "loss"}}, r"ablate\.yardstick: expected 'judge'"),
        ({"ablate": {"margin": 0}}, r"ablate\.margin: expected more than 0"),
        ({"train": {"lr": -1}}, r"train\.lr"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_mistake_is_said_before_anything_is_run(plan: Plans, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(**changes)


def test_what_an_axis_changes_by_design_is_known(plan: Plans) -> None:
    found = plan(ablate={"collate": "mask-pad", "set": {"train.batch_size": [2, 4], "model.dropout": [0.0, 0.1]}})
    assert found.designed_differences == {"order": "train.batch_size", "initial_weights": "model.dropout"}


def test_an_option_given_once_stays_when_the_plan_is_read_again(toy_layer: Any, toys: Any) -> None:
    layer = merge(toy_layer, {"collate": {"weight": 0.25}, "ablate": {"collate": ["mask-pad", "prompt-weight"]}})
    made = make_plan(read_request(layer), toys.registry)
    again = read_plan(made.document(), toys.registry)
    assert [arm.layer["collate"].get("weight") for arm in made.grid.arms] == [None, 0.25]
    assert [arm.layer for arm in again.grid.arms] == [arm.layer for arm in made.grid.arms]


def test_a_plan_says_once_for_all_arms_which_answers_of_conversations_count(
    toy_layer: Any, toys: Any, tmp_path: Path
) -> None:
    said = [{"role": role, "content": "x"} for role in ("user", "assistant")]
    (tmp_path / "talks.json").write_text(json.dumps([{"messages": said * 2}] * 20))
    layer = {**toy_layer, "prompt": "phi3", "data": {"source": str(tmp_path / "talks.json")}}
    masks = Axis(key="collate.name", values=("pad-only", "mask-pad"))
    plan = make_plan(read_request(layer, [masks]), toys.registry)
    assert plan.grid.notes == (
        "20 of 20 examples are conversations: every answer counts, as every arm's strategy says (collate.turns=last "
        "counts the last one alone)",
    )
    turns = Axis(key="collate.turns", values=("all", "last"))
    assert make_plan(read_request(layer, [turns]), toys.registry).grid.notes == ()


def test_which_answers_count_is_varied_or_set_like_any_setting_of_a_run(toy_layer: Any, toys: Any) -> None:
    """It is a setting of the run, although it stands in the table of the collate strategy."""
    masks = Axis(key="collate.name", values=("pad-only", "mask-pad"))
    turns = Axis(key="collate.turns", values=("all", "last"))
    both = make_plan(read_request(toy_layer, [masks, turns]), toys.registry)
    assert names(both) == [f"{mask} · turns {value}" for mask in ("pad-only", "mask-pad") for value in ("all", "last")]
    once = make_plan(read_request(merge(toy_layer, {"collate": {"turns": "last"}}), [masks]), toys.registry)
    assert [arm.layer["collate"] for arm in once.grid.arms] == [
        {"name": "pad-only", "turns": "last"},
        {"name": "mask-pad", "turns": "last"},
    ]
