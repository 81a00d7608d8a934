"""A network whose linear maps are laid out for few rows has the states of the network itself."""

import pytest
import torch
from sftframe_plugins.gpt2.generation import packed, packed_bytes
from sftframe_plugins.writing.packed import PackedLinear
from torch import nn

pytestmark = pytest.mark.usefixtures("uninitialised_is_nan")

IDS = torch.randint(0, 265, (5, 30), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def network(toy_peer, network_like):
    return network_like(toy_peer)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (5, 1), (5, 30)])
def test_the_twin_has_the_states_of_the_network(network, shape):
    """Also with fewer rows than are worth the other layout."""
    ids = IDS[: shape[0], : shape[1]]
    with torch.inference_mode():
        twin = packed(network)
        torch.testing.assert_close(twin.hidden(ids), network.hidden(ids), rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(twin(ids), network(ids), rtol=2e-6, atol=1e-5)


def test_the_network_stays_as_it_is_and_shares_all_but_its_linear_maps(network):
    twin = packed(network)
    assert not any(isinstance(layer, PackedLinear) for layer in network.modules())
    assert (
        sum(isinstance(layer, PackedLinear) for layer in twin.modules()) == 2 * 4 + 1
    )  # four maps in each of two layers, the head
    assert twin.wte.weight is network.wte.weight
    assert twin.h[1].ln_2.bias is network.h[1].ln_2.bias


class Doubled(nn.Linear):
    """A linear map that is more than its weights say, as an adapter's is."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_layer_that_is_more_than_a_linear_map_stays_as_it_is(network):
    network.h[0].attn.c_proj = like(network.h[0].attn.c_proj)
    network.h[1].mlp.c_fc = like(network.h[1].mlp.c_fc)
    with torch.inference_mode():
        torch.testing.assert_close(packed(network).hidden(IDS), network.hidden(IDS), rtol=2e-6, atol=2e-6)


def like(linear):
    doubled = Doubled(linear.in_features, linear.out_features)
    doubled.load_state_dict(linear.state_dict())
    return doubled


def test_the_twin_takes_the_memory_of_the_linear_maps(network):
    """Two layers, 48 wide: 3 + 1 + 4 + 4 squares of the width, and a head of 265 tokens; of four bytes."""
    assert packed_bytes(network) == (2 * 12 * 48 * 48 + 265 * 48) * 4
    packs = [layer for layer in packed(network).modules() if isinstance(layer, PackedLinear)]
    assert sum(layer.weight.numel() for layer in packs) == 2 * 12 * 48 * 48 + 265 * 48


def test_a_network_in_training_or_in_another_precision_is_not_packed(network):
    assert packed_bytes(network.train()) is None
    assert packed_bytes(network.eval().to(torch.bfloat16)) is None
