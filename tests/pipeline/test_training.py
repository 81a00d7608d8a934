"""The training part of a run: what is written when, and what ends it early."""

import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from sftframe import Batch, CollateStrategy, ModelBackend, Role, TokenizedExample, hookimpl
from sftframe.config import Layer
from sftframe.errors import ConfigError, Interrupted, PluginError, TrainingError
from sftframe.files import DiskError
from sftframe.pipeline import Session
from sftframe.progress import Observer, Sample
from sftframe.records import EvalRecord
from sftframe.training import checkpoints


@pytest.fixture
def train(start: Callable[..., Session], tmp_path: Path) -> Callable[..., Path]:
    """`train(observer, **changes)`: the folder of a run of which nothing but the training is done."""

    def go(observer: Observer | None = None, **changes: Any) -> Path:
        session = start(observer, **changes)
        with session.at_work():
            session.train()
        return tmp_path / "run"

    return go


def of_kind(lines: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == kind]


def test_every_step_is_a_line_of_the_metrics(train: Callable[..., Path], read_lines: Callable) -> None:
    steps = of_kind(read_lines(train(train={"epochs": 2}) / "metrics.jsonl"), "step")
    # 34 examples in batches of 4 are 9 steps an epoch, the last of 2
    assert [line["step"] for line in steps] == list(range(1, 19))
    assert [line["examples_seen"] for line in steps[7:10]] == [32, 34, 38]
    assert steps[8]["epoch"] == pytest.approx(1.0)
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert all(line["seconds"] > 0 and line["lr"] == 0.003 for line in steps)


@pytest.mark.parametrize(
    ("config", "at"),
    [({"eval_every": 4}, [0, 4, 8, 9]), ({"epochs": 3}, [0, *range(2, 27, 2), 27]), ({"max_steps": 1}, [0, 1])],
)
def test_evaluations_come_before_the_first_step_at_every_interval_and_at_the_end(
    config: Layer, at: list[int], train: Callable[..., Path], read_lines: Callable
) -> None:
    lines = of_kind(read_lines(train(train=config) / "metrics.jsonl"), "eval")
    assert [line["step"] for line in lines] == at


def test_an_evaluation_measures_the_validation_examples_and_answers_the_first(
    train: Callable[..., Path], read_lines: Callable
) -> None:
    told: list[tuple[EvalRecord, Sample]] = []

    class Listening(Observer):
        def evaluated(self, record: EvalRecord, sample: Sample) -> None:
            told.append((record, sample))

    lines = of_kind(read_lines(train(Listening(), train={"max_steps": 2}) / "metrics.jsonl"), "eval")
    record, sample = told[-1]
    assert (record.sample_index, sample.instruction, sample.reference) == (38, "After 38?", "It is 39. Yes. Yes.")
    assert record.sample_text == sample.answer == lines[-1]["sample_text"]
    assert [one.validation_loss for one, _ in told] == [line["validation_loss"] for line in lines]
    # under `mask-pad` the loss is the mean over all tokens of the two validation examples but the first of each
    assert record.validation_loss == pytest.approx(
        _mean(record.prompt_nll_per_token, 2 * 14, record.response_nll_per_token, 2 * 11 + 10), rel=1e-6
    )


def test_the_answer_of_an_evaluation_is_cut_where_it_says_enough(train: Callable[..., Path]) -> None:
    """An untuned model never stops, and its babble would take longer than the steps between two evaluations."""
    told: list[Sample] = []

    class Listening(Observer):
        def evaluated(self, record: EvalRecord, sample: Sample) -> None:
            told.append(sample)

    train(Listening(), train={"max_steps": 1}, model={"name": "toy", "context": 200}, generate={"max_new_tokens": 150})
    assert len(told[0].answer) == 48  # characters are tokens here


def _mean(first: float, num_first: int, second: float, num_second: int) -> float:
    return (first * num_first + second * num_second) / (num_first + num_second)


