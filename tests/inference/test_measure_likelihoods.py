"""Likelihoods of held-out examples, and the loss under the run's own strategy.

The model gives every token the same probability, 1/4, except token 3, which it never expects more than once in 16.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from sftframe import Batch, CausalLM, CollateStrategy, Role, TokenizedExample, Tokenizer
from sftframe.inference import measure_likelihoods
from sftframe.records import Likelihood
from sftframe.training import evaluation_batches

I, R, E = Role.INSTRUCTION, Role.RESPONSE, Role.END  # noqa: E741
BIT = math.log(2)
COSTS = {0: 2 * BIT, 1: 2 * BIT, 2: 2 * BIT, 3: 4 * BIT, 4: math.log(16 / 3)}
"""Of tokens 0 to 4: probabilities 1/4, 1/4, 1/4, 1/16 and what is left, 3/16."""


class Constant(CausalLM):
    """The same distribution everywhere."""

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


@pytest.fixture
def model(tokenizer: Tokenizer) -> CausalLM:
    shares = torch.tensor([1 / 4, 1 / 4, 1 / 4, 1 / 16, 3 / 16])
    return Constant(nn.Embedding.from_pretrained(shares.log().expand(5, -1).clone(), freeze=False), tokenizer, 16)


EXAMPLES = [
    TokenizedExample(ids=[0, 1, 3, 2, 4], roles=[I, I, I, R, E], index=10),
    TokenizedExample(ids=[0, 3, 4], roles=[I, R, E], index=11),
    TokenizedExample(ids=[0, 0, 1, 2, 1, 2, 4], roles=[I, I, R, R, R, R, E], index=12),
]
NUM_BYTES = {10: 3, 11: 5, 12: 7}


def measured(
    model: CausalLM, strategy: CollateStrategy, batch_size: int = 2
) -> tuple[dict[int, Likelihood], float, float]:
    found, loss, weight = {}, 0.0, 0.0
    for items, own_loss, own_weight in measure_likelihoods(
        model, evaluation_batches(EXAMPLES, strategy, batch_size), NUM_BYTES
    ):
        found |= {item.index: item for item in items}
        loss, weight = loss + own_loss, weight + own_weight
    return found, loss, weight


def test_prompt_and_response_are_summed_apart(model: CausalLM) -> None:
    found, _, _ = measured(model, CollateStrategy())
    prompts = {10: COSTS[1] + COSTS[3], 11: 0.0, 12: COSTS[0]}
    responses = {10: COSTS[2] + COSTS[4], 11: COSTS[3] + COSTS[4], 12: 4 * COSTS[1] + COSTS[4]}
    for index, item in found.items():
        assert item.prompt_nll == pytest.approx(prompts[index], abs=1e-4)
        assert item.response_nll == pytest.approx(responses[index], abs=1e-4)


def test_tokens_are_counted_without_the_first_which_nothing_predicts(model: CausalLM) -> None:
    found, _, _ = measured(model, CollateStrategy())
    assert {i: (item.num_prompt_tokens, item.num_response_tokens) for i, item in found.items()} == {
        10: (2, 2),
        11: (0, 2),
        12: (1, 5),
    }


def test_bytes_are_those_of_the_references(model: CausalLM) -> None:
    found, _, _ = measured(model, CollateStrategy())
    assert {index: item.num_response_bytes for index, item in found.items()} == NUM_BYTES


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_and_padding_change_nothing(batch_size: int, make_model: Callable[..., CausalLM]) -> None:
    wanted, _, _ = measured(make_model(), CollateStrategy(pad_id=256), 2)
    found, _, _ = measured(make_model(), CollateStrategy(pad_id=256), batch_size)
    for index, item in found.items():
        assert item.response_nll == pytest.approx(wanted[index].response_nll, rel=1e-5)
        assert item.prompt_nll == pytest.approx(wanted[index].prompt_nll, rel=1e-5)


class Weighted(CollateStrategy):
    """A strategy whose roles weigh what they are told."""

    name = "weighted"
    summary = "for tests"
    prompt = 1.0
    padding = 0.0

    def role_weight(self, role: Role) -> float:
        return 1.0 if role >= R else self.prompt

    @property
    def padding_weight(self) -> float:
        return self.padding


def strategy(prompt: float = 1.0, padding: float = 0.0) -> CollateStrategy:
    made = Weighted(pad_id=4)
    made.prompt, made.padding = prompt, padding
    return made


PROMPT_NLL = COSTS[1] + COSTS[3] + COSTS[0]
RESPONSE_NLL = COSTS[2] + COSTS[3] + 4 * COSTS[1] + 3 * COSTS[4]


@pytest.mark.parametrize(
    ("prompt", "loss", "weight"),
    [
        (1.0, PROMPT_NLL + RESPONSE_NLL, 12),
        (0.0, RESPONSE_NLL, 9),
        (0.5, 0.5 * PROMPT_NLL + RESPONSE_NLL, 10.5),
    ],
)
def test_the_own_loss_weighs_as_the_strategy_does(prompt: float, loss: float, weight: float, model: CausalLM) -> None:
    _, found, total = measured(model, strategy(prompt))
    assert (found, total) == (pytest.approx(loss, abs=1e-4), weight)


def test_the_own_loss_is_a_sum_over_tokens_and_no_mean_of_batch_means(model: CausalLM) -> None:
    # of 2 and 10 tokens: a mean of the two batches' means would weigh the first five times as much
    _, loss, weight = measured(model, strategy(), batch_size=2)
    _, alone, each = measured(model, strategy(), batch_size=1)
    assert (loss / weight, weight) == (pytest.approx(alone / each), each)


def test_padding_that_counts_is_in_the_own_loss_and_in_nothing_else(model: CausalLM) -> None:
    # in pairs of like length the second row (3 tokens) is padded to the first (5): two more targets of token 4
    found, loss, weight = measured(model, strategy(padding=1.0))
    wanted, _, _ = measured(model, strategy())
    assert loss == pytest.approx(PROMPT_NLL + RESPONSE_NLL + 2 * COSTS[4], abs=1e-4)
    assert weight == 14
    assert {i: item.response_nll for i, item in found.items()} == {i: item.response_nll for i, item in wanted.items()}


class Hiding(CollateStrategy):
    """Shows the model other inputs than the text: the own loss has to be measured on them."""

    name = "hiding"
    summary = "for tests"

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        return replace(batch, inputs=torch.zeros_like(batch.inputs))


def test_a_strategy_with_inputs_of_its_own_is_measured_on_them(make_model: Callable[..., CausalLM]) -> None:
    model = make_model()
    rows = [TokenizedExample(ids=[5, 6, 7, 256], roles=[I, R, R, E], index=10)]
    (batch,) = evaluation_batches(rows, Hiding(pad_id=256), 2)
    (([item], loss, _),) = measure_likelihoods(model, [batch], {10: 1})
    with torch.no_grad():
        assert loss == pytest.approx(float(model.loss_sum(batch.own)), rel=1e-5)
        assert item.response_nll == pytest.approx(float(model.loss_sum(batch.full)), rel=1e-5)
    assert loss != pytest.approx(item.response_nll, rel=1e-4)


def test_the_model_is_measured_without_dropout(make_model: Callable[..., CausalLM]) -> None:
    noisy, plain = make_model(dropout=0.5), make_model()
    noisy.module.train()
    assert measured(noisy, CollateStrategy(pad_id=256)) == measured(plain, CollateStrategy(pad_id=256))
