"""A run that is killed at any moment and gone on with leaves what an undisturbed one leaves, byte for byte."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

REPORT = ("loss.png", "report.html", "summary.json", "items.jsonl")
STAGES = ("measure_before", "train", "answer", "judge")
"""All but the report, which takes three quarters of a toy run."""


def finish(launch: Callable, folder: Path, settings: dict[str, Any], **order: Any) -> Any:
    """What a person does behind a kill: go on with the run or, where its settings were not written, begin it again."""
    if (folder / "config.toml").exists():
        return launch(folder, resume=True, **order)
    return launch(folder, config=settings, **order)


def moments(operations: Iterable[str]) -> list[int]:
    """The first of every operation on every kind of file, and the last renaming of each; names without numbers."""
    kinds: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        kind = "".join(letter for letter in operation if not letter.isdecimal())
        kinds.setdefault(kind, []).append(number)
    last = {places[-1] for kind, places in kinds.items() if kind.startswith("rename")}
    return sorted(last | {places[0] for places in kinds.values()})


@pytest.mark.parametrize("number", range(20))
def test_killed_at_a_random_moment(
    number: int, straight: Any, launch: Callable, settings: dict[str, Any], left_behind: Callable, tmp_path: Path
) -> None:
    folder, undisturbed = straight
    share = random.Random(number).random()
    killed = launch(tmp_path / "run", config=settings, kill_after_s=share * undisturbed.seconds)
    assert killed.status in (-signal.SIGKILL, 0), killed.message
    resumed = finish(launch, tmp_path / "run", settings)
    assert resumed.status == 0, resumed.message
    assert left_behind(tmp_path / "run") == left_behind(folder)


def test_killed_in_the_middle_of_every_kind_of_change_to_the_disk(
    straight: Any, launch: Callable, settings: dict[str, Any], left_behind: Callable, tmp_path: Path
) -> None:
    folder, _ = straight
    wanted = left_behind(folder, but=REPORT)
    operations = launch(tmp_path / "counted", config=settings, stages=STAGES).operations
    assert len(operations) > 200
    for number in moments(operations):
        run = tmp_path / f"run-{number}"
        killed = launch(run, config=settings, stages=STAGES, kill_at=number)
        assert (killed.status, len(killed.operations)) == (-signal.SIGKILL, number + 1), killed.message
        resumed = finish(launch, run, settings, stages=STAGES)
        assert (resumed.status, resumed.message) == (0, ""), operations[number]
        assert left_behind(run, but=REPORT) == wanted, operations[number]


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
    pytest.importorskip("peft")
    train = {**settings["train"], "lora": {"rank": 2, "dropout": 0.1}, "accumulate": 2, "epochs": 2, "patience": 2}
    changed = {**settings, "train": {**train, "schedule": "cosine", "warmup_steps": 2, "clip_norm": 1.0}}
    straight = launch(tmp_path / "straight", config=changed, stages=["train"])
    assert straight.status == 0, straight.message
    for number in (60, 110):
        run = tmp_path / f"run-{number}"
        assert launch(run, config=changed, stages=["train"], kill_at=number).status == -signal.SIGKILL
        resumed = launch(run, resume=True, stages=["train"])
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
