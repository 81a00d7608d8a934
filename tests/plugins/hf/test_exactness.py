"""Losses and gradients are those that transformers gives for every row by itself, whatever way a batch is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from sftframe_plugins.hf.model import HFLM
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from sftframe import IGNORED, Batch
from tests.plugins.hf.families import COMPACT, FAMILIES, PADDED, VOCABULARY, WINDOW, network_of

RAGGED = ((12, (30, 45, 12, 14)), (0, (9, 31, 17)), (25, (26, 60, 40)))
"""Tokens that all rows begin with, and the rows' lengths; some rows are longer than a window, one is the beginning."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only lose by waiting for each other's threads."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def ragged_batch(num_shared: int, lengths: Sequence[int], seed: int = 0) -> Batch:
    """Rows of random tokens with random weights, about a third of the targets not counted."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randint(3, VOCABULARY, (num_shared,), generator=generator)
    inputs = torch.full((len(lengths), max(lengths)), 2)
    targets = torch.full_like(inputs, IGNORED)
    for row, length in enumerate(lengths):
        ids = torch.randint(3, VOCABULARY, (length + 1,), generator=generator)
        ids[: min(num_shared, length)] = shared[: min(num_shared, length)]
        inputs[row, :length] = ids[:-1]
        targets[row, :length] = torch.where(torch.rand(length, generator=generator) < 0.3, IGNORED, ids[1:])
    return Batch(inputs=inputs, targets=targets, weights=torch.rand(inputs.shape, generator=generator) * 2)


@dataclass
class Expected:
    """What transformers gives when every row is computed alone, without any padding."""

    loss: Tensor
    nll: Tensor
    gradients: list[Tensor | None]


def expected(network: PreTrainedModel, batch: Batch) -> Expected:
    network.zero_grad()
    nll = torch.zeros(batch.targets.shape, dtype=next(network.parameters()).dtype)
    total = nll.new_zeros(())
    for row, targets in enumerate(batch.targets):
        length = int((batch.inputs[row] != 2).sum())
        logits = network(input_ids=batch.inputs[row : row + 1, :length], use_cache=False).logits[0].to(nll.dtype)
        losses = F.cross_entropy(logits, targets[:length], reduction="none")
        nll[row, :length] = losses.detach()
        total = total + (losses * batch.weights[row, :length]).sum()
    total.backward()
    return Expected(total.detach(), nll, [p.grad for p in network.parameters()])


def gradients(network: PreTrainedModel, loss: Tensor) -> list[Tensor | None]:
    network.zero_grad()
    loss.backward()
    return [p.grad for p in network.parameters()]


def assert_same_gradients(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None], tolerance: float) -> None:
    largest = max(float(x.norm()) for x in wanted if x is not None)
    for ours, theirs in zip(found, wanted, strict=True):
        if theirs is not None:
            assert ours is not None
            assert float((ours - theirs).norm()) <= tolerance * (float(theirs.norm()) + 1e-8 * largest)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_single_rows(family):
    network = network_of(family, dtype=torch.float64)
    model = HFLM(network, None, 128)
    for seed, (num_shared, lengths) in enumerate(RAGGED):
        batch = ragged_batch(num_shared, lengths, seed)
        loss = model.loss_sum(batch)
        found = gradients(network, loss)
        likelihoods = model.token_nll(batch).detach()
        model.logits(batch.inputs[:, :1])  # leaves the network as it was for the plain computation
        wanted = expected(network, batch)
        torch.testing.assert_close(loss.detach(), wanted.loss, rtol=1e-7, atol=0)
        torch.testing.assert_close(likelihoods, wanted.nll, rtol=0, atol=1e-6)
        assert_same_gradients(found, wanted.gradients, 3e-6)  # norms, rotations and scans of the library use float32


class Made(TorchDispatchMode):
    """Names of the operations whose results have a shape, those that make no numbers left out."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        is_number = isinstance(result, Tensor) and result.shape == self._shape and result.layout == torch.strided
        if is_number and name not in ("detach", "t", "view", "alias"):
            self.names.append(name)
        return result


@pytest.mark.parametrize("is_compacting", [True, False])
def test_a_tied_embedding_has_no_gradient_of_the_weight_s_size(is_compacting):
    """There is the head's, to which the rows that were looked up are added in place."""
    network = network_of("llama with a tied head")
    model = HFLM(network, None, 128)
    model.is_compacting = is_compacting
    model.loss_sum(ragged_batch(*RAGGED[0]))  # the proof is made
    with Made(tuple(network.lm_head.weight.shape)) as made:
        model.loss_sum(ragged_batch(*RAGGED[0])).backward()
    assert made.names == ["mm", "index_add_"]
    assert network.lm_head.weight.grad.layout == torch.strided
    assert "forward" not in vars(network.model.embed_tokens)