def test_fewer_validation_examples_are_measured_on_request(train: Callable[..., Path], read_lines: Callable) -> None:
    few = of_kind(read_lines(train(train={"max_steps": 1, "eval_examples": 1}) / "metrics.jsonl"), "eval")
    all_ = of_kind(read_lines(train(force=True, train={"max_steps": 1}) / "metrics.jsonl"), "eval")
    assert few[0]["response_nll_per_token"] != all_[0]["response_nll_per_token"]


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"keep_optimizer": True}, ["step-9"]),
        ({"keep_optimizer": True, "checkpoint_every": 4, "keep_checkpoints": 9}, ["step-4", "step-8", "step-9"]),
        ({"keep_optimizer": True, "checkpoint_every": 4, "keep_checkpoints": 2}, ["step-8", "step-9"]),
        ({"keep_optimizer": True, "checkpoint_every": 4, "keep_checkpoints": 0}, []),
        ({"checkpoint_every": 4}, []),
        ({"checkpoint_every": 4, "select": "best"}, []),
    ],
)
def test_checkpoints_are_written_at_every_interval_and_at_the_end(
    config: Layer, kept: list[str], train: Callable[..., Path]
) -> None:
    folder = train(train=config)
    assert sorted(path.name for path in folder.glob("checkpoints/*")) == kept
    assert (folder / "model" / "toy.safetensors").is_file()


def test_the_best_weights_stay_where_they_are_asked_for(train: Callable[..., Path]) -> None:
    (kept,) = (train(train={"keep_best": True}) / "checkpoints").iterdir()
    assert kept.name.startswith("best-")


def test_that_checkpoints_are_removed_is_said_with_the_way_to_keep_them(train: Callable[..., Path], heard: Any) -> None:
    train(heard)
    assert "checkpoints removed, model/ has the weights; train.keep_optimizer=true keeps them" in heard.notes


def test_without_checkpoints_a_stop_costs_the_training_and_says_so(
    start: Callable[..., Session], toys: Any, heard: Any, tmp_path: Path
) -> None:
    class Stopping(type(heard)):  # type: ignore[misc]
        def advance(self, amount: int = 1, **figures: float) -> None:
            if figures.get("loss") and not self.warnings:
                self.warnings.append("stopped once")
                signal.raise_signal(signal.SIGINT)

    session = start(Stopping(), train={"keep_checkpoints": 0})
    with session.at_work(), pytest.raises(Interrupted, match=r"\(train.keep_checkpoints=0\): it starts again"):
        session.train()
    assert not (tmp_path / "run" / "checkpoints").exists()
    again = Session.resume(tmp_path / "run", toys.registry, heard)
    with again.at_work():
        again.train()
    assert "train.keep_checkpoints=0: if this run is stopped, its training starts again" in heard.notes
    straight = start(out=tmp_path / "straight", train={"keep_checkpoints": 0})
    with straight.at_work():
        straight.train()
    kept = (tmp_path / "run/model/toy.safetensors").read_bytes()
    assert kept == (tmp_path / "straight/model/toy.safetensors").read_bytes()


def test_the_summary_of_training_counts_what_was_trained_on(train: Callable[..., Path]) -> None:
    summary = json.loads((train(collate="mask-instruction") / "train.json").read_text(encoding="utf-8"))
    assert summary["counted_share"] == {
        "template": 0.0,
        "instruction": 0.0,
        "response": 1.0,
        "end": 1.0,
        "padding": 0.0,
    }
    assert (summary["steps"], summary["examples_seen"]) == (9, 34)
    assert summary["tokens_per_s"] == pytest.approx(summary["tokens_seen"] / summary["seconds"])
    assert summary["peak_memory_bytes"] > 10**6


def test_a_loss_that_is_not_finite_ends_the_run_with_the_last_checkpoint_intact(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"(loss|gradient norm) (nan|inf) in step [2-9] \(examples \d"):
        train(train={"lr": 1e30, "checkpoint_every": 1, "eval_every": 100})
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert set(load_file(checkpoint / "module.safetensors")) >= {"embed.weight", "head.weight"}
    assert not (tmp_path / "run" / "model").exists()


def test_weights_that_went_astray_are_not_saved_over_a_good_checkpoint(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"validation loss nan after step 1: .* the checkpoint before them is int"):
        train(train={"lr": 1e38, "weight_decay": 1e3, "checkpoint_every": 1, "eval_every": 1})
    assert not list((tmp_path / "run").glob("checkpoints/step-*"))


