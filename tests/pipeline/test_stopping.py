"""The weights of the lowest response NLL, and early stopping in a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sftframe import EvalRecord, Sample
from sftframe.files import DiskError
from sftframe.pipeline.training_files import BestWeights, missing_best
from sftframe.training import checkpoints

SAMPLE = Sample(instruction="Why?", input="", reference="So.", answer="So.")


class Weights:
    """One number, which every evaluation sets to the value that it finds."""

    def __init__(self, value: float = 9.0) -> None:
        self.module = torch.nn.Linear(1, 1, bias=False)
        self.set(value)

    def set(self, value: float) -> None:
        torch.nn.init.constant_(self.module.weight, value)

    @property
    def value(self) -> float:
        return self.module.weight.item()


def evaluated(best: BestWeights, weights: Weights, *found: tuple[int, float]) -> None:
    for step, value in found:
        weights.set(value)
        record = EvalRecord(
            step=step,
            tokens_seen=step,
            validation_loss=1.0,
            response_nll_per_token=value,
            response_nll_per_byte=1.0,
            prompt_nll_per_token=1.0,
            sample_index=0,
            sample_text="So.",
        )
        best.on_evaluation(record, SAMPLE)


def test_the_best_weights_come_back_not_the_last(tmp_path: Path) -> None:
    weights = Weights()
    best = BestWeights(tmp_path / "checkpoints", weights.module)
    evaluated(best, weights, (1, 3.0), (2, 2.0), (3, 2.5))
    best.restore()
    assert weights.value == 2.0


def test_the_untuned_models_evaluation_is_no_mark_to_beat(tmp_path: Path) -> None:
    weights = Weights()
    best = BestWeights(tmp_path, weights.module)
    evaluated(best, weights, (0, 0.1), (2, 3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["best-2"]


def test_what_was_seen_before_an_interruption_is_the_mark_to_beat(tmp_path: Path) -> None:
    weights = Weights()
    best = BestWeights(tmp_path, weights.module, past=[(5, 2.0), (10, 2.5)])
    evaluated(best, weights, (15, 2.4), (20, 1.9), (25, 1.9))
    assert [path.name for path in tmp_path.iterdir()] == ["best-20"]


def test_the_best_before_every_checkpoint_is_kept_and_no_other(tmp_path: Path) -> None:
    weights = Weights()
    best = BestWeights(tmp_path, weights.module)
    evaluated(best, weights, (2, 3.0), (4, 2.0), (6, 1.0), (8, 0.5))
    module = weights.module
    checkpoints.save(tmp_path, step=5, module=module, optimizer=torch.optim.AdamW(module.parameters()), state={})
    best.forget_others()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-4", "best-8", "step-5"]


def test_best_weights_that_are_damaged_are_refused_and_reported(tmp_path: Path) -> None:
    weights = Weights()
    best = BestWeights(tmp_path, weights.module)
    evaluated(best, weights, (3, 1.0))
    assert missing_best(tmp_path, [(3, 1.0)]) is None
    (tmp_path / "best-3" / "module.safetensors").write_bytes(b"damaged")
    assert missing_best(tmp_path, [(3, 1.0)]) == "the best weights before it, best-3, are missing or damaged"
    with pytest.raises(DiskError, match="best-3 are damaged"):
        best.restore()


def test_before_the_first_evaluation_nothing_is_missing_and_nothing_comes_back(tmp_path: Path) -> None:
    weights = Weights(7.0)
    BestWeights(tmp_path, weights.module).restore()
    assert (weights.value, missing_best(tmp_path, [])) == (7.0, None)