@pytest.mark.parametrize("family", ["llama", "llama with a tied head"])
def test_without_a_counted_target_gradients_are_ordinary_matrices_too(family):
    network = network_of(family)
    batch = ragged_batch(*RAGGED[0])
    nothing = Batch(inputs=batch.inputs, targets=torch.full_like(batch.targets, IGNORED))
    for one in (nothing, batch, nothing):
        loss = HFLM(network, None, 128).loss_sum(one)
        if loss.requires_grad:
            loss.backward()
    assert network.get_input_embeddings().weight.grad.layout == torch.strided


@pytest.mark.parametrize("family", COMPACT)
def test_these_families_are_computed_compactly(family):
    model = HFLM(network_of(family), None, 128)
    assert model.proof.is_compact, model.proof.reason
    assert model.proof.limit is None
    assert model.notes == ()


@pytest.mark.parametrize("family", PADDED)
def test_these_families_are_computed_padded_and_the_reason_is_said(family):
    model = HFLM(network_of(family), None, 128)
    assert not model.proof.is_compact
    (note,) = model.notes
    assert note.startswith("batches of this model are computed padded, which is exact but slower: ")


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_untrained_weights_are_sorted_alike(scale):
    """Small weights make attention nearly even, so that wrong positions change little."""
    for family in ("bloom", "falcon", "gptj", "gpt_neo", "mamba", "lfm2"):
        network = network_of(family)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim >= 2:
                    parameter.mul_(scale / 4)
        assert not HFLM(network, None, 128).proof.is_compact, family


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss", "gpt2"])
def test_layers_computed_again_give_the_same_gradients(family):
    batch = ragged_batch(*RAGGED[0])
    found = {}
    for wish in (False, True):
        network = network_of(family, dtype=torch.float64, **NO_DROPOUT.get(family, {})).train()
        model = HFLM(network, None, 128)
        model.is_recomputing = wish
        found[wish] = gradients(network, model.loss_sum(batch))
        assert network.is_activation_checkpointing == wish
        assert not model.ignores_recomputing
    assert_same_gradients(found[True], found[False], 1e-12)


NO_DROPOUT = {"gpt2": {"resid_pdrop": 0.0, "attn_pdrop": 0.0, "embd_pdrop": 0.0}}


def test_a_network_that_cannot_compute_layers_again_does_not_look_at_the_wish():
    network = network_of("mamba").train()
    network.supports_gradient_checkpointing = False
    model = HFLM(network, None, 128)
    model.is_recomputing = True
    model.loss_sum(ragged_batch(*RAGGED[1]))
    assert model.ignores_recomputing


def test_with_dropout_no_beginning_is_shared():
    """GPT-2 drops values everywhere: rows with the same tokens get different losses in training, not in evaluation."""
    for changes in ({}, {"attn_pdrop": 0.0}):
        model = HFLM(network_of("gpt2", **changes), None, 128)
        batch = ragged_batch(20, (20, 20), seed=3)
        batch = Batch(inputs=batch.inputs, targets=batch.inputs.clone())
        evaluated = model.token_nll(batch)
        torch.testing.assert_close(evaluated[0], evaluated[1])
        model.module.train()
        torch.manual_seed(0)
        trained = model.token_nll(batch)
        assert (trained[0] - trained[1]).abs().max() > 1e-3


def test_half_precision_is_proved_in_float32_and_its_weights_stay():
    network = network_of("llama", dtype=torch.bfloat16)
    before = [p.clone() for p in network.parameters()]
    model = HFLM(network, None, 128)
    assert model.proof.is_compact
    assert all(
        torch.equal(x, y) and y.dtype == torch.bfloat16 for x, y in zip(before, network.parameters(), strict=True)
    )
    batch = ragged_batch(*RAGGED[0])
    exact = HFLM(network_of("llama"), None, 128).loss_sum(batch)
    torch.testing.assert_close(model.loss_sum(batch), exact, rtol=2e-2, atol=0)


