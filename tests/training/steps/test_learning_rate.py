"""The course of the learning rate, step by step; `lr` is 1, so that the figures are factors."""

from typing import Any

import pytest

from sftframe.config import TrainConfig
from sftframe.training.trainer import learning_rate


def course(num_steps: int, **config: Any) -> list[float]:
    settings = TrainConfig(lr=1.0, **config)
    return [learning_rate(settings, step, num_steps) for step in range(1, num_steps + 1)]


def test_by_default_it_is_constant() -> None:
    assert course(3) == [1.0, 1.0, 1.0]


def test_it_warms_up_linearly_and_reaches_the_peak_with_the_last_step_of_it() -> None:
    assert course(6, warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_linear_falls_by_equal_parts_and_would_be_zero_after_the_last_step() -> None:
    assert course(4, schedule="linear") == [1.0, 0.75, 0.5, 0.25]


def test_cosine_falls_slowly_then_fast_then_slowly() -> None:
    # 0.5 * (1 + cos(0, 45, 90 and 135 degrees))
    assert course(4, schedule="cosine") == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_the_fall_begins_behind_the_warm_up() -> None:
    assert course(6, schedule="linear", warmup_steps=2) == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]


def test_a_warm_up_longer_than_the_run_just_rises() -> None:
    assert course(2, schedule="cosine", warmup_steps=4) == [0.25, 0.5]


def test_a_run_of_one_step_trains_at_the_peak() -> None:
    assert course(1, schedule="linear") == [1.0]