class Wavering(CollateStrategy):
    """Counts what a switch says, and does not hear of the switch later."""

    name = "wavering"
    summary = "for tests"
    counts_prompt = True

    def role_weight(self, role: Role) -> float:
        return 1.0 if role >= Role.RESPONSE or self.counts_prompt else 0.0

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        return CollateStrategy(pad_id=self.pad_id)(examples)


class ById(CollateStrategy):
    """Masks what has the padding's id, and with it every end."""

    name = "by-id"
    summary = "for tests"

    def target_weights(self, example: TokenizedExample) -> Sequence[float]:
        return [float(token_id != self.pad_id) for token_id in example.ids]


class Plugin:
    @hookimpl
    def sftframe_collate_strategies(self) -> list[type[CollateStrategy]]:
        return [Wavering, ById]


def test_a_broken_promise_is_found_before_the_first_step_is_taken(
    layer: Callable[..., Layer], toys: Any, tmp_path: Path, read_lines: Callable
) -> None:
    session = Session.start(layer(collate="wavering"), toys.registry.with_plugin(Plugin(), "slips"), Observer())
    session.setup.components.strategy.counts_prompt = False  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="'wavering' promises to count 0% of template targets"), session.at_work():
        session.train()
    assert of_kind(read_lines(tmp_path / "run" / "metrics.jsonl"), "step") == []


def test_a_strategy_that_loses_the_ends_is_found_before_a_model_is_loaded(
    layer: Callable[..., Layer], toys: Any, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match="'by-id' does not count the end token of example") as caught:
        Session.start(layer(collate="by-id"), toys.registry.with_plugin(Plugin(), "slips"), Observer())
    assert caught.value.exit_code == 3
    assert not (tmp_path / "run").exists()


def test_early_stopping_ends_training_and_keeps_the_best_weights(
    train: Callable[..., Path], read_lines: Callable, heard: Any
) -> None:
    # a rate so high that the model soon gets worse
    folder = train(heard, train={"epochs": 9, "lr": 0.3, "patience": 2, "eval_every": 2, "keep_optimizer": True})
    values = [
        (line["response_nll_per_token"], line["step"])
        for line in of_kind(read_lines(folder / "metrics.jsonl"), "eval")[1:]
    ]
    best, best_step = min(values)
    assert values[-1][1] == best_step + 2 * 2 < 81
    assert f"stopped early after step {values[-1][1]} of 81" in heard.notes
    summary = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    assert summary["steps"] == values[-1][1]
    kept = load_file(folder / "model" / "toy.safetensors")
    last = load_file(folder / "checkpoints" / f"step-{values[-1][1]}" / "module.safetensors")
    assert not kept["head.weight"].equal(last["head.weight"])
    assert math.isfinite(best)


def test_early_stopping_works_with_the_last_weights_too(train: Callable[..., Path], heard: Any) -> None:
    settings = {"epochs": 9, "lr": 0.3, "patience": 2, "eval_every": 2, "keep_optimizer": True, "select": "last"}
    folder = train(heard, train=settings)
    steps = json.loads((folder / "train.json").read_text(encoding="utf-8"))["steps"]
    assert f"stopped early after step {steps} of 81" in heard.notes
    last = load_file(folder / "checkpoints" / f"step-{steps}" / "module.safetensors")
    assert load_file(folder / "model" / "toy.safetensors")["head.weight"].equal(last["head.weight"])


WORSENING = {"epochs": 9, "lr": 0.3, "patience": 2, "eval_every": 2, "checkpoint_every": 1}
"""The model soon gets worse, so that early stopping ends it."""


def test_early_stopping_counts_the_evaluations_before_an_interruption(
    train: Callable[..., Path], toys: Any, tmp_path: Path
) -> None:
    folder = train(train=WORSENING)
    wanted = (folder / "model" / "toy.safetensors").read_bytes()
    last = json.loads((folder / "train.json").read_text(encoding="utf-8"))["steps"]

    class Stop(Observer):
        steps = 0

        def advance(self, amount: int = 1, **figures: float) -> None:
            self.steps += "loss" in figures
            if self.steps == last - 1:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        train(Stop(), force=True, train=WORSENING)
    session = Session.reopen(tmp_path / "run", toys.registry, Observer())
    with session.at_work():
        session.train()
    assert json.loads((folder / "train.json").read_text(encoding="utf-8"))["steps"] == last
    assert (folder / "model" / "toy.safetensors").read_bytes() == wanted


