"""Training on several processes against training in one: real processes, gloo, started once for all tests."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sftframe.training import Checkpoint, Trainer, checkpoints, make_trainer
from tests.distributed import jobs

LIMITS = {torch.float64: 1e-12, torch.float32: 2e-6}


def one_process(num_steps: int, checkpoint: Checkpoint | None = None) -> Trainer:
    """Trained without other processes, up to a step."""
    model = jobs.small_gpt2(torch.float32)
    trainer = make_trainer(model, jobs.CHECKPOINTED, num_steps=6)
    if checkpoint is not None:
        checkpoint.restore(model.module, trainer.optimizer)
    for data in jobs.loader().steps(after=checkpoint.step if checkpoint else 0):
        if data.number <= num_steps:
            trainer.step(data)
    return trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three processes, and two of them, have found and written."""
    made = tmp_path_factory.mktemp("ranks")
    trainer = one_process(jobs.NUM_BEFORE)
    checkpoints.save(
        made / "by-1", step=jobs.NUM_BEFORE, module=trainer.model.module, optimizer=trainer.optimizer, state={}
    )
    save_file(jobs.weights(one_process(6).model), str(made / "after.safetensors"))
    jobs.start(
        [(jobs.gradients, 3), (jobs.gradients, 2), (jobs.writing, 2), (jobs.reading, 3), (jobs.leading, 3)], made
    )
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Callable[[str], Any]:
    return lambda name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("num_ranks", [2, 3])
@pytest.mark.parametrize("case", jobs.CASES)
def test_loss_gradients_and_weights_are_those_of_one_process(
    found: Callable[[str], Any], case: str, num_ranks: int
) -> None:
    differences = found(f"gradients-{num_ranks}")[case]
    limit = LIMITS[jobs.CASES[case][2]]
    assert differences["gradient"] < limit
    assert differences["norm"] < 3 * limit
    assert differences["weights"] < 3 * limit
    assert differences["loss"] < 2e-6  # the padded path adds the losses in float32


def test_the_same_number_of_processes_and_the_same_seed_give_the_same_bytes_with_dropout_too(
    found: Callable[[str], Any],
) -> None:
    assert found("writing-2")["same bytes"]


@pytest.mark.parametrize("writer", ["by-1", "by-2"])
def test_three_processes_train_on_from_a_checkpoint_of_one_or_two(found: Callable[[str], Any], writer: str) -> None:
    differences = found("reading-3")
    assert differences[f"{writer}, read"] < 1e-5
    assert differences[f"{writer}, trained on"] < 1e-5


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("other version", "rank 1 on {host}: model 'gpt2-nano' is of plugin sftframe:gpt2 "),
        ("switched off", "rank 1 on {host}: no model backend 'gpt2-nano'"),
        ("other weights", "rank 1 on {host} has weights with SHA-256 "),
        ("no folder", "no folder "),
    ],
)
def test_a_rank_that_would_have_another_model_is_named_before_training(
    found: Callable[[str], Any], case: str, words: str
) -> None:
    message = found("leading-3")[case]
    assert message.startswith(words.format(host=socket.gethostname()))
    assert len(message.splitlines()) == 1


def test_likelihoods_and_answers_of_three_ranks_are_those_of_one_process(found: Callable[[str], Any]) -> None:
    differences = found("leading-3")
    assert differences["nll"] < 1e-5
    assert differences["loss"] < 1e-3
    assert differences["answers"]


def test_one_process_trains_on_from_a_checkpoint_of_two(folder: Path) -> None:
    checkpoint = Checkpoint(folder=folder / "by-2" / f"step-{jobs.NUM_BEFORE}", step=jobs.NUM_BEFORE, state={})
    assert sorted(path.suffix for path in checkpoint.folder.iterdir()) == [".safetensors"] * 2
    read = jobs.weights(one_process(jobs.NUM_BEFORE, checkpoint).model)
    assert jobs.gap(read, load_file(str(folder / "before.safetensors"))) == 0
    trained = jobs.weights(one_process(6, checkpoint).model)
    assert jobs.gap(trained, load_file(str(folder / "after.safetensors"))) < 1e-5
