"""A run that is stopped anywhere and gone on with ends as one that was never stopped."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import RunConfig, Summary, resume, run
from sftframe.config import Layer, merge
from sftframe.errors import Interrupted
from sftframe.files import write_json
from sftframe.pipeline import Session
from sftframe.pipeline.answers import mend
from sftframe.progress import Observer
from sftframe.report import summary_document
from sftframe.training import checkpoints

pytestmark = pytest.mark.usefixtures("plain_drawings")

SETTINGS: dict[str, Any] = {
    "model": {"name": "toy", "dropout": 0.2},
    "train": {"epochs": 1, "checkpoint_every": 2, "eval_every": 3},
    "generate": {"temperature": 0.9, "max_new_tokens": 4},
}
"""Dropout and sampling, so that every random number counts; nine steps."""


class Killed(BaseException):
    """The process ends here, as by a signal that nobody can catch."""


class StopAt(Observer):
    """Raises at the n-th advance."""

    def __init__(self, number: int, error: BaseException) -> None:
        self.number = number
        self.error = error
        self.seen: list[str] = []
        self.stage = ""

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        self.stage = stage

    def advance(self, amount: int = 1, **figures: float) -> None:
        self.seen.append(self.stage)
        if len(self.seen) == self.number:
            raise self.error


@pytest.fixture(scope="module")
def undisturbed(
    plain_layer: Layer, make_toys: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """An undisturbed run of the settings, and the stage of each of its advances."""
    folder, observer = tmp_path_factory.mktemp("straight") / "run", StopAt(0, Killed())
    layer = merge(plain_layer, SETTINGS, {"out": folder})
    run(RunConfig(**layer), registry=make_toys().registry, observer=observer)
    return folder, observer.seen


@pytest.fixture(scope="module")
def straight(undisturbed: tuple[Path, list[str]], outcome: Callable) -> dict[str, Any]:
    """What an undisturbed run of the settings ends with."""
    found: dict[str, Any] = outcome(undisturbed[0])
    return found


def test_a_run_advances_through_every_stage(undisturbed: tuple[Path, list[str]]) -> None:
    _, seen = undisturbed
    counts = {stage: seen.count(stage) for stage in seen}
    assert counts == {
        "tokens": 1,
        "likelihood before": 1,
        "answers before": 1 + 4,
        "judge before": 1 + 4,
        "train": 1 + 9,
        "likelihood after": 1,
        "answers after": 1 + 4,
        "judge after": 1 + 4,
    }


def finish(folder: Path, toys: Any) -> None:
    """Resume the run, but write only the summary of the report: its charts take most of a toy run's time."""
    session = Session.resume(folder, toys.registry, Observer())
    with session.at_work():
        mend(session.folder, session.setup.prepared, Observer().warn)
        session.measure_before()
        session.train()
        session.answer()
        session.judge()
    write_json(folder / "summary.json", summary_document(session.summary()))


# by the counts above: after the likelihoods, between two answers, between two verdicts, before the first step, at
# steps with and without a checkpoint, at the last step, and in each of the stages after training
@pytest.mark.parametrize("number", [2, 5, 10, 13, 17, 18, 22, 23, 28, 33])
def test_stopped_at_once_and_resumed_it_ends_as_a_straight_run(
    number: int,
    straight: dict[str, Any],
    whole_run: Callable[..., Summary],
    outcome: Callable,
    toys: Any,
    tmp_path: Path,
) -> None:
    error = KeyboardInterrupt() if number % 2 else Killed()
    with pytest.raises((Interrupted, Killed)):
        whole_run(StopAt(number, error), **SETTINGS)
    finish(tmp_path / "run", toys)
    assert outcome(tmp_path / "run") == straight


def test_stopped_again_and_again_it_still_ends_as_a_straight_run(
    straight: dict[str, Any], whole_run: Callable[..., Summary], outcome: Callable, toys: Any, tmp_path: Path
) -> None:
    num_stops = 1
    with pytest.raises(Interrupted):
        whole_run(StopAt(7, KeyboardInterrupt()), **SETTINGS)
    while num_stops < 20:
        try:
            resume(tmp_path / "run", registry=toys.registry, observer=StopAt(7, KeyboardInterrupt()))
            break
        except Interrupted:
            num_stops += 1
    assert 3 <= num_stops < 20
    assert outcome(tmp_path / "run") == straight


