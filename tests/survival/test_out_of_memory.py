"""Memory that runs out in the middle of a run: half batches from there on, also behind a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sftframe import Batch, CausalLM, ModelBackend, RunConfig, resume, run
from sftframe.errors import TrainingError
from sftframe.files import read_json_lines
from sftframe.progress import Observer


@pytest.fixture
def small_memory(toy_backend: type[ModelBackend], make_toys: Callable[..., Any]) -> Callable[[int, list[int]], Any]:
    """`small_memory(rows, tried)`: toys whose model has memory for so many rows, and writes down what it was given."""

    def make(most: int, tried: list[int]) -> Any:
        class Small(toy_backend):  # type: ignore[misc, valid-type]
            def load(self, **options: Any) -> CausalLM:
                model: CausalLM = super().load(**options)
                plain = model.loss_sum

                def loss_sum(batch: Batch) -> Tensor:
                    tried.append(len(batch.inputs))
                    if len(batch.inputs) > most:
                        raise torch.OutOfMemoryError("CUDA out of memory")
                    return plain(batch)

                model.loss_sum = loss_sum  # type: ignore[method-assign]
                return model

        return make_toys(backend=Small)

    return make


class Killed(BaseException):
    """The process ends here."""


class DiesBehind(Observer):
    def __init__(self, step: int) -> None:
        self.left = step
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def advance(self, amount: int = 1, **figures: float) -> None:
        self.left -= "loss" in figures
        if self.left == 0:
            raise Killed


def test_a_run_goes_on_with_half_batches_and_says_so_once_and_a_resume_knows(
    settings: dict[str, Any], toys: Any, small_memory: Callable, heard: Any, tmp_path: Path
) -> None:
    changed = {**settings, "model": "toy", "train": {"batch_size": 4, "checkpoint_every": 2}}
    run(RunConfig(**changed, out=tmp_path / "roomy"), registry=toys.registry)
    tried: list[int] = []
    first = DiesBehind(6)
    with pytest.raises(Killed):
        run(RunConfig(**changed, out=tmp_path / "small"), registry=small_memory(2, tried).registry, observer=first)
    assert tried[:5] == [4, 2, 2, 2, 2]
    assert [text for text in first.warnings if "halved" in text] == first.warnings[:1]
    tried.clear()
    resume(tmp_path / "small", registry=small_memory(2, tried).registry, observer=heard)
    assert 4 not in tried
    assert heard.warnings == []
    wanted, found = (
        [line["loss"] for line in read_json_lines(tmp_path / name / "metrics.jsonl") if line["kind"] == "step"]
        for name in ("roomy", "small")
    )
    assert found == pytest.approx(wanted, rel=1e-4)


def test_where_half_a_batch_does_not_fit_either_the_error_says_what_to_lower(
    settings: dict[str, Any], small_memory: Callable, tmp_path: Path
) -> None:
    changed = {**settings, "model": "toy", "train": {"batch_size": 4}}
    with pytest.raises(TrainingError, match=r"^out of memory in step 1 with 2 rows of \d+ tokens: lower --batch-size"):
        run(RunConfig(**changed, out=tmp_path / "run"), registry=small_memory(1, []).registry)
