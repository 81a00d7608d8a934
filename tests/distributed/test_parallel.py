"""Whether the weights are whole on every rank in a step, or layer by layer."""

from __future__ import annotations

import pytest
from torch import nn

from sftframe import CausalLM
from sftframe.config import TrainConfig
from sftframe.distributed.parallel import choose_parallel, rank_bytes


class Plain(CausalLM):
    def save(self, folder: object) -> None:
        raise NotImplementedError


@pytest.fixture
def model() -> CausalLM:
    """Four layers of 400 bytes each, and 1,000 bytes in no layer."""
    module = nn.Module()
    module.embed = nn.Embedding(25, 10)
    module.blocks = nn.ModuleList(nn.Linear(10, 10, bias=False) for _ in range(4))
    return Plain(module, None, 8)  # type: ignore[arg-type]


def test_layers_are_the_list_of_modules_of_one_class_that_has_the_most_weights(model: CausalLM) -> None:
    model.module.heads = nn.ModuleList(nn.Linear(2, 2) for _ in range(9))
    model.module.mixed = nn.ModuleList([nn.Linear(50, 50), nn.Embedding(50, 50)])
    assert list(model.layers) == list(model.module.get_submodule("blocks").children())


def test_a_model_without_such_a_list_has_no_layers() -> None:
    assert list(Plain(nn.Linear(2, 2), None, 8).layers) == []  # type: ignore[arg-type]


def test_a_rank_needs_its_part_of_four_copies_and_what_is_whole_at_one_time(model: CausalLM) -> None:
    # 2,600 bytes: a quarter of 4 copies, then all weights and the gradients of 1,000 + 2 x 400; or both of these groups
    assert rank_bytes(model, 4) == (2600 + 2600 + 1800, 2600 + 2 * 1800)


def test_frozen_weights_have_no_gradients_and_moments(model: CausalLM) -> None:
    model.module.get_submodule("embed").requires_grad_(False)
    assert rank_bytes(model, 2)[0] == (2600 + 3 * 1600) // 2 + 2600 + 1800


@pytest.mark.parametrize(
    ("wanted", "free", "is_resharding"),
    [("auto", 7100, False), ("auto", 7099, True), ("replicate", 0, False), ("shard", 10**9, True)],
)
def test_weights_are_whole_where_the_memory_suffices_unless_the_user_chooses(
    model: CausalLM, wanted: str, free: int, is_resharding: bool
) -> None:
    config = TrainConfig(parallel=wanted)
    chosen = choose_parallel(config, model, num_ranks=4, activation_bytes=100, free_bytes=free)
    assert chosen.is_resharding == is_resharding
    assert f"train.parallel={'shard' if is_resharding else 'replicate'}" in chosen.reason
    assert (" chosen" in chosen.reason) == (wanted == "auto")


def test_a_model_that_does_not_estimate_its_activations_is_told(model: CausalLM) -> None:
    chosen = choose_parallel(TrainConfig(), model, num_ranks=4, activation_bytes=None, free_bytes=10**9)
    assert "without activations" in chosen.reason
