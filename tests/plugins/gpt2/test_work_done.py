"""How much is computed in training and in measuring likelihoods: what is needed and no more, so that a lost shortcut
fails here. No clock is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sftframe_plugins.collate.strategies import MaskInstruction, MaskPad
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sftframe import Batch, CollateStrategy, Role, TokenizedExample, load_registry

VOCABULARY, WIDTH, LAYERS = 60, 16, 3


@pytest.fixture(scope="module")
def model() -> GPT2LM:
    config = NetworkConfig(vocab_size=VOCABULARY, context_length=40, width=WIDTH, num_layers=LAYERS, num_heads=2)
    network = GPT2(config)
    network.initialise(7)
    return GPT2LM(network.eval(), load_registry().model_backend("gpt2-nano").tokenizer())  # type: ignore[arg-type]


def batch_of(strategy: type[CollateStrategy]) -> Batch:
    """3 rows: 8 tokens in common, then 6 + 3, 2 + 1 and 4 + 5 tokens of prompt and answer, and an end token each."""
    rows = []
    for index, (num_prompt, num_answer) in enumerate([(6, 3), (2, 1), (4, 5)]):
        body = [(11 * index + 5 * i + 1) % (VOCABULARY - 1) for i in range(num_prompt + num_answer)]
        roles = [Role.TEMPLATE] * 8 + [Role.INSTRUCTION] * num_prompt + [Role.RESPONSE] * num_answer + [Role.END]
        rows.append(TokenizedExample(ids=[*range(8), *body, VOCABULARY - 1], roles=roles, index=index))
    return strategy(pad_id=VOCABULARY - 1)(rows)


NUM_POSITIONS = 8 + 9 + 3 + 9
"""The common beginning once, and each row's inputs behind it: all but its end token."""

NUM_STATES = {MaskPad: NUM_POSITIONS, MaskInstruction: (3 + 1) + (1 + 1) + (5 + 1)}
"""Every input predicts something; or only those that predict an answer or its end."""


def multiplications(num_positions: int, num_states: int) -> int:
    """Of linear maps and head: 12 C x C maps a layer, of which the last layer's last 9 are for chosen states only."""
    layers = (12 * (LAYERS - 1) + 3) * WIDTH**2 * num_positions + 9 * WIDTH**2 * num_states
    return layers + VOCABULARY * WIDTH * num_states


def counted(work: Callable[[], object]) -> int:
    """Multiplications of all matrix products that the work takes, those inside attention left out."""
    with FlopCounterMode(display=False) as counter:
        work()
    flops = counter.get_flop_counts()["Global"]
    return sum(count for name, count in flops.items() if str(name) in ("aten.mm", "aten.addmm")) // 2


@pytest.mark.parametrize("strategy", [MaskPad, MaskInstruction])
def test_a_training_step_multiplies_what_is_needed_forward_and_twice_backward(
    model: GPT2LM, strategy: type[CollateStrategy]
) -> None:
    batch = batch_of(strategy)
    done = counted(lambda: model.loss_sum(batch).backward())
    assert done == 3 * multiplications(NUM_POSITIONS, NUM_STATES[strategy])


@pytest.mark.parametrize("strategy", [MaskPad, MaskInstruction])
def test_measuring_likelihoods_multiplies_what_is_needed(model: GPT2LM, strategy: type[CollateStrategy]) -> None:
    batch = batch_of(strategy)
    with torch.inference_mode():
        done = counted(lambda: model.token_nll(batch))
    assert done == multiplications(NUM_POSITIONS, NUM_STATES[strategy])


class Recorder(TorchDispatchMode):
    """Keeps every call's name, the shapes of its tensors, and the shape of its result."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, list[tuple[int, ...]], tuple[int, ...] | None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        shapes = [tuple(one.shape) for one in args if isinstance(one, torch.Tensor)]
        made = tuple(result.shape) if isinstance(result, torch.Tensor) else None
        self.calls.append((func.overloadpacket.__name__, shapes, made))
        return result


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="rows are padded for torch's kernels then")
def test_the_shared_beginning_attends_once_and_each_row_only_with_its_rest(model: GPT2LM) -> None:
    """Queries and keys of each layer: the 8 shared ones; then the rows' 9, 3 and 9, each behind the 8."""
    batch = batch_of(MaskPad)
    with torch.inference_mode(), Recorder() as recorder:
        model.token_nll(batch)
    scores = [made for name, _, made in recorder.calls if name == "bmm"][::2]  # every other product mixes the values
    assert scores == [(2, 8, 8), (2, 9, 17), (2, 3, 11), (2, 9, 17)] * LAYERS
    assert not [name for name, _, _ in recorder.calls if "attention" in name]


def test_the_gradient_of_the_tied_weight_is_one_matrix(model: GPT2LM) -> None:
    """Of the weight's size there is the head's gradient, to which the embedding's rows are added, and nothing else."""
    model.module.zero_grad()
    with Recorder() as recorder:
        model.loss_sum(batch_of(MaskPad)).backward()
    made = [name for name, _, shape in recorder.calls if shape == (VOCABULARY, WIDTH)]
    assert [name for name in made if name not in ("detach", "t", "view")] == ["mm", "index_add_"]
