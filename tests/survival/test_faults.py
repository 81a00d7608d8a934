"""Every kind of change to the disk fails once: an error that says where, nothing half, the same end after a resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sftframe.training import checkpoints

STAGES = ("mend", "measure_before", "train", "answer", "judge")


def check_whole(folder: Path) -> None:
    """Whatever is there can be read to its end."""
    for path in folder.rglob("*"):
        is_made = not any(part.endswith(".part") for part in path.parts)
        if path.suffix == ".json" and is_made:
            json.loads(path.read_bytes())
        if path.suffix == ".jsonl" and is_made:
            for line in path.read_bytes().splitlines():
                json.loads(line)
    for place in [*folder.glob("checkpoints/step-*"), *folder.glob("checkpoints/best-*")]:
        assert checkpoints.is_whole(place), place


def test_every_kind_of_operation_fails_once_and_says_so_and_the_run_goes_on_as_if_it_had_not(
    short: dict[str, Any], launch: Callable, moments: Callable, left_behind: Callable, tmp_path: Path
) -> None:
    straight = launch(tmp_path / "straight", config=short, stages=STAGES)
    wanted = left_behind(tmp_path / "straight")
    assert straight.status == 0
    chosen, num_failed = moments(straight.operations), 0
    assert len(chosen) > 50
    for number in chosen:
        run, operation = tmp_path / f"run-{number}", straight.operations[number]
        failed = launch(run, config=short, stages=STAGES, fail_at=number)
        check_whole(run)
        if failed.status == 0:
            assert operation.startswith("remove"), operation  # what cannot be deleted is tried again later
        else:
            num_failed += 1
            assert failed.status == 2, (operation, failed.message)
            is_full = operation.split()[0] in ("write", "open", "fill", "make_dir")
            assert ("No space left on device" if is_full else "Input/output error") in failed.message, operation
            assert str(run) in failed.message, operation
            assert "--resume" in failed.message or "--out" in failed.message, (operation, failed.message)
        resumed = launch(run, resume=(run / "config.toml").exists(), config=short, stages=STAGES)
        assert (resumed.status, resumed.message) == (0, ""), operation
        assert left_behind(run) == wanted, operation
    assert num_failed > 0.8 * len(chosen)