def test_the_proof_leaves_no_trace():
    network = network_of("gemma3").train()
    frozen = next(network.parameters()).requires_grad_(False)
    random = torch.get_rng_state()
    proof = HFLM(network, None, 128).proof
    assert proof.is_compact
    assert network.training
    assert not frozen.requires_grad
    assert all(p.grad is None for p in network.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert {layer.self_attn.sliding_window for layer in network.model.layers} == {WINDOW, None}
    assert network.config.sliding_window == WINDOW
    assert network.config._attn_implementation == "sdpa"


def test_the_proof_may_be_made_while_a_model_is_evaluated():
    model = HFLM(network_of("llama"), None, 128)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        model.token_nll(ragged_batch(*RAGGED[0]))
    assert model.proof.is_compact


def test_a_window_that_the_attention_is_not_told_of_limits_compact_rows():
    """Masks know this window, the attention function does not: short probes cannot tell, the shortened window does."""
    network = network_of("mistral")
    for layer in network.model.layers:
        forward = layer.self_attn.forward

        def without_window(*args, forward=forward, attention=layer.self_attn, **given):
            config, attention.config = attention.config, _WithoutWindow(attention.config)
            try:
                return forward(*args, **given)
            finally:
                attention.config = config

        layer.self_attn.forward = without_window
    model = HFLM(network, None, 128)
    assert model.proof.is_compact
    assert model.proof.limit == WINDOW
    assert f"rows of more than {WINDOW} tokens are computed padded" in model.notes[0]
    batch = ragged_batch(*RAGGED[2])
    loss = model.loss_sum(batch).detach()
    torch.testing.assert_close(loss, expected(network, batch).loss, rtol=1e-5, atol=0)


class _WithoutWindow:
    """A configuration whose window nobody sees."""

    def __init__(self, config):
        self._config = config

    def __getattr__(self, name):
        return None if name == "sliding_window" else getattr(self._config, name)


@pytest.mark.parametrize(
    ("family", "rope", "limit"),
    [
        ("llama", {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}, 128),
        ("llama", {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}, None),
        (
            "phi3",
            {
                "rope_type": "longrope",
                "rope_theta": 10_000.0,
                "long_factor": [2.0] * 4,
                "short_factor": [1.0] * 4,
                "original_max_position_embeddings": 64,
            },
            64,
        ),
    ],
)
def test_rotary_positions_that_depend_on_the_longest_row_limit_compact_rows(family, rope, limit):
    changes = {"rope_parameters": rope}
    if limit == 64:
        changes["original_max_position_embeddings"] = 64
    proof = HFLM(network_of(family, **changes), None, 128).proof
    assert proof.is_compact
    assert proof.limit == limit


def test_without_compaction_nothing_is_proved_and_nothing_said():
    network = network_of("bloom")
    model = HFLM(network, None, 128)
    model.is_compacting = False
    assert model.notes == ()
    batch = ragged_batch(*RAGGED[0])
    loss = model.loss_sum(batch).detach()
    torch.testing.assert_close(loss, expected(network, batch).loss, rtol=1e-5, atol=0)
    assert "proof" not in vars(model)


@pytest.mark.parametrize("family", ["granite", "cohere", "gemma2", "llama"])
def test_without_compaction_logits_are_scaled_and_capped_as_the_network_does_it(family):
    changes = {"final_logit_softcapping": 0.5} if family == "gemma2" else {}
    network = network_of(family, dtype=torch.float64, **changes)
    model = HFLM(network, None, 128)
    model.is_compacting = False
    batch = ragged_batch(*RAGGED[0])
    loss = model.loss_sum(batch)
    found = gradients(network, loss)
    likelihoods = model.token_nll(batch).detach()
    wanted = expected(network, batch)
    torch.testing.assert_close(loss.detach(), wanted.loss, rtol=1e-7, atol=0)
    torch.testing.assert_close(likelihoods, wanted.nll, rtol=0, atol=1e-6)
    assert_same_gradients(found, wanted.gradients, 3e-6)


def test_adapters_on_the_head_are_followed():
    """A head that is more than one matrix, because an adapter was put on it after the proof, is computed as it is."""
    peft = pytest.importorskip("peft")
    network = network_of("llama", dtype=torch.float64)
    model = HFLM(network, None, 128)
    assert model.proof.has_plain_head
    settings = peft.LoraConfig(r=4, target_modules=["lm_head", "q_proj"], init_lora_weights=False)
    peft.inject_adapter_in_model(settings, network)
    batch = ragged_batch(*RAGGED[0])
    loss = model.loss_sum(batch)
    found = gradients(network, loss)
    model.logits(batch.inputs[:, :1])
    wanted = expected(network, batch)
    torch.testing.assert_close(loss.detach(), wanted.loss, rtol=1e-7, atol=0)
    assert_same_gradients(found, wanted.gradients, 3e-6)
