"""What training found out: lines of `metrics.jsonl` and `likelihoods.jsonl`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One optimizer step, as a line of `metrics.jsonl`."""

    step: int
    """Counted from 1."""
    epoch: float
    """Epochs done after this step."""
    loss: float
    """Weighted mean token loss of the step, nats."""
    lr: float
    grad_norm: float
    """L2 norm of all gradients before clipping."""
    tokens_seen: int
    """Unpadded tokens since the start, the prompts included."""
    examples_seen: int
    seconds: float
    """Training time since the start; evaluation and waiting are not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """A look at the validation examples during training, as a line of `metrics.jsonl`; NLL in nats."""

    step: int
    """Optimizer steps done; 0 = before training."""
    tokens_seen: int
    validation_loss: float
    """Under the run's own collate strategy; compares with `StepRecord.loss`, not with other strategies' runs."""
    response_nll_per_token: float
    response_nll_per_byte: float
    prompt_nll_per_token: float
    sample_index: int
    """`Example.index` of the validation example that was answered."""
    sample_text: str
    """The answer, or the beginning of a long one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Negative log-likelihood of one held-out example, nats; a line of `likelihoods.jsonl`."""

    index: int
    response_nll: float
    """Sum over the tokens of response and end."""
    num_response_tokens: int
    prompt_nll: float
    """Sum over the tokens of the prompt but the first, which nothing predicts."""
    num_prompt_tokens: int
    num_response_bytes: int
    """UTF-8 bytes of the reference response, whatever the style wraps around it."""
