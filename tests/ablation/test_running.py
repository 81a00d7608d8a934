"""A grid becomes ordinary runs: cell by cell, gone on with, and each for itself where one fails."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Ablation, Plan
from sftframe.errors import ConfigError, Interrupted
from sftframe.runs import RunStore

pytestmark = pytest.mark.usefixtures("plain_drawings")

Plans = Callable[..., Plan]


@pytest.fixture
def ablation(plan: Plans, toys: Any, tmp_path: Path) -> Ablation:
    """Two masks by two seeds, nothing run yet."""
    return Ablation.start(plan(), toys.registry, tmp_path / "grid")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in ("items.jsonl", "responses.jsonl", "toy.safetensors")
        for path in sorted(folder.rglob(name))
    }


def test_every_cell_is_an_ordinary_run_in_the_ablations_folder(ablation: Ablation, seen: Any) -> None:
    results = ablation.run(seen)
    assert [result.error for result in results] == [""] * 4
    assert [str(result.path.relative_to(ablation.folder.path)) for result in results] == [
        "runs/mask-pad/seed-123",
        "runs/mask-instruction/seed-123",
        "runs/mask-pad/seed-124",
        "runs/mask-instruction/seed-124",
    ]
    for result in results:
        assert RunStore.open(result.path).report_path.exists()
    assert seen.of("done") == [0, 1, 2, 3]


def test_within_a_seed_all_arms_share_data_split_weights_and_batches(ran: Callable[..., Any]) -> None:
    _, cells = ran()
    proofs = [json.loads((cell.path / "manifest.json").read_text(encoding="utf-8"))["pairing"] for cell in cells]
    assert proofs[0] == proofs[1] != proofs[2] == proofs[3]


def test_what_is_complete_is_not_run_again(ran: Callable[..., Any], seen: Any, toys: Any) -> None:
    ablation, _ = ran()
    shutil.rmtree(ablation.folder.path / "runs" / "mask-instruction" / "seed-124")
    toys.judged.clear()
    Ablation.reopen(ablation.folder.path, toys.registry).run(seen)
    assert len(toys.judged) == 4  # the test items of one cell


def test_a_grid_that_was_stopped_ends_as_one_that_was_not(
    plan: Plans, finished_once: Callable[..., Path], toys: Any, tmp_path: Path, seen: Any
) -> None:
    class Stopping(type(seen)):  # type: ignore[misc]
        def happened(self, event: Any) -> None:
            super().happened(event)
            if event.number == 1 and event.kind == "begin" and event.text.startswith("answers"):
                raise KeyboardInterrupt

    stopped = tmp_path / "grid"
    ablation = Ablation.start(plan(ablate={"seeds": 1}), toys.registry, stopped)
    with pytest.raises(Interrupted, match=r"1 of 2 cells complete.*sftframe ablate --resume"):
        ablation.run(Stopping())
    Ablation.reopen(stopped, toys.registry).run(seen)
    assert bytes_of(stopped) == bytes_of(finished_once(ablate={"seeds": 1}))
    assert len(bytes_of(stopped)) == 6


def test_a_cell_that_fails_is_named_and_the_rest_goes_on(plan: Plans, toys: Any, tmp_path: Path, seen: Any) -> None:
    grid = plan(ablate={"collate": ["mask-pad"], "set": {"train.lr": [1e-3, 1e30]}, "seeds": 1})
    ablation = Ablation.start(grid, toys.registry, tmp_path / "grid")
    good, bad = ablation.run(seen)
    assert not good.error
    assert "was not taken" in bad.error or "not finite" in bad.error or "cannot be used" in bad.error
    assert seen.of("failed") == [1]


def test_a_failed_cell_is_tried_again(plan: Plans, toys: Any, tmp_path: Path, seen: Any, data_file: Path) -> None:
    grid = plan(data={"source": str(shutil.copy(data_file, tmp_path / "data.json"))}, ablate={"seeds": 1})
    ablation = Ablation.start(grid, toys.registry, tmp_path / "grid")
    (tmp_path / "data.json").rename(tmp_path / "away.json")
    assert all("data.json" in result.error for result in ablation.run(seen))
    (tmp_path / "away.json").rename(tmp_path / "data.json")
    assert not any(result.error for result in ablation.run(seen))


def test_a_folder_that_holds_an_ablation_is_not_taken_for_another(ablation: Ablation, plan: Plans, toys: Any) -> None:
    with pytest.raises(ConfigError, match="contains an ablation already: continue it with --resume"):
        Ablation.start(plan(), toys.registry, ablation.folder.path)


def test_a_folder_of_something_else_is_left_alone(plan: Plans, toys: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty: sftframe does not change it"):
        Ablation.start(plan(), toys.registry, tmp_path)


def test_two_processes_do_not_work_on_one_grid(ablation: Ablation, seen: Any) -> None:
    with ablation.folder.lock(), pytest.raises(ConfigError, match="in use by"):
        ablation.run(seen)
