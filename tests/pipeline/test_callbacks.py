"""Callbacks of somebody who calls sftframe from Python: what they hear, and what their errors leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load

from sftframe import Callback, EvalRecord, Pause, RunConfig, RunEnd, RunStart, Sample, StepRecord, resume, run
from sftframe.errors import ConfigError, PluginError
from sftframe.pipeline import Session
from sftframe.progress import Observer

pytestmark = pytest.mark.usefixtures("plain_drawings")


class Tracker(Callback):
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self.starts: list[RunStart] = []
        self.steps: list[StepRecord] = []
        self.evaluations: list[tuple[EvalRecord, Sample]] = []
        self.ends: list[RunEnd] = []

    def on_run_start(self, start: RunStart) -> None:
        self.starts.append(start)

    def on_step(self, record: StepRecord) -> None:
        self.steps.append(record)

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        self.evaluations.append((record, sample))

    def on_run_end(self, end: RunEnd) -> None:
        self.ends.append(end)


class Broken(Callback):
    """Fails in a step, as a tracker does whose server is gone."""

    def on_step(self, record: StepRecord) -> None:
        if record.step == 7:
            raise ConnectionError("the server is gone")


@pytest.fixture
def train(layer: Callable[..., Any], toys: Any, tmp_path: Path) -> Callable[..., Path]:
    """`train(*callbacks, **changes)`: the folder of a run of which nothing but the training is done."""

    def go(*callbacks: Callback, **changes: Any) -> Path:
        settings = layer(**changes)
        session = Session.start(settings, toys.registry, Observer(), callbacks=callbacks)
        with session.at_work():
            session.train()
        return Path(settings["out"])

    return go


def test_a_tracker_hears_what_the_metrics_say(layer: Callable[..., Any], toys: Any, read_lines: Callable) -> None:
    tracker = Tracker()
    summary = run(RunConfig(**layer(train={"lr": 0.25})), registry=toys.registry, callbacks=[tracker])
    folder = Path(summary.run)
    (start,), (end,) = tracker.starts, tracker.ends
    assert (start.run, start.num_steps, start.num_done) == (folder, 9, 0)
    assert (start.settings["train"]["lr"], start.settings["model"]["name"]) == (0.25, "toy")
    assert end == RunEnd(how="finished", num_done=9, num_steps=9)
    lines = read_lines(folder / "metrics.jsonl")
    assert [{"kind": "step", **asdict(one)} for one in tracker.steps] == [x for x in lines if x["kind"] == "step"]
    found = [{"kind": "eval", **asdict(one)} for one, _ in tracker.evaluations]
    assert found == [x for x in lines if x["kind"] == "eval"]


def test_an_error_in_a_callback_leaves_a_run_that_continues_as_if_nothing_had_happened(
    train: Callable[..., Path], toys: Any, tmp_path: Path, outcome: Callable
) -> None:
    settings = {"epochs": 2, "checkpoint_every": 3, "patience": 50}
    with pytest.raises(PluginError, match=rf"callback {__name__}\.Broken failed in on_step: ConnectionError: ") as told:
        train(Broken(), train=settings)
    folder = tmp_path / "run"
    assert told.value.exit_code == 3
    assert str(told.value).endswith(f"sftframe run --resume {folder}")
    assert {path.name for path in folder.glob("checkpoints/step-*")} == {"step-3", "step-6"}
    tracker = Tracker()
    resume(folder, registry=toys.registry, callbacks=[tracker])
    assert [record.step for record in tracker.steps] == list(range(7, 19))
    assert tracker.starts[0].num_done == 6
    straight = train(out=tmp_path / "straight", train=settings)
    resume(straight, registry=toys.registry)
    assert outcome(folder) == outcome(straight)


def test_pauses_of_a_callback_change_no_file_of_the_run(
    train: Callable[..., Path], tmp_path: Path, read_lines: Callable
) -> None:
    paused: list[int] = []
    seen: dict[int, bytes] = {}

    class Curious(Callback):
        def on_run_start(self, start: RunStart) -> None:
            self.module = start.model.module

        def pauses_after(self, step: int) -> bool:
            return step % 2 == 0

        def on_pause(self, pause: Pause) -> None:
            paused.append(pause.last.step)
            seen[pause.last.step] = self.module.state_dict()["head.weight"].numpy().tobytes()

    settings = {"checkpoint_every": 5, "keep_checkpoints": 9, "keep_optimizer": True, "log_every": 4}
    folders = train(Curious(), train=settings), train(out=tmp_path / "straight", train=settings)
    assert paused == [2, 4, 5, 6, 8, 9]
    found = []
    for folder in folders:
        metrics = [{**line, "seconds": 0} for line in read_lines(folder / "metrics.jsonl")]
        names = sorted(path.name for path in (folder / "checkpoints").iterdir())
        weights = (folder / "checkpoints/step-5/module.safetensors").read_bytes()
        found.append((metrics, names, weights, (folder / "model/toy.safetensors").read_bytes()))
    assert found[0] == found[1]
    assert found[0][1] == ["step-5", "step-9"]
    assert seen[5] == load(found[0][2])["head.weight"].numpy().tobytes() != seen[4]


def test_a_callback_may_end_the_training_with_a_checkpoint_and_a_model(train: Callable[..., Path]) -> None:
    class Enough(Callback):
        num_steps = 0

        def on_step(self, record: StepRecord) -> None:
            self.num_steps = record.step

        @property
        def wants_stop(self) -> bool:
            return self.num_steps == 4

    folder = train(Enough(), train={"keep_optimizer": True})
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-4"]
    assert '"steps":4' in (folder / "train.json").read_text(encoding="utf-8").replace(" ", "")


def test_what_is_no_callback_is_refused_before_anything_is_made(
    layer: Callable[..., Any], toys: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"expected objects of .*, not the class Broken"):
        run(RunConfig(**layer()), registry=toys.registry, callbacks=[Broken])  # type: ignore[list-item]
    assert not (tmp_path / "run").exists()
