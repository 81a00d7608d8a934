"""The compact computation gives the loss and every gradient of the padded one, and computes no more than it has to."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from sftframe_plugins.collate.strategies import MaskInstruction, MaskPad, PadOnly, PromptWeight
from sftframe_plugins.gpt2.model import GPT2LM
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.tokenizer import BytePairTokenizer

from sftframe import IGNORED, Batch, Role, TokenizedExample, compact, load_registry
from sftframe.training import collate

VOCABULARY = 60


@pytest.fixture(scope="module")
def tokenizer() -> BytePairTokenizer:
    """Any will do: compaction works on ids."""
    tokenizer = load_registry().model_backend("gpt2-nano").tokenizer()
    assert isinstance(tokenizer, BytePairTokenizer)
    return tokenizer


def model_of(tokenizer: BytePairTokenizer, *, num_layers: int, dtype: torch.dtype) -> GPT2LM:
    config = NetworkConfig(vocab_size=VOCABULARY, context_length=40, width=16, num_layers=num_layers, num_heads=2)
    network = GPT2(config)
    network.initialise(7)
    return GPT2LM(network.to(dtype).eval(), tokenizer)


def padded_loss(model: GPT2LM, batch: Batch) -> torch.Tensor:
    """The definition: logits everywhere, cross-entropy everywhere, weights, sum."""
    logits = model.module(batch.inputs)
    losses = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none").view_as(batch.targets)
    return losses.sum() if batch.weights is None else (losses * batch.weights).sum()


def gradients(model: GPT2LM, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(model.module.parameters())))


def worst_difference(model: GPT2LM, batch: Batch) -> float:
    """Largest relative difference of the loss and of any parameter's gradient (in norm)."""
    plain, compacted = padded_loss(model, batch), model.loss_sum(batch)
    differences = [abs((plain - compacted).item()) / max(abs(plain.item()), 1e-6)]
    for a, b in zip(gradients(model, plain), gradients(model, compacted), strict=True):
        differences.append(float((a - b).norm()) / max(float(a.norm()), 1e-3))
    return max(differences)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any rows, with any beginning in common, any targets counted with any weights; at least one counts."""
    num_rows, num_positions = draw(st.integers(1, 6)), draw(st.integers(1, 24))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def ids() -> torch.Tensor:
        return torch.randint(0, VOCABULARY, (num_rows, num_positions), generator=generator)

    inputs, targets = ids(), ids()
    common = draw(st.integers(0, num_positions))
    inputs[:, :common] = inputs[:1, :common]
    share = draw(st.sampled_from([0.0, 0.3, 0.9]))
    targets[torch.rand(targets.shape, generator=generator) < share] = IGNORED
    for row in range(num_rows):
        targets[row, draw(st.integers(0, num_positions)) :] = IGNORED
    if bool((targets == IGNORED).all()):
        targets[0, 0] = 1
    weights = torch.rand(targets.shape, generator=generator) if draw(st.booleans()) else None
    return Batch(inputs=inputs, targets=targets, weights=weights)


@settings(max_examples=150, deadline=None)
@given(batch=batches())
def test_any_batch_in_float64_agrees_to_1e12(tokenizer: BytePairTokenizer, batch: Batch) -> None:
    assert worst_difference(model_of(tokenizer, num_layers=2, dtype=torch.float64), batch) < 1e-12


@settings(max_examples=50, deadline=None)
@given(batch=batches())
def test_any_batch_in_float32_agrees_to_2e6(tokenizer: BytePairTokenizer, batch: Batch) -> None:
    assert worst_difference(model_of(tokenizer, num_layers=2, dtype=torch.float32), batch) < 2e-6


def example_rows() -> list[TokenizedExample]:
    """A preamble of 8 tokens, prompts and answers of uneven lengths, the pad id among the tokens."""
    rows = []
    for index, (num_prompt, num_answer) in enumerate([(5, 3), (9, 1), (2, 7), (4, 4)]):
        body = [(7 * index + 3 * i) % VOCABULARY for i in range(num_prompt + num_answer)]
        roles = [Role.TEMPLATE] * 8 + [Role.INSTRUCTION] * num_prompt + [Role.RESPONSE] * num_answer + [Role.END]
        rows.append(TokenizedExample(ids=[*range(8), *body, VOCABULARY - 1], roles=roles, index=index))
    return rows


@pytest.mark.parametrize(
    "strategy",
    [PadOnly(), MaskPad(), MaskInstruction(), PromptWeight(PromptWeight.Options(weight=0.3))],
    ids=lambda strategy: strategy.name,
)
@pytest.mark.parametrize("num_rows", [1, 2, 4])
def test_all_strategies_agree_on_twelve_layers(tokenizer: BytePairTokenizer, strategy, num_rows: int) -> None:
    strategy.pad_id = VOCABULARY - 1
    batch = strategy(example_rows()[:num_rows])
    assert worst_difference(model_of(tokenizer, num_layers=12, dtype=torch.float64), batch) < 1e-12


@st.composite
def conversations(draw: st.DrawFn) -> list[TokenizedExample]:
    """Rows of one to four exchanges with any lengths and weights; in every row something counts."""
    rows = []
    for index in range(draw(st.integers(1, 4))):
        ids: list[int] = []
        roles: list[Role] = []
        starts: list[int] = []
        num_turns = draw(st.integers(1, 4))
        weights = [draw(st.sampled_from([0.0, 0.25, 1.0, 2.0])) for _ in range(num_turns - 1)] + [1.0]
        for _ in range(num_turns):
            starts.append(len(ids))
            kinds = [Role.TEMPLATE, Role.SYSTEM, Role.INSTRUCTION, Role.TOOL]
            own = [draw(st.sampled_from(kinds)) for _ in range(draw(st.integers(1, 3)))]
            own += [Role.RESPONSE] * draw(st.integers(1, 4)) + [Role.END]
            roles += own
            ids += [draw(st.integers(0, VOCABULARY - 2)) for _ in own]
        rows.append(
            TokenizedExample(ids=ids, roles=roles, index=index, turn_starts=tuple(starts), turn_weights=tuple(weights))
        )
    return rows


@settings(max_examples=60, deadline=None)
@given(rows=conversations(), which=st.sampled_from([MaskInstruction, MaskPad, PadOnly, PromptWeight]))
def test_masks_over_exchanges_agree_to_1e12(tokenizer: BytePairTokenizer, rows, which) -> None:
    batch = collate(which(pad_id=VOCABULARY - 1), rows)
    assert worst_difference(model_of(tokenizer, num_layers=2, dtype=torch.float64), batch) < 1e-12


def test_measured_likelihoods_are_those_of_the_padded_computation(tokenizer: BytePairTokenizer) -> None:
    model = model_of(tokenizer, num_layers=2, dtype=torch.float64)
    batch = MaskInstruction(pad_id=VOCABULARY - 1)(example_rows())
    logits = model.module(batch.inputs)
    plain = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none").view_as(batch.targets)
    with torch.inference_mode():
        torch.testing.assert_close(model.token_nll(batch), plain.detach(), rtol=1e-12, atol=1e-12)


def test_positions_and_head_rows_are_no_more_than_needed() -> None:
    """4 rows of 8 + (8, 10, 9, 8) ids with the end: inputs are one less, the 8 first are shared."""
    strategy = MaskPad(pad_id=VOCABULARY - 1)
    layout = compact(strategy(example_rows()))
    assert layout.num_shared == 8
    assert layout.rest_lengths == (8, 10, 9, 8)
    assert len(layout.ids) == 8 + 8 + 10 + 9 + 8
    assert len(layout.states) == len(layout.ids), "every input predicts something under mask-pad"
    answers = compact(MaskInstruction(pad_id=VOCABULARY - 1)(example_rows()))
    assert len(answers.ids) == len(layout.ids)
    assert len(answers.states) == (3 + 1) + (1 + 1) + (7 + 1) + (4 + 1), "answers and their ends"


def test_shared_targets_are_one_term_with_the_rows_weight() -> None:
    layout = compact(MaskPad(pad_id=VOCABULARY - 1)(example_rows()))
    assert layout.term_weights[:7].tolist() == [4.0] * 7
    last_shared = layout.term_weights[layout.term_states == 7]
    assert sorted(last_shared.tolist()) == [1.0, 1.0, 1.0, 1.0], "each row goes on with another token"


def test_rows_without_counted_targets_are_left_out() -> None:
    batch = MaskPad(pad_id=0)(example_rows())
    targets = batch.targets.clone()
    targets[1:] = IGNORED
    layout = compact(replace(batch, targets=targets))
    assert len(layout.rest_lengths) == 1
    assert len(layout.ids) == 16


def test_under_dropout_nothing_is_shared() -> None:
    layout = compact(MaskPad(pad_id=0)(example_rows()), share=False)
    assert (layout.num_shared, len(layout.ids)) == (0, 16 + 18 + 17 + 16)


def test_the_switch_gives_the_plain_path(tokenizer: BytePairTokenizer) -> None:
    model = model_of(tokenizer, num_layers=2, dtype=torch.float32)
    computed = []
    model.module.ln_f.register_forward_hook(lambda _module, inputs, _output: computed.append(inputs[0][..., 0].numel()))
    batch = MaskPad(pad_id=0)(example_rows())
    for model.is_compacting in (True, False):
        model.loss_sum(batch)
    assert computed == [43, batch.inputs.numel()]
