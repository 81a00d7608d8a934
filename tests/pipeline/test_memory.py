"""The memory estimate before the start."""

from __future__ import annotations

import pytest

from sftframe import ModelBackend, RunConfig, TrainingError
from sftframe.pipeline.setup import check_memory, free_memory


class Estimating(ModelBackend):
    """Needs a terabyte, unless told to save."""

    name = "estimating"
    summary = "for tests"

    def tokenizer(self, saved=None):
        raise AssertionError("an estimate needs no tokenizer")

    context_length = load = tokenizer

    def training_bytes(self, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
        return 2**40 if trains_all and not is_recomputing else num_positions


def test_too_little_memory_is_refused_with_the_figures_and_ways_out() -> None:
    with pytest.raises(
        TrainingError, match=r"batches of 8 x 50 tokens needs about 1024\.0 GiB, .* GiB are free"
    ) as found:
        check_memory(RunConfig(), Estimating(), longest=50, device="cpu")
    assert "train.lora.rank=16" in str(found.value)
    assert "--skip-memory-check" in str(found.value)


@pytest.mark.parametrize("train", [{"lora": {"rank": 2}}, {"gradient_checkpointing": True}])
def test_the_ways_out_are_estimated_too(train) -> None:
    check_memory(RunConfig(train=train), Estimating(), longest=50, device="cpu")


def test_free_memory_is_of_the_order_of_this_machines() -> None:
    assert 2**20 < free_memory("cpu") < 2**50
