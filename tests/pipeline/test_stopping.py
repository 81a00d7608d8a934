"""Early stopping on the response NLL, and the weights of its lowest value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sftframe.files import DiskError
from sftframe.pipeline.training import BestWeights, missing_best
from sftframe.training import checkpoints


def weights_of(value: float) -> torch.nn.Module:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, value)
    return module


def evaluation(step: int, value: float) -> dict[str, Any]:
    return {"kind": "eval", "step": step, "response_nll_per_token": value}


def test_training_is_over_after_so_many_evaluations_without_a_new_best(tmp_path: Path) -> None:
    best = BestWeights(tmp_path, patience=2)
    over = []
    for step, value in enumerate((3.0, 2.0, 2.5, 1.9, 1.9, 2.2), start=1):
        best.observe(step, value, weights_of(value))
        over.append(best.is_over)
    assert over == [False, False, False, False, False, True]


def test_without_patience_it_is_never_over(tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    for step, value in enumerate((1.0, 2.0, 3.0, 4.0), start=1):
        best.observe(step, value, weights_of(value))
    assert not best.is_over


def test_the_best_weights_come_back_not_the_last(tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "checkpoints", patience=1)
    for step, value in enumerate((3.0, 2.0, 2.5), start=1):
        best.observe(step, value, weights_of(value))
    module = weights_of(9.0)
    best.restore(module)
    assert module.weight.item() == 2.0


def test_what_was_seen_before_an_interruption_counts(tmp_path: Path) -> None:
    past = [evaluation(0, 0.1), {"kind": "step", "step": 1}, evaluation(5, 2.0), evaluation(10, 2.5)]
    best = BestWeights(tmp_path, patience=2, past=past)
    assert not best.is_over, "the untuned model's evaluation is no mark to beat"
    best.observe(15, 2.4, weights_of(2.4))
    assert best.is_over


def test_the_best_before_every_checkpoint_is_kept_and_no_other(tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    for step, value in ((2, 3.0), (4, 2.0), (6, 1.0), (8, 0.5)):
        best.observe(step, value, weights_of(value))
    module = weights_of(0.0)
    checkpoints.save(tmp_path, step=5, module=module, optimizer=torch.optim.AdamW(module.parameters()), state={})
    best.forget_others()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-4", "best-8", "step-5"]


def test_best_weights_that_are_damaged_are_refused_and_reported(tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    best.observe(3, 1.0, weights_of(1.0))
    past = [evaluation(0, 9.0), evaluation(3, 1.0)]
    assert missing_best(tmp_path, past) is None
    (tmp_path / "best-3" / "module.safetensors").write_bytes(b"damaged")
    assert missing_best(tmp_path, past) == "the best weights before it, best-3, are missing or damaged"
    with pytest.raises(DiskError, match="best-3 are damaged"):
        best.restore(weights_of(0.0))


def test_before_the_first_evaluation_nothing_is_missing_and_nothing_comes_back(tmp_path: Path) -> None:
    module = weights_of(7.0)
    BestWeights(tmp_path).restore(module)
    assert (module.weight.item(), missing_best(tmp_path, [evaluation(0, 1.0)])) == (7.0, None)
