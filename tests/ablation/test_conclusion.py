"""From runs to a verdict: what is compared when cells failed, and what a grid could detect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import CellResult, Plan, conclude, detectable_difference
from sftframe.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("plain_drawings")

Plans = Callable[..., Plan]


def test_the_results_hold_every_cell_and_the_comparison(ran: Callable[..., Any]) -> None:
    ablation, cells = ran()
    conclude(ablation, cells)
    found = json.loads(ablation.folder.results_path.read_text(encoding="utf-8"))
    first = found["cells"][0]
    assert (first["arm"], first["seed"], first["error"]) == ("mask-pad", 123, "")
    comparison = found["comparison"]
    assert [arm["name"] for arm in comparison["arms"]] == ["mask-pad", "mask-instruction"]
    assert comparison["arms"][1]["counted_share"]["instruction"] == 0.0
    assert comparison["arms"][0]["counted_share"]["instruction"] == 1.0


def test_a_seed_that_failed_in_one_arm_is_left_out_of_all(ran: Callable[..., Any]) -> None:
    ablation, cells = ran()
    broken = [
        CellResult(cell=one.cell, path=one.path, error="broke" if number == 1 else "")
        for number, one in enumerate(cells)
    ]
    result = conclude(ablation, broken)
    assert result is not None
    assert result.main.table.seeds == (124,)


def test_one_arm_that_is_left_is_no_comparison(ran: Callable[..., Any]) -> None:
    ablation, cells = ran(ablate={"seeds": 1})
    cells[1] = CellResult(cell=cells[1].cell, path=cells[1].path, error="broke")
    assert conclude(ablation, cells) is None
    assert json.loads(ablation.folder.results_path.read_text(encoding="utf-8"))["comparison"] is None


def test_arms_that_drop_other_examples_are_refused(ran: Callable[..., Any], tmp_path: Path) -> None:
    entries = [{"instruction": "Say yes.", "input": "", "output": "Yes." + " Yes." * 20 * (n == 5)} for n in range(40)]
    (tmp_path / "one-is-long.json").write_text(json.dumps(entries), encoding="utf-8")
    ablation, cells = ran(
        ablate={"collate": "mask-pad", "set": {"tokens.max_length": [50, 200]}, "seeds": 1},
        data={"source": str(tmp_path / "one-is-long.json")},
        tokens={"over_long": "drop"},
    )
    with pytest.raises(DataError, match=r"do not pair: within seed 123, .* has another split than"):
        conclude(ablation, cells)


def test_one_seed_is_allowed_and_the_verdict_says_what_it_cannot_speak_of(ran: Callable[..., Any]) -> None:
    result = conclude(*ran(ablate={"seeds": 1}))
    assert result is not None
    assert "; training again with another seed could change this; other models" in result.sentence


def test_a_larger_batch_is_a_difference_by_design(ran: Callable[..., Any]) -> None:
    result = conclude(*ran(ablate={"collate": "mask-pad", "set": {"train.batch_size": [2, 4]}, "seeds": 1}))
    assert result is not None
    assert result.notes == ("arms have other batches by design: train.batch_size differs",)


def test_what_a_grid_detects_follows_from_the_deviation(plan: Plans, toys: Any) -> None:
    # 4 test items, SD 30: 30 / sqrt(4) is 15, and a paired t-test with 3 degrees of freedom needs about 2.8 times more
    said = detectable_difference(plan(ablate={"seeds": 1}), toys.registry, sd=30.0)
    assert said.startswith("with 4 items and 1 seed the smallest difference found with 80 % power is ")
    assert 30 < float(said.split("power is ")[1].split()[0]) < 120


def test_a_pilot_without_results_is_refused(ran: Callable[..., Any], toys: Any) -> None:
    ablation, _ = ran()
    with pytest.raises(ConfigError, match="has no results for 'judge'"):
        detectable_difference(ablation.plan, toys.registry, pilot=ablation.folder.path)


def test_a_pilots_spread_is_taken(ran: Callable[..., Any], toys: Any) -> None:
    ablation, cells = ran()
    conclude(ablation, cells)
    said = detectable_difference(ablation.plan, toys.registry, pilot=ablation.folder.path)
    assert "the smallest difference found with 80 % power is" in said


def test_a_deviation_beside_a_pilot_is_refused(plan: Plans, toys: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--sd and --pilot both say how much scores vary"):
        detectable_difference(plan(), toys.registry, sd=30.0, pilot=tmp_path)


@pytest.mark.parametrize("sd", [0.0, -1.0])
def test_a_deviation_that_cannot_be_is_refused(plan: Plans, toys: Any, sd: float) -> None:
    with pytest.raises(ConfigError, match="expected a positive standard deviation"):
        detectable_difference(plan(), toys.registry, sd=sd)


def test_cells_of_one_arm_whose_style_wrote_another_text_are_refused_by_name(ran: Callable[..., Any]) -> None:
    ablation, cells = ran()
    manifest = cells[2].path / "manifest.json"  # mask-pad, the second seed
    document = json.loads(manifest.read_text(encoding="utf-8"))
    document["template"]["sha256"] = "f" * 64
    manifest.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match=r"not the same prompt text.*ffffffff… in mask-pad · seed 124 \("):
        conclude(ablation, cells)
