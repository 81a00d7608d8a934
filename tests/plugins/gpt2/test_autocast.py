"""bfloat16 autocast over float32 weights: what is computed is close, and what is kept stays float32."""

from __future__ import annotations

import pytest
import torch
from sftframe_plugins.collate.strategies import MaskPad
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

from sftframe import Role, TokenizedExample

CONFIG = NetworkConfig(vocab_size=60, context_length=64, width=32, num_layers=2, num_heads=2)


@pytest.mark.parametrize("is_compacting", [True, False])
def test_loss_and_gradients_in_bfloat16_are_near_those_in_float32(
    is_compacting: bool, toy_tokenizer: BytePairTokenizer
) -> None:
    network = GPT2(CONFIG)
    network.initialise(5)
    model = GPT2LM(network.train(), toy_tokenizer)
    model.is_compacting = is_compacting
    rows = [
        TokenizedExample(ids=[*range(8), *range(9 + n, 9 + 2 * n)], roles=[Role.RESPONSE] * (8 + n), index=n)
        for n in (3, 7, 5)
    ]
    batch = MaskPad(pad_id=59)(rows)
    fine = model.loss_sum(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = model.loss_sum(batch)
    parameters = list(network.parameters())
    wanted, found = torch.autograd.grad(fine, parameters), torch.autograd.grad(coarse, parameters)
    assert coarse.dtype == torch.float32
    assert coarse.item() == pytest.approx(fine.item(), rel=0.01)
    assert coarse.item() != fine.item()
    for a, b in zip(wanted, found, strict=True):
        assert b.dtype == torch.float32
        assert float((a - b).norm()) < 0.05 * float(a.norm()) + 1e-3
