"""Yardsticks on held-out examples that can be compared across collate strategies and prompt styles.

Every figure is a sum over tokens divided by a count of tokens or bytes, never a mean of batch means.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from sftframe.plugins import IGNORED, CausalLM, Tokenizer
from sftframe.records import EvalBatch, JudgeSummary, Likelihood, Response, Role, TokenizedExample, Yardsticks
from sftframe.training import batch_on


def response_bytes(
    examples: Iterable[TokenizedExample], references: Mapping[int, str], tokenizer: Tokenizer
) -> dict[int, int]:
    """UTF-8 bytes of each example's reference response; of a cut one, the bytes that are left.

    Args:
        references: the data's own outputs by example index.
    """
    return {example.index: _num_bytes(example, references[example.index], tokenizer) for example in examples}


def measure_likelihoods(
    model: CausalLM, batches: Iterable[EvalBatch], num_bytes: Mapping[int, int]
) -> Iterator[tuple[list[Likelihood], float, float]]:
    """One forward pass per batch (two if padding counts in the run's own loss).

    Args:
        num_bytes: `response_bytes` of the examples.

    Yields:
        Per batch: the likelihoods of its examples, and the weighted loss sum (nats) and the sum of weights under the
        run's own collate strategy.
    """
    model.module.eval()
    for batch in batches:
        with torch.inference_mode():
            # to the CPU first: not every device knows float64
            nll = model.token_nll(batch_on(batch.full, model.device)).cpu().double()  # (B, T)
            loss, weight = _own_loss(model, batch, nll)
        yield _per_example(batch, nll, num_bytes), loss, weight


def yardsticks(
    likelihoods: Sequence[Likelihood],
    references: Mapping[int, str] | None = None,
    responses: Sequence[Response] = (),
    judge: JudgeSummary | None = None,
) -> Yardsticks:
    """All yardsticks of one model on one set of examples.

    Args:
        references: the data's own outputs by example index; needed with responses.
        responses: the model's answers; without them the figures about answers are None.
    """
    known = references or {}
    num_answers = len(responses)
    num_exact = sum(answer.text.strip() == known[answer.index].strip() for answer in responses)
    num_stopped = sum(answer.stop_reason != "length" for answer in responses)
    num_expected = sum(len(known[answer.index]) for answer in responses)
    response_nll = sum(item.response_nll for item in likelihoods)
    return Yardsticks(
        response_nll_per_token=response_nll / max(sum(item.num_response_tokens for item in likelihoods), 1),
        response_nll_per_byte=response_nll / max(sum(item.num_response_bytes for item in likelihoods), 1),
        prompt_nll_per_token=sum(item.prompt_nll for item in likelihoods)
        / max(sum(item.num_prompt_tokens for item in likelihoods), 1),
        exact_match=num_exact / num_answers if num_answers else None,
        stop_rate=num_stopped / num_answers if num_answers else None,
        length_ratio=sum(len(answer.text) for answer in responses) / num_expected if num_expected else None,
        judge=judge,
    )


def _num_bytes(example: TokenizedExample, reference: str, tokenizer: Tokenizer) -> int:
    num_whole = len(reference.encode())
    if not example.num_truncated or example.ids[-1] == tokenizer.end_id:
        return num_whole
    pairs = zip(example.ids, example.roles, strict=True)
    # a style may wrap white space around the reference
    return min(num_whole, sum(len(tokenizer.token_bytes(int(i))) for i, role in pairs if role == Role.RESPONSE))


def _per_example(batch: EvalBatch, nll: torch.Tensor, num_bytes: Mapping[int, int]) -> list[Likelihood]:
    is_response = (batch.roles == Role.RESPONSE) | (batch.roles == Role.END)  # (B, T)
    is_prompt = batch.roles < Role.RESPONSE  # (B, T)
    return [
        Likelihood(
            index=index,
            response_nll=float(nll[row][is_response[row]].sum()),
            num_response_tokens=int(is_response[row].sum()),
            prompt_nll=float(nll[row][is_prompt[row]].sum()),
            num_prompt_tokens=int(is_prompt[row].sum()),
            num_response_bytes=num_bytes[index],
        )
        for row, index in enumerate(batch.full.indices)
    ]


def _own_loss(model: CausalLM, batch: EvalBatch, nll: torch.Tensor) -> tuple[float, float]:
    own = batch.own
    counted = own.targets != IGNORED
    weights = counted.double() if own.weights is None else counted * own.weights.double()
    # a strategy that counts padding, or makes other rows, counts targets that the full batch does not have
    is_covered = torch.equal(own.inputs, batch.full.inputs) and torch.equal(
        own.targets[counted], batch.full.targets[counted]
    )
    if not is_covered:
        return float(model.loss_sum(batch_on(own, model.device))), float(weights.sum())
    return float((nll * weights).sum()), float(weights.sum())