def test_ctrl_c_at_the_very_end_of_training_is_not_lost(train: Callable[..., Path], toys: Any, tmp_path: Path) -> None:
    class CtrlC(Observer):
        def note(self, text: str) -> None:
            if text.startswith("stopped early"):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="everything is saved"):
        train(CtrlC(), train=WORSENING)
    session = Session.reopen(tmp_path / "run", toys.registry, Observer())
    with session.at_work():
        session.train()
    assert (tmp_path / "run" / "model").is_dir()


def test_adapters_are_trained_alone_and_merged_into_the_weights(
    train: Callable[..., Path], toy_backend: type[ModelBackend]
) -> None:
    pytest.importorskip("peft")
    tuned = load_file(train(train={"lora": {"rank": 2}}) / "model" / "toy.safetensors")
    untuned = toy_backend().load(device="cpu", dtype="float32", seed=123).module.state_dict()
    assert tuned.keys() == untuned.keys()
    changed = {name for name in tuned if not tuned[name].equal(untuned[name])}
    assert changed == {"layers.0.weight", "layers.1.weight", "head.weight"}


def test_targets_that_the_model_lacks_are_said_before_a_folder_is_made(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match=r"train\.lora\.targets: no linear map named c_atn; the model has: "):
        start(train={"lora": {"targets": "c_atn"}})
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_said_before_a_model_is_loaded(
    start: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"train\.lora needs peft: pip install 'sftframe\[lora\]'"):
        start(train={"lora": {"rank": 2}}, data={"source": str(tmp_path / "not there.json")})
    assert not (tmp_path / "run").exists()


PACED = {"epochs": 2, "eval_every": 7, "checkpoint_every": 5, "keep_optimizer": True}


def test_steps_read_together_leave_the_same_lines_and_weights(
    start: Callable[..., Session], read_lines: Callable, tmp_path: Path
) -> None:
    found = []
    for every in (1, 4):
        folder = tmp_path / f"every-{every}"
        session = start(out=folder, train=PACED | {"log_every": every})
        with session.at_work():
            session.train()
        lines = read_lines(folder / "metrics.jsonl")
        weights = load_file(folder / "checkpoints" / "step-18" / "module.safetensors")
        found.append(([{**line, "seconds": 0} for line in lines], {name: w.tolist() for name, w in weights.items()}))
    assert found[0] == found[1]
    assert [line["step"] for line in found[1][0]] == [0, *range(1, 8), 7, *range(8, 15), 14, *range(15, 19), 18]


def test_ctrl_c_among_queued_steps_ends_behind_the_next_one_with_a_checkpoint(train: Callable[..., Path]) -> None:
    class Impatient(Observer):
        def evaluated(self, record: EvalRecord, sample: Sample) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped after step 1 of 9"):
        train(Impatient(), train={"log_every": 5, "eval_every": 9})


def test_a_stop_stays_a_stop_where_its_checkpoint_cannot_be_written(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ablation ends with it, instead of taking the next cell to a full disk."""

    class Impatient(Observer):
        def evaluated(self, record: EvalRecord, sample: Sample) -> None:
            signal.raise_signal(signal.SIGINT)

    def full(*_: Any, **__: Any) -> None:
        raise DiskError("cannot write step-1: no space left on device")

    monkeypatch.setattr(checkpoints, "save", full)
    with pytest.raises(
        Interrupted, match=r"step 1 of 9, this step is not saved: cannot write .*; make room .*--resume"
    ):
        train(Impatient(), train={"eval_every": 9})


@pytest.mark.parametrize(("wish", "num_warnings"), [(True, 1), (False, 0)])
def test_a_model_that_does_not_do_gradient_checkpointing_says_so_once(
    train: Callable[..., Path], wish: bool, num_warnings: int
) -> None:
    warned: list[str] = []

    class Listening(Observer):
        def warn(self, text: str) -> None:
            warned.append(text)

    train(Listening(), train={"max_steps": 4, "gradient_checkpointing": wish})
    assert len([line for line in warned if "gradient_checkpointing has no effect" in line]) == num_warnings
