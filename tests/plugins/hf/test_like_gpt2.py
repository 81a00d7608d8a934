"""GPT-2 has two ways into sftframe, its own network and the one of transformers: both give the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sftframe_plugins.gpt2 import GPT2Nano
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.options import Options
from torch import Tensor

from sftframe import Batch, CausalLM, GenerationSettings
from tests.plugins.hf.test_exactness import ragged_batch


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[CausalLM, CausalLM]:
    """The bundled model in its own network, and as transformers loads what that has saved."""
    own = GPT2Nano().load(device="cpu", dtype="float32", seed=1)
    folder: Path = tmp_path_factory.mktemp("nano")
    own.save(folder)
    return own, HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1)


@pytest.fixture(params=[True, False], ids=["compact", "padded"])
def compacting(both: tuple[CausalLM, CausalLM], request: pytest.FixtureRequest) -> Iterator[tuple[CausalLM, CausalLM]]:
    """Both models, computing compact batches or padded ones."""
    for model in both:
        model.is_compacting = request.param
    yield both
    for model in both:
        model.is_compacting = True


def gradients(model: CausalLM, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and the gradients by the names of our own network; transformers' linear maps are transposed ones."""
    model.module.zero_grad()
    loss = model.loss_sum(batch)
    loss.backward()
    found = {}
    for name, parameter in model.module.named_parameters():
        assert parameter.grad is not None
        name = name.removeprefix("transformer.")
        found[name] = parameter.grad.T if is_transposed(model, name) else parameter.grad
    return loss.detach(), found


def is_transposed(model: CausalLM, name: str) -> bool:
    is_theirs = type(model.module).__name__ == "GPT2LMHeadModel"
    return is_theirs and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))


def test_loss_and_gradients_are_the_same(compacting: tuple[CausalLM, CausalLM]) -> None:
    own, theirs = compacting
    for seed, (num_shared, lengths) in enumerate([(12, (30, 45, 12, 14)), (0, (9, 31, 17))]):
        batch = ragged_batch(num_shared, lengths, seed)
        loss, found = gradients(own, batch)
        other_loss, other = gradients(theirs, batch)
        torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=0)
        assert found.keys() == other.keys()
        for name, gradient in found.items():
            assert float((other[name] - gradient).norm()) <= 1e-5 * float(gradient.norm()) + 1e-7, name


def test_both_write_the_same_answers_and_have_the_same_tokens(both: tuple[CausalLM, CausalLM]) -> None:
    own, theirs = both
    texts = ["Name the opposite of hot.", "naïve café 日本語", "What is 2 + 3?"]
    prompts = own.tokenizer.encode_batch(texts)
    assert theirs.tokenizer.encode_batch(texts) == prompts
    assert theirs.tokenizer.end_id == own.tokenizer.end_id
    settings = GenerationSettings(max_new_tokens=12)
    answers = [sorted((c.position, tuple(c.ids)) for c in model.generate(prompts, settings)) for model in both]
    assert answers[0] == answers[1]