class CtrlC(Observer):
    """Presses Ctrl-C once, at a step of training."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0

    def advance(self, amount: int = 1, **figures: float) -> None:
        self.steps += "loss" in figures
        if "loss" in figures and self.steps == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("step", [1, 5, 9])
def test_ctrl_c_in_training_ends_behind_the_step_with_a_checkpoint_of_it(
    step: int, straight: dict[str, Any], whole_run: Callable[..., Summary], outcome: Callable, toys: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(
        Interrupted,
        match=rf"^stopped after step {step} of 9, everything is saved; continue with: sftframe run --resume .*run$",
    ):
        whole_run(CtrlC(step), **SETTINGS)
    assert checkpoints.steps(folder / "checkpoints")[0] == step
    resume(folder, registry=toys.registry)
    assert outcome(folder) == straight


def test_ctrl_c_between_steps_says_how_to_go_on(whole_run: Callable[..., Summary], tmp_path: Path) -> None:
    with pytest.raises(
        Interrupted, match=r"^stopped, what was saved so far is kept; continue with: .* --resume .*run$"
    ):
        whole_run(StopAt(4, KeyboardInterrupt()), **SETTINGS)


def test_ctrl_c_before_anything_was_made_leaves_nothing(whole_run: Callable[..., Summary], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        whole_run(StopAt(1, KeyboardInterrupt()), **SETTINGS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "responses-before.jsonl", "verdicts-before.jsonl"])
def test_a_line_cut_by_a_kill_is_written_again(
    name: str, straight: dict[str, Any], whole_run: Callable[..., Summary], outcome: Callable, toys: Any, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        whole_run(StopAt(18, Killed()), **SETTINGS)
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[:-9])
    finish(tmp_path / "run", toys)
    assert outcome(tmp_path / "run") == straight


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    straight: dict[str, Any],
    whole_run: Callable[..., Summary],
    outcome: Callable,
    toys: Any,
    heard: Any,
    tmp_path: Path,
) -> None:
    with pytest.raises(Killed):
        whole_run(StopAt(19, Killed()), **SETTINGS)
    (newest, older) = sorted((tmp_path / "run" / "checkpoints").iterdir(), reverse=True)
    assert (newest.name, older.name) == ("step-4", "step-2")
    (newest / "module.safetensors").write_bytes(b"damaged")
    resume(tmp_path / "run", registry=toys.registry, observer=heard)
    assert heard.warnings == [f"checkpoint {newest} was skipped: it is damaged"]
    assert "resumed after step 2 of 9" in heard.notes
    assert outcome(tmp_path / "run") == straight


def test_what_is_done_is_not_done_again(
    undisturbed: tuple[Path, list[str]],
    straight: dict[str, Any],
    outcome: Callable,
    toys: Any,
    heard: Any,
    tmp_path: Path,
) -> None:
    shutil.copytree(undisturbed[0], tmp_path / "run")
    resume(tmp_path / "run", registry=toys.registry, observer=heard)
    assert outcome(tmp_path / "run") == straight
    assert (toys.judged, heard.stages) == ([], ["data", "tokens", "report"])


def test_the_judge_is_asked_about_missing_items_only(
    whole_run: Callable[..., Summary], toys: Any, tmp_path: Path
) -> None:
    # the 31st advance is the second verdict on the fine-tuned model's answers
    with pytest.raises(Killed):
        whole_run(StopAt(31, Killed()), **SETTINGS)
    assert toys.judged == [34, 35, 36, 37, 34, 35]
    toys.judged.clear()
    resume(tmp_path / "run", registry=toys.registry)
    assert toys.judged == [36, 37]


def test_a_run_killed_between_model_and_its_record_is_finished_from_the_last_checkpoint(
    undisturbed: tuple[Path, list[str]], straight: dict[str, Any], outcome: Callable, toys: Any, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    (folder / "train.json").unlink()
    (folder / ".model.4711.part").mkdir()
    resume(folder, registry=toys.registry)
    assert outcome(folder) == straight
    assert json.loads((folder / "train.json").read_text(encoding="utf-8"))["steps"] == 9
