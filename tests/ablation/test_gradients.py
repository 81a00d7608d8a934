"""Cosines between arms' gradients on the same examples at the same weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import Ablation, AblationObserver, Plan, write_gradient_cosines
from sftframe.ablation.gradients import gradient_cosines

Plans = Callable[..., Plan]


def cosines(plan: Plan, toys: Any, **kwargs: Any) -> list[Any]:
    first, *others = plan.grid.arms
    return list(gradient_cosines(first, others, toys.registry, seed=plan.grid.seeds[0], **kwargs))


def test_arms_that_differ_in_their_rate_alone_have_the_same_gradient(plan: Plans, toys: Any) -> None:
    found = cosines(plan(ablate={"collate": "mask-pad", "set": {"train.lr": [1e-3, 1e-4]}}), toys)
    assert [one.step for one in found] == [1, 2, 3]
    assert [one.cosine for one in found] == [pytest.approx(1.0)] * 3
    assert [one.norm_ratio for one in found] == [pytest.approx(1.0)] * 3


def test_masks_pull_in_different_directions(plan: Plans, toys: Any) -> None:
    (first, *_) = cosines(plan(), toys)
    assert (first.baseline, first.candidate) == ("mask-pad", "mask-instruction")
    assert -1 < first.cosine < 0.999


def test_a_weight_of_nought_on_the_prompt_is_masking_it(plan: Plans, toys: Any) -> None:
    arms = {"collate": ["mask-instruction", "prompt-weight"], "set": {"collate.weight": [0.0]}}
    found = cosines(plan(ablate=arms, collate={"name": "prompt-weight", "weight": 0.0}), toys)
    assert [one.cosine for one in found] == [pytest.approx(1.0)] * 3


def test_looks_are_spread_over_the_training(plan: Plans, toys: Any) -> None:
    found = cosines(plan(train={"max_steps": 7}), toys, num_looks=3)
    assert [one.step for one in found] == [1, 4, 7]


def test_other_batches_have_no_gradient_to_compare(plan: Plans, toys: Any) -> None:
    assert cosines(plan(ablate={"collate": "mask-pad", "set": {"train.batch_size": [2, 4]}}), toys) == []


def test_what_was_measured_is_kept_and_not_measured_again(plan: Plans, toys: Any, tmp_path: Path) -> None:
    ablation = Ablation.start(plan(), toys.registry, tmp_path / "grid")
    write_gradient_cosines(ablation, toys.registry, AblationObserver())
    written = ablation.folder.gradients_path.stat().st_mtime_ns
    write_gradient_cosines(ablation, toys.registry, AblationObserver())
    assert ablation.folder.gradients_path.stat().st_mtime_ns == written
    assert [one.step for one in ablation.folder.read_gradients()] == [1, 2, 3]


def test_with_adapters_the_gradients_compared_are_theirs(plan: Plans, toys: Any) -> None:
    pytest.importorskip("peft")
    settings = {"lora": {"rank": 2}}
    same = cosines(plan(train=settings, ablate={"collate": "mask-pad", "set": {"train.lr": [1e-3, 1e-4]}}), toys)
    assert [one.cosine for one in same] == [pytest.approx(1.0)] * 3
    (whole, *_), (adapted, *_) = cosines(plan(), toys), cosines(plan(train=settings), toys)
    assert adapted.cosine != pytest.approx(whole.cosine, abs=1e-6)
