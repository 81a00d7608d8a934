"""Curves of several arms: which are drawn together, and what their mean is."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sftframe.analysis import ComparedArm, ComparisonResult
from sftframe.errors import DataError
from sftframe.report import PageInput, read_arm_curves
from sftframe.report.comparison_charts import lines_svg, loss_groups, validation_lines

MakeRun = Callable[..., Any]


def test_the_mean_is_over_seeds_at_the_steps_that_all_have(full: PageInput) -> None:
    first, second = validation_lines(full.result.arms, full.curves)
    # starts 4.1 and 4.2, a quarter of which is 1.025 and 1.05
    assert first.mean[0] == pytest.approx(1.0375)
    assert [*first.mean] == [0, 2, 4, 6]
    assert (first.name, second.name) == ("mask-pad", "mask-instruction")


def test_losses_under_different_masks_are_groups_of_their_own(full: PageInput) -> None:
    groups = loss_groups(full.result.arms, full.curves)
    assert [(group.title, [arm.name for arm in group.arms]) for group in groups] == [
        ("mask-pad", ["mask-pad"]),
        ("mask-instruction", ["mask-instruction"]),
    ]


def test_arms_that_count_the_same_tokens_are_drawn_together(new_run: MakeRun, full: PageInput) -> None:
    arms = [ComparedArm(name=name, runs={1: new_run(**{"train.lr": lr})}) for name, lr in (("slow", 0.1), ("fast", 1))]
    curves = {name: {1: full.curves["mask-pad"][1]} for name in ("slow", "fast")}
    (group,) = loss_groups(arms, curves)
    assert group.title == "mask-pad"
    assert [arm.name for arm in group.arms] == ["slow", "fast"]


@pytest.mark.parametrize("setting", [{"prompt.name": "phi3"}, {"collate.weight": 0.5}, {"tokens.max_length": 9}])
def test_whatever_changes_the_tokens_parts_the_losses(
    new_run: MakeRun, full: PageInput, setting: Mapping[str, Any]
) -> None:
    plain = {"collate.weight": 0.1, "tokens.max_length": 8}
    arms = [
        ComparedArm(name="a", runs={1: new_run(**plain)}),
        ComparedArm(name="b", runs={1: new_run(**{**plain, **setting})}),
    ]
    curves = {name: {1: full.curves["mask-pad"][1]} for name in "ab"}
    groups = loss_groups(arms, curves)
    assert len(groups) == 2
    assert str(*setting.values()) in groups[1].title


def test_a_thin_line_per_seed_goes_with_the_mean(full: PageInput) -> None:
    lines = validation_lines(full.result.arms, full.curves)
    svg = ElementTree.fromstring(lines_svg(lines, label="y", salt="s", width=4, height=3))
    styles = [path.get("style", "") for path in svg.iter("{http://www.w3.org/2000/svg}path")]
    assert sum("stroke-opacity: 0.4" in style for style in styles) == 4
    assert sum("stroke-width: 2.2" in style for style in styles) == 2


def test_curves_are_read_from_the_runs_folders(new_run: MakeRun, tmp_path: Any) -> None:
    run = new_run(path=tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "step": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"metrics.jsonl, line 1: a step without"):
        read_arm_curves([ComparedArm(name="a", runs={1: run})])


def test_a_run_without_metrics_has_no_lines(result: ComparisonResult) -> None:
    curves = read_arm_curves(result.arms)
    assert [*curves] == ["mask-pad", "mask-instruction"]
    assert validation_lines(result.arms, curves) == ()
    assert loss_groups(result.arms, curves) == ()


def test_an_option_that_only_one_component_has_is_not_told(new_run: MakeRun, full: PageInput) -> None:
    phi3 = new_run(**{"prompt.name": "phi3", "prompt.end_tag": True})
    arms = [ComparedArm(name="a", runs={1: new_run()}), ComparedArm(name="b", runs={1: phi3})]
    groups = loss_groups(arms, {name: {1: full.curves["mask-pad"][1]} for name in "ab"})
    assert [group.title for group in groups] == ["mask-pad · alpaca", "mask-pad · phi3"]
