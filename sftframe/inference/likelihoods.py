"""Likelihoods of held-out examples, measured in the same way for every collate strategy and prompt style.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

from sftframe.plugins import IGNORED, CausalLM, Tokenizer
from sftframe.records import EvalBatch, Likelihood, Role, TokenizedExample
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


def _num_bytes(example: TokenizedExample, reference: str, tokenizer: Tokenizer) -> int:
    num_whole = len(reference.encode())
    if not example.num_truncated or example.ids[-1] == tokenizer.end_id:
        return num_whole
    last = slice(example.turn_starts[-1], None)
    pairs = zip(example.ids[last], example.roles[last], strict=True)
    # a style may wrap white space around the reference
    return min(num_whole, sum(len(tokenizer.token_bytes(int(i))) for i, role in pairs if role == Role.RESPONSE))


def _per_example(batch: EvalBatch, nll: torch.Tensor, num_bytes: Mapping[int, int]) -> list[Likelihood]:
    is_response = (batch.roles == Role.RESPONSE) | (batch.roles == Role.END)  # (B, T)
    is_prompt = (batch.roles < len(Role)) & ~is_response  # (B, T)
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
