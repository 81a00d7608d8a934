"""A run that is killed at any moment and gone on with leaves what an undisturbed one leaves, byte for byte."""

from __future__ import annotations

import importlib.util
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPORT = ("loss.png", "report.html", "summary.json", "items.jsonl")
STAGES = ("mend", "measure_before", "train", "answer", "judge")
"""All but the report, which takes three quarters of a toy run."""


def finish(launch: Callable, folder: Path, settings: dict[str, Any], **order: Any) -> Any:
    """What a person does behind a kill: go on with the run or, where its settings were not written, begin it again."""
    if (folder / "config.toml").exists():
        return launch(folder, resume=True, **order)
    return launch(folder, config=settings, **order)


@pytest.fixture(scope="module")
def seconds(launch: Callable, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a process takes for all but the report."""
    ended = launch(tmp_path_factory.mktemp("timed") / "run", config=settings, stages=STAGES, forked=True)
    assert ended.status == 0, ended.message
    return float(ended.seconds)


@pytest.mark.parametrize("number", range(15))
def test_killed_at_a_random_moment(
    number: int,
    seconds: float,
    straight: Any,
    launch: Callable,
    settings: dict[str, Any],
    left_behind: Callable,
    tmp_path: Path,
) -> None:
    folder, _ = straight
    moment = random.Random(number).random() * seconds
    killed = launch(tmp_path / "run", config=settings, stages=STAGES, kill_after_s=moment)
    assert killed.status in (-signal.SIGKILL, 0), killed.message
    resumed = finish(launch, tmp_path / "run", settings, stages=STAGES)
    assert resumed.status == 0, resumed.message
    assert left_behind(tmp_path / "run", but=REPORT) == left_behind(folder, but=REPORT)


def test_killed_while_it_writes_the_report(
    straight: Any, launch: Callable, left_behind: Callable, tmp_path: Path
) -> None:
    folder, _ = straight
    counted = shutil.copytree(folder, tmp_path / "counted")
    operations = launch(counted, resume=True, stages=["report"]).operations
    for name in ("items.jsonl", "report.html"):
        run = Path(shutil.copytree(folder, tmp_path / name))
        for made in REPORT:
            (run / made).unlink()
        kill_at = next(n for n, operation in enumerate(operations) if operation.startswith(f"write .{name}."))
        killed = launch(run, resume=True, stages=["report"], kill_at=kill_at)
        assert killed.status == -signal.SIGKILL
        assert not (run / name).exists()
        resumed = launch(run, resume=True)
        assert resumed.status == 0, resumed.message
        assert left_behind(run) == left_behind(folder)
        assert (run / "report.html").exists()


def test_killed_in_the_middle_of_every_kind_of_change_to_the_disk(
    short: dict[str, Any], launch: Callable, moments: Callable, left_behind: Callable, tmp_path: Path
) -> None:
    straight = launch(tmp_path / "straight", config=short, stages=STAGES)
    wanted = left_behind(tmp_path / "straight")
    # to flush a file changes nothing that a killed process leaves: a kill there is a kill at the next operation
    chosen = [number for number in moments(straight.operations) if not straight.operations[number].startswith("sync")]
    assert len(chosen) > 35
    for number in chosen:
        run = tmp_path / f"run-{number}"
        killed = launch(run, config=short, stages=STAGES, kill_at=number)
        assert (killed.status, len(killed.operations)) == (-signal.SIGKILL, number + 1), killed.message
        resumed = finish(launch, run, short, stages=STAGES)
        assert (resumed.status, resumed.message) == (0, ""), straight.operations[number]
        assert left_behind(run) == wanted, straight.operations[number]


def test_killed_again_and_again(
    straight: Any, launch: Callable, settings: dict[str, Any], left_behind: Callable, tmp_path: Path
) -> None:
    folder, _ = straight
    chance = random.Random(5)
    run, num_kills = tmp_path / "run", 0
    ended = launch(run, config=settings, stages=STAGES, kill_at=chance.randrange(20, 60))
    while ended.status == -signal.SIGKILL:
        num_kills += 1
        ended = finish(launch, run, settings, stages=STAGES, kill_at=chance.randrange(20, 60))
    assert ended.status == 0, ended.message
    assert 3 <= num_kills < 30
    assert left_behind(run, but=REPORT) == left_behind(folder, but=REPORT)


def test_training_alone_is_gone_on_with_too(
    straight: Any, launch: Callable, settings: dict[str, Any], left_behind: Callable, tmp_path: Path
) -> None:
    folder, _ = straight
    run = tmp_path / "run"
    killed = launch(run, config=settings, stages=["train"], kill_at=90)
    assert killed.status == -signal.SIGKILL
    assert launch(run, resume=True, stages=["train"]).status == 0
    found, wanted = left_behind(run), left_behind(folder)
    assert found == {name: wanted[name] for name in found}
    assert {"model/toy.safetensors", "metrics.jsonl", "train.json"} <= found.keys()


def test_adapters_and_averaged_steps_are_gone_on_with(
    launch: Callable, settings: dict[str, Any], left_behind: Callable, tmp_path: Path
) -> None:
    if importlib.util.find_spec("peft") is None:  # the program imports it once for all its runs
        pytest.skip("needs peft")
    train = {**settings["train"], "lora": {"rank": 2, "dropout": 0.1}, "accumulate": 2, "epochs": 2, "patience": 2}
    changed = {**settings, "train": {**train, "schedule": "cosine", "warmup_steps": 2, "clip_norm": 1.0}}
    straight = launch(tmp_path / "straight", config=changed, stages=["train"], forked=True)
    assert straight.status == 0, straight.message
    for number in (60, 110):
        run = tmp_path / f"run-{number}"
        assert launch(run, config=changed, stages=["train"], kill_at=number).status == -signal.SIGKILL
        resumed = launch(run, resume=True, stages=["train"], forked=True)
        assert resumed.status == 0, resumed.message
        assert left_behind(run) == left_behind(tmp_path / "straight")


def test_a_power_cut_never_leaves_a_checkpoint_of_steps_that_the_metrics_have_lost(straight: Any) -> None:
    _, ended = straight
    num_checkpoints = 0
    for number, operation in enumerate(ended.operations):
        if operation.startswith("rename step-"):
            num_checkpoints += 1
            earlier = [before for before in ended.operations[:number] if before.endswith(" metrics.jsonl")]
            assert earlier[-1] == "sync metrics.jsonl"
            assert ended.operations[number + 1] == "sync checkpoints", "the renaming itself is flushed"
    assert num_checkpoints == 5
