"""Seeds and arms are added to an ablation that exists; the cells there are stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Ablation, Axis, Plan, conclude
from sftframe.ablation.conclusion import remedy
from sftframe.ablation.running import extended_document
from sftframe.analysis import ComparisonResult
from sftframe.analysis.pairs import Needed
from sftframe.errors import ConfigError
from sftframe.report import comparison_markdown

pytestmark = pytest.mark.usefixtures("plain_drawings")

Plans = Callable[..., Plan]


@pytest.fixture
def grid(plan: Plans, toys: Any, tmp_path: Path) -> Ablation:
    """Two masks by two seeds (123, 124), nothing run yet."""
    return Ablation.start(plan(), toys.registry, tmp_path / "grid")


def files(folder: Path) -> dict[Path, bytes]:
    runs = (path for path in folder.glob("runs/**/*") if path.is_file() and not path.name.startswith(".lock"))
    return {path: path.read_bytes() for path in runs}


def test_new_seeds_and_arms_are_run_and_what_was_there_is_kept_byte_for_byte(
    ran: Callable[..., Any], toys: Any, seen: Any
) -> None:
    grid, _ = ran(ablate={"seeds": 1})
    before = files(grid.folder.path)
    axes = [Axis(key="collate.name", values=("mask-pad", "prompt-weight"))]
    extended = Ablation.extend(grid.folder.path, toys.registry, seeds=2, axes=axes)
    toys.judged.clear()
    results = extended.run(seen)
    assert [result.cell.name for result in results if not result.error] == [
        f"{mask} · seed {seed}" for seed in (123, 124) for mask in ("mask-pad", "mask-instruction", "prompt-weight")
    ]
    after = files(grid.folder.path)
    assert {path: after[path] for path in before} == before
    assert len(toys.judged) == 4 * 4  # four new cells with four test items each
    again = Ablation.reopen(grid.folder.path, toys.registry)
    assert (len(again.plan.grid.arms), again.plan.grid.seeds) == (3, (123, 124))
    assert not any(one.error for one in again.state())


def test_settings_that_are_changed_for_one_resume_are_not_written_into_the_plan(
    ran: Callable[..., Any], toys: Any, seen: Any
) -> None:
    grid, _ = ran(ablate={"seeds": 1})
    extended = Ablation.extend(grid.folder.path, toys.registry, {"yardstick": "exact_match", "margin": 7.0}, seeds=[9])
    assert (extended.plan.config.yardstick, extended.plan.grid.seeds) == ("exact_match", (123, 9))
    extended.run(seen)
    table = grid.folder.read_plan()["ablate"]
    assert (table["yardstick"], "margin" in table, table["seeds"]) == ("judge", False, [123, 9])


@pytest.mark.parametrize(
    ("wanted", "seeds"), [(4, [7, 1, 8, 9]), (2, [7, 1]), ([1, 30], [7, 1, 30]), (None, [7, 1])], ids=str
)
def test_seeds_are_a_number_in_all_or_seeds_to_add(wanted: Any, seeds: list[int]) -> None:
    document = {"ablate": {"collate": ["a", "b"], "seeds": [7, 1], "set": {}}}
    assert extended_document(document, seeds=wanted, axes=[], settings={})["ablate"]["seeds"] == seeds


def test_one_value_of_a_key_that_is_an_axis_is_added_to_it(grid: Ablation, toys: Any, plan: Plans) -> None:
    more = Ablation.extend(grid.folder.path, toys.registry, settings={"collate": "prompt-weight"})
    assert [arm.name for arm in more.plan.grid.arms] == ["mask-pad", "mask-instruction", "prompt-weight"]


def test_an_axis_that_only_new_arms_have_can_be_added(grid: Ablation, toys: Any) -> None:
    axes = [Axis(key="collate.weight", values=(0.25, 0.75))]
    more = Ablation.extend(grid.folder.path, toys.registry, axes=axes, settings={"collate": "prompt-weight"})
    assert [arm.slug for arm in more.plan.grid.arms] == [
        "mask-pad",
        "mask-instruction",
        "prompt-weight_weight-0.25",
        "prompt-weight_weight-0.75",
    ]


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"seeds": 1}, r"--seeds 1: this ablation has 2 seeds \(123, 124\), and seeds are never removed"),
        ({"settings": {"train": {"lr": 0.5}}}, r"train\.lr is None in all cells of .* and cannot become 0\.5"),
        ({"settings": {"prompt": "alpaca"}}, r"prompt is 'brief' in all cells of .* and cannot become 'alpaca'"),
        (
            {"axes": [Axis(key="train.lr", values=(0.5, 0.25))]},
            r"train\.lr is not varied in .* would change its arm 'mask-pad': values can be added to collate",
        ),
    ],
    ids=["fewer seeds", "a setting", "a component", "a new axis"],
)
def test_what_would_change_cells_is_refused_and_named(
    grid: Ablation, toys: Any, added: dict[str, Any], message: str
) -> None:
    before = grid.folder.plan_path.read_bytes()
    with pytest.raises(ConfigError, match=message):
        Ablation.extend(grid.folder.path, toys.registry, **added)
    assert grid.folder.plan_path.read_bytes() == before


def test_cells_of_another_version_of_a_plugin_stop_a_resume_before_it_spends_anything(
    ran: Callable[..., Any], toys: Any, seen: Any
) -> None:
    grid, cells = ran()
    first = cells[0].path / "manifest.json"
    version = toys.registry.provider("prompt", "brief").version
    first.write_text(first.read_text().replace(f'"version": "{version}"', '"version": "0.0.7"'))
    toys.judged.clear()
    with pytest.raises(ConfigError, match=r"seed-123 was made with .* 0\.0\.7, and now it is from"):
        Ablation.extend(grid.folder.path, toys.registry, seeds=3).run(seen)
    assert toys.judged == []


@pytest.fixture
def open_with(ran: Callable[..., Any]) -> Callable[[Needed | None], ComparisonResult]:
    """A result with this plan for its only comparison; None = settled. Each of the four runs was trained for 90 s."""
    result = conclude(*ran())
    assert result is not None
    timed = {"train": {"seconds": 90.0}}
    arms = [
        replace(arm, runs={seed: replace(run, summary=timed) for seed, run in arm.runs.items()}) for arm in result.arms
    ]
    (found,) = result.main.table.comparisons

    def make(needed: Needed | None) -> ComparisonResult:
        told = replace(found, verdict="cannot tell" if needed else "better", needed=needed)
        table = replace(result.main.table, comparisons=(told,))
        return replace(result, arms=tuple(arms), axes=(), main=replace(result.main, table=table))

    return make


def test_the_verdict_says_the_command_that_adds_the_seeds_which_would_settle_it_and_their_cost(
    open_with: Callable[[Needed | None], ComparisonResult],
) -> None:
    is_open = open_with(Needed(items=None, seeds=4, both=None, would_show="a difference", power=0.8))
    told = remedy(is_open, Path("my grid"), num_seeds=2)
    # four seeds of two arms, 90 s each
    assert told == (
        "Add 4 seeds (about 12 min 0 s of training) and keep the existing runs with: "
        "sftframe ablate --resume 'my grid' --seeds 6"
    )
    assert f"{told}\n" in comparison_markdown(replace(is_open, remedy=told))
    assert remedy(open_with(None), Path("my grid"), num_seeds=2) == ""


def test_a_plan_that_needs_more_items_is_for_a_new_ablation_with_all_its_seeds(
    open_with: Callable[[Needed | None], ComparisonResult],
) -> None:
    needed = Needed(items=None, seeds=None, both=(1100, 3), would_show="equivalence", power=0.8)
    # five seeds of two arms, 90 s each
    assert remedy(open_with(needed), Path("my grid"), num_seeds=2) == (
        "Items cannot be added to an ablation: start a new one with 5 seeds and 1,100 more test items "
        "(about 15 min 0 s of training)."
    )


def test_a_cost_that_is_not_recorded_is_left_out(open_with: Callable[[Needed | None], ComparisonResult]) -> None:
    is_open = open_with(Needed(items=None, seeds=1, both=None, would_show="a difference", power=0.8))
    first, *rest = is_open.arms
    untimed = replace(first, runs={seed: replace(run, summary={}) for seed, run in first.runs.items()})
    told = remedy(replace(is_open, arms=(untimed, *rest)), Path("grid"), num_seeds=2)
    assert told == "Add 1 seed and keep the existing runs with: sftframe ablate --resume grid --seeds 3"
