"""Every tensor's name and shape is checked before a number is copied."""

import pytest
import torch
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.weights.layout import build, fill, shapes, tensors_of

from sftframe import ModelError

CONFIG = NetworkConfig(vocab_size=11, context_length=7, width=6, num_layers=2, num_heads=2)


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes(CONFIG)}


@pytest.fixture
def network():
    return build(CONFIG, "cpu", torch.float32)


def test_what_goes_in_comes_out(network, tensors):
    fill(network, tensors, "here")
    found = tensors_of(network)
    assert found.keys() == tensors.keys()
    assert all(found[name].equal(tensors[name]) for name in tensors)


def test_matrices_are_stored_input_first(network, tensors):
    assert tensors["h.1.mlp.c_fc.weight"].shape == (6, 24)
    fill(network, tensors, "here")
    assert network.h[1].mlp.c_fc.weight.equal(tensors["h.1.mlp.c_fc.weight"].t())


def test_numbers_take_the_type_of_the_network(tensors):
    network = build(CONFIG, "cpu", torch.bfloat16)
    fill(network, tensors, "here")
    assert network.wte.weight.equal(tensors["wte.weight"].bfloat16())


def test_a_filled_network_is_in_evaluation_mode(network):
    assert not network.training


def test_prefix_causal_masks_and_a_tied_head_are_understood(network, tensors):
    theirs = {f"transformer.{name}": tensor for name, tensor in tensors.items()}
    theirs["transformer.h.0.attn.bias"] = torch.ones(1, 1, 7, 7)
    theirs["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    theirs["lm_head.weight"] = tensors["wte.weight"].clone()
    fill(network, theirs, "here")
    assert tensors_of(network)["h.1.ln_2.bias"].equal(tensors["h.1.ln_2.bias"])


def test_a_head_of_its_own_is_refused(network, tensors):
    tensors["lm_head.weight"] = tensors["wte.weight"] + 1
    with pytest.raises(ModelError, match=r"here: 'lm_head.weight' differs from 'wte.weight'"):
        fill(network, tensors, "here")


def test_a_missing_tensor_is_named(network, tensors):
    del tensors["h.1.attn.c_proj.bias"]
    with pytest.raises(ModelError, match=r"here: tensor 'h.1.attn.c_proj.bias' \(6,\) is missing"):
        fill(network, tensors, "here")


def test_another_shape_is_named_with_the_expected_one(network, tensors):
    tensors["wpe.weight"] = torch.zeros(8, 6)
    with pytest.raises(ModelError, match=r"tensor 'wpe.weight' has shape \(8, 6\), expected \(7, 6\)"):
        fill(network, tensors, "here")


def test_tensors_of_further_layers_are_named(network, tensors):
    tensors |= {name.replace("h.1.", "h.2."): tensor for name, tensor in tensors.items() if name.startswith("h.1.")}
    with pytest.raises(ModelError, match=r"'h.2.attn.c_attn.bias' and 11 more has no place in a GPT-2 of 2 layers"):
        fill(network, tensors, "here")


def test_nothing_is_copied_when_something_is_wrong(network, tensors):
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    tensors["ln_f.bias"] = torch.ones(3)
    with pytest.raises(ModelError):
        fill(network, tensors, "here")
    assert not any(parameter.any() for parameter in network.parameters())
