"""The estimate of memory: weights, what layers keep, logits, without a weight being made."""

import pytest
import torch
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.memory import FLOAT, PROCESS
from sftframe_plugins.hf.options import Options


def estimate(folder, num_positions, *, trains_all=True, is_recomputing=False):
    backend = HFBackend(Options(repo=str(folder), weights="random"))
    return backend.training_bytes(num_positions, trains_all=trains_all, is_recomputing=is_recomputing)


def test_weights_gradients_and_moments_are_four_times_the_weights(llama_original):
    model = HFBackend(Options(repo=str(llama_original))).load(device="cpu", dtype="float32", seed=1)
    weights = sum(parameter.numel() for parameter in model.module.parameters()) * 4  # bytes
    assert estimate(llama_original, 0) == PROCESS + 4 * weights
    assert estimate(llama_original, 0, trains_all=False) == PROCESS + weights


def kept_for_real(model, rows):
    """Bytes that are kept for the backward pass of real rows, apart from the weights."""
    weights = {parameter.data_ptr() for parameter in model.module.parameters()}
    kept = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.logits(rows)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox", "gpt2"])
def test_what_layers_keep_is_near_what_they_keep_for_real(family, make_folder):
    folder = make_folder(family)
    model = HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1)
    rows = torch.ones(4, 30, dtype=torch.int64)
    logits = 2 * FLOAT * 300  # per position, of 300 embeddings
    per_position = (estimate(folder, 120) - estimate(folder, 0)) / 120 - logits
    assert kept_for_real(model, rows) / 120 == pytest.approx(per_position, rel=0.25)


def test_recomputing_keeps_the_inputs_of_layers_and_one_layer(make_folder):
    folder = make_folder("llama", num_hidden_layers=8)
    full, less = (estimate(folder, 1000, is_recomputing=is_on) - estimate(folder, 0) for is_on in (False, True))
    logits = 1000 * 2 * FLOAT * 300
    inputs = 1000 * FLOAT * 32 * 8
    assert less - logits == pytest.approx(inputs + (full - logits) / 8, rel=1e-6)


@pytest.mark.parametrize("family", ["bloom", "mamba", "mixtral"])
def test_networks_that_need_numbers_to_run_get_an_estimate_too(family, make_folder):
    folder = make_folder(family)
    assert estimate(folder, 1000) > estimate(folder, 0) + 1000 * FLOAT * 32 * 2 * 10
