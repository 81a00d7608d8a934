"""A model whose logits can be written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sftframe import Batch, CausalLM, Tokenizer
from sftframe.records import StepData


class Table(CausalLM):
    """The logits of a position are the row of a table that its token names; they are all its parameters."""

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


@pytest.fixture
def table(tokenizer: Tokenizer) -> Callable[..., CausalLM]:
    """`table([[logits of token 0], [of token 1], …])`."""

    def make(rows: list[list[float]]) -> CausalLM:
        return Table(nn.Embedding.from_pretrained(torch.tensor(rows), freeze=False), tokenizer, 8)

    return make


@pytest.fixture
def step_data() -> Callable[..., StepData]:
    """`step_data((inputs, targets[, weights]), …, number=1)`: one micro-batch per triple, with indices from 100 on."""

    def make(*triples: tuple[list[list[int]], ...], number: int = 1) -> StepData:
        batches = []
        for i, (inputs, targets, *rest) in enumerate(triples):
            weights: Tensor | None = torch.tensor(rest[0], dtype=torch.float32) if rest else None
            indices = tuple(range(100 + 10 * i, 100 + 10 * i + len(inputs)))
            made = Batch(inputs=torch.tensor(inputs), targets=torch.tensor(targets), weights=weights, indices=indices)
            batches.append(made)
        weight = sum(
            float(batch.weights.sum() if batch.weights is not None else (batch.targets != -100).sum())
            for batch in batches
        )
        return StepData(
            number=number,
            epoch=0.5,
            micro_batches=tuple(batches),
            weight=weight,
            num_tokens=sum(batch.inputs.numel() + len(batch.inputs) for batch in batches),
            num_examples=sum(len(batch.inputs) for batch in batches),
        )

    return make
