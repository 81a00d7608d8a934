"""Records of training: lines of `metrics.jsonl` and `likelihoods.jsonl`."""

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
    """Training time since the start, without evaluation and waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """A measurement of the validation examples during training, as a line of `metrics.jsonl`; NLL in nats."""

    step: int
    """Optimizer steps done; 0 = before training."""
    tokens_seen: int
    validation_loss: float
    """With the run's own collate strategy; compare it with `StepRecord.loss`, not with runs of other strategies."""
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
    """Sum over the tokens of the prompt without the first one, which nothing predicts."""
    num_prompt_tokens: int
    num_response_bytes: int
    """UTF-8 bytes of the reference response, without the words that the style adds."""
