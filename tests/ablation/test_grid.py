"""Arms from axes: every combination once, and options only where a component has them."""

import pytest

from sftframe.ablation import Axis, split_axes, split_values
from sftframe.ablation.grid import make_grid, seeds_from
from sftframe.errors import ConfigError

BASE = {"prompt": {"name": "alpaca"}, "collate": {"name": "mask-pad"}, "train": {"lr": 1e-3}}


def has_option(seam: str, component: str, option: str) -> bool:
    return (seam, component, option) == ("collate", "prompt-weight", "weight")


def collates(*names: str) -> Axis:
    return Axis(key="collate.name", values=names)


def test_arms_are_all_combinations_with_the_last_axis_fastest() -> None:
    axes = [Axis(key="prompt.name", values=("alpaca", "phi3")), collates("mask-pad", "mask-instruction")]
    grid = make_grid(BASE, axes, [1, 2], has_option)
    assert [arm.name for arm in grid.arms] == [
        "alpaca · mask-pad",
        "alpaca · mask-instruction",
        "phi3 · mask-pad",
        "phi3 · mask-instruction",
    ]
    assert [arm.slug for arm in grid.arms][:2] == ["alpaca_mask-pad", "alpaca_mask-instruction"]


def test_an_arms_layer_has_one_value_of_each_axis_and_all_of_the_base() -> None:
    grid = make_grid(BASE, [Axis(key="train.lr", values=(0.1, 0.2))], [1], has_option)
    assert [arm.layer["train"] for arm in grid.arms] == [{"lr": 0.1}, {"lr": 0.2}]
    assert grid.arms[0].layer["prompt"] == {"name": "alpaca"}


def test_cells_come_seed_by_seed_so_that_an_early_stop_leaves_whole_pairs() -> None:
    grid = make_grid(BASE, [collates("mask-pad", "pad-only")], [5, 6], has_option)
    assert [cell.name for cell in grid.cells()] == [
        "mask-pad · seed 5",
        "pad-only · seed 5",
        "mask-pad · seed 6",
        "pad-only · seed 6",
    ]


def test_an_option_varies_only_the_arms_whose_component_has_it() -> None:
    axes = [collates("mask-pad", "prompt-weight"), Axis(key="collate.weight", values=(0, 0.1))]
    grid = make_grid(BASE, axes, [1], has_option)
    assert [arm.name for arm in grid.arms] == ["mask-pad", "prompt-weight · weight 0", "prompt-weight · weight 0.1"]
    assert grid.arms[2].layer["collate"] == {"name": "prompt-weight", "weight": 0.1}


def test_the_order_of_the_flags_does_not_lose_an_option() -> None:
    axes = [Axis(key="collate.weight", values=(0, 0.1)), collates("mask-pad", "prompt-weight")]
    grid = make_grid(BASE, axes, [1], has_option)
    assert grid.arms[1].layer["collate"] == {"name": "prompt-weight", "weight": 0}


def test_an_option_that_no_arm_has_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"collate\.weight has several values, but no arm's --collate has such an option"
    ):
        make_grid(BASE, [Axis(key="collate.weight", values=(0, 1))], [1], has_option)


def test_a_grid_of_one_arm_has_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        make_grid(BASE, [], [1, 2], has_option)


def test_a_value_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="collate: mask-pad occurs twice"):
        make_grid(BASE, [collates("mask-pad", "mask-pad")], [1], has_option)
    with pytest.raises(ConfigError, match="seeds: 3 occurs twice"):
        make_grid(BASE, [collates("mask-pad", "pad-only")], [3, 3], has_option)
    with pytest.raises(ConfigError, match=r"train\.lr is varied twice"):
        make_grid(BASE, [Axis(key="train.lr", values=(1, 2)), Axis(key="train.lr", values=(3, 4))], [1], has_option)


def test_folders_of_arms_are_distinct_even_where_their_names_are_alike() -> None:
    axes = [Axis(key="judge.model", values=("a/b", "a:b", "A-b"))]
    grid = make_grid({"judge": {"name": "x"}}, axes, [1], lambda *_: True)
    assert [arm.slug for arm in grid.arms] == ["model-a-b", "model-a-b-1", "model-A-b-2"]


def test_a_list_is_one_value_and_a_comma_outside_of_it_separates() -> None:
    layer, axes = split_axes(["train.betas=[0.9, 0.95],[0.9, 0.99]", "train.epochs=1"])
    assert layer == {"train": {"epochs": 1}}
    assert axes == [Axis(key="train.betas", values=([0.9, 0.95], [0.9, 0.99]))]


def test_an_empty_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="a value is empty"):
        split_axes(["train.lr=1e-4,"])


def test_quotes_keep_commas_together() -> None:
    assert split_values("'a, b', c") == ["'a, b'", "c"]


def test_no_seeds_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least one, found 0"):
        seeds_from(0, 123)


def test_an_option_given_once_is_set_in_every_arm_whose_component_has_it() -> None:
    found = make_grid({"collate": {"weight": 0}}, [collates("mask-pad", "prompt-weight")], [1], has_option)
    assert [arm.layer["collate"] for arm in found.arms] == [
        {"name": "mask-pad"},
        {"name": "prompt-weight", "weight": 0},
    ]
    assert found.notes == ("collate.weight=0 applies to prompt-weight only: the other arms have no collate.weight",)


def test_an_option_given_once_that_all_arms_have_needs_no_note() -> None:
    lr = Axis(key="train.lr", values=(1, 2))
    found = make_grid({"collate": {"name": "prompt-weight", "weight": 0.3}}, [lr], [1], has_option)
    assert [arm.layer["collate"]["weight"] for arm in found.arms] == [0.3, 0.3]
    assert found.notes == ()


def test_an_option_given_once_that_no_arm_can_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^collate\.weight is set, but no arm's --collate has such an option"):
        make_grid({"collate": {"weight": 0.5}}, [collates("mask-pad", "pad-only")], [1], has_option)


def test_an_option_of_a_component_that_no_arm_has_goes_with_its_component() -> None:
    base = {"collate": {"name": "prompt-weight", "weight": 0.5}}
    found = make_grid(base, [collates("mask-pad", "pad-only")], [1], has_option)
    assert [arm.layer["collate"] for arm in found.arms] == [{"name": "mask-pad"}, {"name": "pad-only"}]
