"""The forward and backward pass of a step never ask the device for a number that the CPU would have to wait for.

Tensors on torch's `meta` device have shapes and no values: reading one, or a shape that depends on values, raises. So a
step that runs there runs on a GPU without waiting.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from sftframe_plugins.collate.strategies import MaskInstruction, MaskPad, PromptWeight
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sftframe import Batch, Role, TokenizedExample, compact
from sftframe.compaction.layout import HEAD_ROWS
from sftframe.training import batch_on

META = torch.device("meta")
CONFIG = NetworkConfig(vocab_size=60, context_length=2048, width=16, num_layers=2, num_heads=2)


class OneDevice(TorchDispatchMode):
    """Refuses an operation on the device that takes a tensor from the CPU too; single numbers may come along."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.dim()]
        assert len({x.device.type for x in tensors}) < 2 or func is torch.ops.aten._to_copy.default, func
        return func(*args, **(kwargs or {}))


@pytest.fixture
def model(toy_tokenizer: BytePairTokenizer) -> GPT2LM:
    """A network that has shapes only."""
    return GPT2LM(GPT2(CONFIG).to(META), toy_tokenizer)


def rows(lengths: list[int], num_common: int = 8) -> list[TokenizedExample]:
    def ids(row: int, length: int) -> list[int]:
        return [*range(num_common), *(1 + (7 * row + 3 * i) % 50 for i in range(length))]

    def roles(length: int) -> list[Role]:
        return [Role.TEMPLATE] * num_common + [Role.INSTRUCTION] * (length - 2) + [Role.RESPONSE, Role.END]

    return [TokenizedExample(ids=ids(i, n), roles=roles(n), index=i) for i, n in enumerate(lengths)]


def batches() -> Iterator[Any]:
    weighted = PromptWeight(PromptWeight.Options(weight=0.3))
    kinds = itertools.product([MaskPad(), MaskInstruction(), weighted], [[5, 9, 2], [4], [3, 3, 3], [700, 680]], [0, 8])
    for strategy, lengths, num_common in kinds:
        strategy.pad_id = 59
        yield pytest.param(strategy(rows(lengths, num_common)), id=f"{strategy.name}-{lengths}-{num_common}")


@pytest.mark.parametrize("batch", list(batches()))
def test_loss_and_gradients_need_no_number_from_the_device(model: GPT2LM, batch: Batch) -> None:
    moved = batch_on(batch, META)
    with OneDevice():
        (model.loss_sum(moved) / 7.0).backward()
    assert {parameter.grad.device for parameter in model.module.parameters()} == {META}


def test_more_than_one_chunk_of_logits_is_among_them() -> None:
    strategy = MaskPad(pad_id=59)
    assert len(compact(strategy(rows([700, 680], 0))).chunks) == 2
    assert 700 < HEAD_ROWS < 1300


@pytest.mark.parametrize("wish", ["is_recomputing", "dropout"])
def test_neither_do_recomputing_and_dropout(wish: str, toy_tokenizer: BytePairTokenizer) -> None:
    network = GPT2(replace(CONFIG, dropout=0.1 if wish == "dropout" else 0.0)).to(META)
    model = GPT2LM(network.train(), toy_tokenizer)
    model.is_recomputing = wish == "is_recomputing"
    model.loss_sum(batch_on(MaskPad(pad_id=59)(rows([5, 9, 2])), META)).backward()


def test_likelihoods_are_measured_without_one_either(model: GPT2LM) -> None:
    with torch.inference_mode():
        assert model.token_nll(batch_on(MaskPad(pad_id=59)(rows([5, 9, 2])), META)).shape == (3, 16)


def test_a_batch_without_its_hosts_copy_does_ask(model: GPT2LM) -> None:
    alone = Batch(
        inputs=torch.empty(2, 5, dtype=torch.int64, device=META), targets=torch.empty(2, 5, device=META).long()
    )
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        model.loss_sum(alone)


def test_what_moves_is_what_was_there() -> None:
    batch = MaskPad(pad_id=59)(rows([5, 9, 2]))
    layout = compact(batch)
    moved = compact(batch_on(batch, META))
    for name in ("ids", "positions", "slots", "sources", "states", "term_states", "term_targets", "term_weights"):
        here, there = getattr(layout, name), getattr(moved, name)
        assert (there.shape, there.dtype, there.device) == (here.shape, here.dtype, META)
    assert moved.rest_lengths == layout.rest_lengths
