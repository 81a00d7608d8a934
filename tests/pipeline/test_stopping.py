"""Early stopping on the response NLL."""

from __future__ import annotations

from pathlib import Path

import torch

from sftframe.pipeline.stopping import EarlyStopping


def weights_of(value: float) -> torch.nn.Module:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, value)
    return module


def test_training_is_over_after_so_many_evaluations_without_a_new_best(tmp_path: Path) -> None:
    stopping = EarlyStopping(2, tmp_path / "best.safetensors")
    over = []
    for value in (3.0, 2.0, 2.5, 1.9, 1.9, 2.2):
        stopping.observe(value, weights_of(value))
        over.append(stopping.is_over)
    assert over == [False, False, False, False, False, True]


def test_the_best_weights_come_back_not_the_last(tmp_path: Path) -> None:
    stopping = EarlyStopping(1, tmp_path / "checkpoints/best.safetensors")
    for value in (3.0, 2.0, 2.5):
        stopping.observe(value, weights_of(value))
    module = weights_of(9.0)
    stopping.restore_best(module)
    assert module.weight.item() == 2.0


def test_what_was_seen_before_an_interruption_counts(tmp_path: Path) -> None:
    past = [
        {"kind": "eval", "step": 0, "response_nll_per_token": 0.1},
        {"kind": "step", "step": 1},
        {"kind": "eval", "step": 5, "response_nll_per_token": 2.0},
        {"kind": "eval", "step": 10, "response_nll_per_token": 2.5},
    ]
    stopping = EarlyStopping(2, tmp_path / "best.safetensors", past=past)
    assert not stopping.is_over, "the untuned model's evaluation is no mark to beat"
    stopping.observe(2.4, weights_of(2.4))
    assert stopping.is_over
