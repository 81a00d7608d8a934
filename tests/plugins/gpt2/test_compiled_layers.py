"""Compiled layers compute what the plain ones do, and ragged batches compile them no more than once.

torch's `aot_eager` does all of compiling but the last part, machine code: that takes a compiler and a minute.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from sftframe_plugins.collate.strategies import MaskPad
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from torch._dynamo.utils import counters

from sftframe import Batch, Role, TokenizedExample

CONFIG = NetworkConfig(vocab_size=60, context_length=64, width=16, num_layers=3, num_heads=2)


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def model_of(tokenizer: BytePairTokenizer) -> GPT2LM:
    network = GPT2(CONFIG)
    network.initialise(3)
    return GPT2LM(network.train(), tokenizer)


def batch(lengths: list[int]) -> Batch:
    rows = [
        TokenizedExample(
            ids=[(13 * row + 7 * i) % 60 for i in range(length)], roles=[Role.RESPONSE] * length, index=row
        )
        for row, length in enumerate(lengths)
    ]
    return MaskPad(pad_id=59)(rows)


RAGGED = [batch(lengths) for lengths in ([5, 9, 2], [30, 30], [7], [12, 3, 3, 8, 2], [40, 41, 2])]


def test_loss_and_gradients_are_the_plain_ones(toy_tokenizer: BytePairTokenizer) -> None:
    plain, compiled = model_of(toy_tokenizer), model_of(toy_tokenizer)
    compiled.module.compile_layers("aot_eager")
    for one in RAGGED:
        losses = [model.loss_sum(one) for model in (plain, compiled)]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-6, atol=0)
        wanted, found = (
            torch.autograd.grad(loss, list(model.module.parameters()))
            for loss, model in zip(losses, (plain, compiled), strict=True)
        )
        for a, b in zip(wanted, found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)
    assert counters["stats"]["unique_graphs"] > 0


def test_ragged_batches_and_all_layers_share_what_is_compiled(toy_tokenizer: BytePairTokenizer) -> None:
    model = model_of(toy_tokenizer)
    model.module.compile_layers("aot_eager")
    compiled = []
    for one in RAGGED:
        model.loss_sum(one).backward()
        compiled.append(counters["stats"]["unique_graphs"])
    assert compiled == [2, 2, 2, 2, 2], "the two halves of a layer, with the first batch"


def test_answers_and_evaluations_are_left_as_they_are(toy_tokenizer: BytePairTokenizer) -> None:
    model = model_of(toy_tokenizer)
    model.module.compile_layers("aot_eager")
    model.module.eval()
    with torch.inference_mode():
        model.token_nll(RAGGED[0])
    assert not counters["stats"]
    assert model.module.state_dict().keys() == model_of(toy_tokenizer).module.state_dict().keys()
