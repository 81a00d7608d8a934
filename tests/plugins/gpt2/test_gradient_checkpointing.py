"""Computing activations again gives the same gradients, bit for bit."""

from __future__ import annotations

import pytest
import torch
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig

from sftframe import Batch, load_registry


@pytest.mark.parametrize("is_compacting", [True, False])
def test_gradients_are_the_same_and_every_lower_layer_runs_twice(is_compacting: bool) -> None:
    tokenizer = load_registry().model_backend("gpt2-nano").tokenizer()
    network = GPT2(NetworkConfig(vocab_size=50, context_length=20, width=16, num_layers=3, num_heads=2))
    network.initialise(3)
    model = GPT2LM(network, tokenizer)
    model.is_compacting = is_compacting
    ids = torch.arange(24).view(2, 12)
    batch = Batch(inputs=ids, targets=ids + 1)
    runs = []
    for block in network.h:
        block.register_forward_pre_hook(lambda module, _inputs: runs.append(module))
    gradients = []
    for model.is_recomputing in (False, True):
        runs.clear()
        gradients.append(torch.autograd.grad(model.loss_sum(batch), list(network.parameters())))
    assert not model.ignores_recomputing
    assert [runs.count(block) for block in network.h] == [2, 2, 1]
    assert all(torch.equal(plain, again) for plain, again in zip(*gradients, strict=True))
