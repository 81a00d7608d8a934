"""One place makes a model ready to be trained, as the configuration says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sftframe
from sftframe import CausalLM, CollateStrategy, Role, RunConfig, TokenizedExample
from sftframe.training import TrainingParts, training_parts


@pytest.fixture
def parts(make_model: Callable[..., CausalLM]) -> Callable[..., TrainingParts]:
    """`parts(**train)`: of a toy model and five examples."""

    def make(**train: Any) -> TrainingParts:
        roles = [Role.INSTRUCTION, Role.RESPONSE, Role.RESPONSE, Role.END]
        examples = [TokenizedExample(ids=[i, i + 1, i + 2, 256], roles=roles, index=i) for i in range(5)]
        config = RunConfig(train={"batch_size": 2, "shuffle": False, "epochs": 1, **train})
        return training_parts(make_model(), examples, CollateStrategy(pad_id=256), config)

    return make


def test_the_switches_of_the_model_are_the_configurations(parts: Callable[..., TrainingParts]) -> None:
    plain, other = parts(), parts(compact=False, gradient_checkpointing=True)
    assert (plain.model.is_compacting, plain.model.is_recomputing, plain.adapters) == (True, False, None)
    assert (other.model.is_compacting, other.model.is_recomputing) == (False, True)


def test_with_adapters_only_they_are_trained(parts: Callable[..., TrainingParts]) -> None:
    pytest.importorskip("peft")
    made = parts(lora={"rank": 2})
    (group,) = made.trainer.optimizer.param_groups
    names = {name for name, one in made.model.module.named_parameters() if any(one is each for each in group["params"])}
    assert names
    assert all("lora_" in name for name in names)


def test_the_model_is_compiled_where_that_is_wanted(
    parts: Callable[..., TrainingParts], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[bool] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **settings: compiled.append(True))
    parts()
    assert compiled == []
    parts(compile=True)
    assert compiled == [True]


def test_the_steps_that_are_left_follow_those_that_were_done(parts: Callable[..., TrainingParts]) -> None:
    made = parts()
    assert made.num_done == 0
    steps = made.steps()
    made.trainer.step(next(steps))
    assert made.num_done == 1
    assert [data.number for data in made.steps()] == [2, 3]


@pytest.mark.parametrize(
    ("word", "place"),
    [
        (" Trainer(", "training/parts.py"),
        ("torch.optim.AdamW", "training/optimizer.py"),
        (".found_inf", "training/optimizer.py"),
        (".grad_scale", "training/optimizer.py"),
        ("is_recomputing = config", "training/parts.py"),
    ],
)
def test_what_another_kind_of_training_would_replace_is_in_one_place(word: str, place: str) -> None:
    core = Path(sftframe.__file__).parent
    found = [path for path in core.rglob("*.py") if word in path.read_text(encoding="utf-8")]
    assert [path.relative_to(core).as_posix() for path in found] == [place]
