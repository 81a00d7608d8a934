"""Low-rank adapters: small, harmless at first, gone after merging."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sftframe import ConfigError
from sftframe.config import LoraConfig
from sftframe.training import LoraAdapters, check_lora

pytest.importorskip("peft")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))


def trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def test_only_the_adapters_are_trained() -> None:
    module = network()
    LoraAdapters(module, LoraConfig(rank=2), seed=1)
    assert sum(p.numel() for p in trainable(module)) == 2 * (8 + 16) + 2 * (16 + 8)


def test_fresh_adapters_change_nothing() -> None:
    module, inputs = network(), torch.randn(3, 8)
    before = module(inputs)
    LoraAdapters(module, LoraConfig(rank=2), seed=1)
    assert torch.equal(module(inputs), before)


def test_after_merging_the_module_has_its_own_layers_and_what_was_learned() -> None:
    module, inputs = network(), torch.randn(3, 8)
    names = set(module.state_dict())
    untuned = module(inputs).detach()
    adapters = LoraAdapters(module, LoraConfig(rank=2), seed=1)
    optimizer = torch.optim.SGD(trainable(module), lr=0.1)
    for _ in range(3):
        module(inputs).pow(2).sum().backward()
        optimizer.step()
    tuned = module(inputs).detach()
    adapters.merge()
    assert set(module.state_dict()) == names
    torch.testing.assert_close(module(inputs), tuned)
    assert not torch.allclose(tuned, untuned)


def test_the_seed_decides_the_random_half() -> None:
    first, same, other = network(), network(), network()
    for module, seed in ((first, 1), (same, 1), (other, 2)):
        LoraAdapters(module, LoraConfig(rank=2), seed=seed)
    drawn = [torch.cat([p.flatten() for p in trainable(module)]) for module in (first, same, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_an_unknown_target_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no linear map named c_atn; the model has: 0, 2"):
        LoraAdapters(network(), LoraConfig(targets=("c_atn",)), seed=1)


def test_a_check_changes_nothing() -> None:
    module = network()
    check_lora(module, LoraConfig(targets=("0",)))
    assert len(trainable(module)) == 4
    with pytest.raises(ConfigError, match="no linear map named 7"):
        check_lora(module, LoraConfig(targets=("0", "7")))


class WithHead(nn.Module):
    """An embedding, a linear map, and a head that has the embedding's weight or its own."""

    def __init__(self, *, is_tied: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(11, 4)
        self.inner = nn.Linear(4, 4)
        self.head = nn.Linear(4, 11, bias=False)
        if is_tied:
            self.head.weight = self.embedding.weight

    def get_output_embeddings(self) -> nn.Linear:
        return self.head

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.inner(self.embedding(ids)))
        return logits


@pytest.mark.parametrize("is_tied", [True, False])
def test_the_head_gets_no_adapter_unless_it_is_named(is_tied: bool) -> None:
    module = WithHead(is_tied=is_tied)
    LoraAdapters(module, LoraConfig(rank=2), seed=1)
    assert sum(p.numel() for p in trainable(module)) == 2 * (4 + 4)


def test_a_head_of_its_own_gets_an_adapter_when_it_is_named() -> None:
    module = WithHead(is_tied=False)
    LoraAdapters(module, LoraConfig(rank=2, targets=("head",)), seed=1)
    assert sum(p.numel() for p in trainable(module)) == 2 * (4 + 11)


def test_a_tied_head_cannot_be_named() -> None:
    with pytest.raises(ConfigError, match="no linear map named head; the model has: inner"):
        LoraAdapters(WithHead(is_tied=True), LoraConfig(targets=("head",)), seed=1)


def test_the_linear_maps_of_the_transposed_kind_get_adapters() -> None:
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    module = nn.Sequential(Conv1D(6, 4))
    inputs = torch.randn(3, 4)
    adapters = LoraAdapters(module, LoraConfig(rank=2), seed=1)
    assert sum(p.numel() for p in trainable(module)) == 2 * (4 + 6)
    with torch.no_grad():
        for parameter in trainable(module):
            parameter.normal_()
    tuned = module(inputs)
    adapters.merge()
    assert type(module[0]) is Conv1D
    torch.testing.assert_close(module(inputs), tuned)
