"""Compiled layers compute what the plain ones do; all layers share their graphs, and answers are not compiled.

torch's `aot_eager` does all of compiling but the last part, machine code: that takes a compiler and a minute.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from sftframe_plugins.hf.model import HFLM, compile_layers
from torch._dynamo.utils import counters

from sftframe import GenerationSettings
from tests.conftest import ByteTokenizer
from tests.plugins.hf.families import network_of
from tests.plugins.hf.test_exactness import RAGGED, assert_same_gradients, gradients, ragged_batch


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def test_loss_and_gradients_are_the_plain_ones_with_few_graphs() -> None:
    plain, compiled = (HFLM(network_of("llama", dtype=torch.float64).train(), None, 128) for _ in range(2))
    assert plain.proof == compiled.proof
    compile_layers(compiled.layers, "aot_eager")
    graphs = []
    for num_shared, lengths in RAGGED * 2:
        batch = ragged_batch(num_shared, lengths)
        loss, wanted = compiled.loss_sum(batch), plain.loss_sum(batch)
        torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=0)
        found = [x if x is None else x.clone() for x in gradients(compiled.module, loss)]
        assert_same_gradients(found, gradients(plain.module, wanted), 1e-5)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[-1] == graphs[len(RAGGED) - 1] <= 2 * len(RAGGED)


def test_answers_are_written_without_compiling() -> None:
    model = HFLM(network_of("llama"), ByteTokenizer(), 128)
    compile_layers(model.layers, "aot_eager")
    (completion,) = model.generate([[5, 6, 7]], GenerationSettings(max_new_tokens=3))
    assert len(completion.ids) == 3
    assert not counters["stats"]["unique_graphs"]
