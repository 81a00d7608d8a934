"""Evaluation on the validation examples during training: likelihoods, and one answered question."""

from __future__ import annotations

import math
from dataclasses import replace

from sftframe.config import RunConfig
from sftframe.errors import TrainingError
from sftframe.interfaces import CausalLM
from sftframe.pipeline.setup import Components, Material
from sftframe.progress import Sample
from sftframe.records import EvalRecord, Likelihood
from sftframe.stages.batches import evaluation_batches
from sftframe.stages.evaluate import measure_likelihoods, response_bytes, yardsticks
from sftframe.stages.generate import generate_responses, generation_settings
from sftframe.stages.tokens import encode_prompts

SAMPLE_TOKENS = 48
"""Of the sample answer, which is kept short: an untuned model never stops, and a token of 124M takes 25 ms."""


class Validation:
    """The first `eval_examples` validation examples, and the first of them as the question.

    Args:
        model: measured as it is at each call.
    """

    def __init__(self, config: RunConfig, components: Components, material: Material, model: CausalLM) -> None:
        self._model = model
        self._style = components.style
        self._question = material.sample_example()
        self._asked = material.asked([self._question])
        examples = material.validation[: config.train.eval_examples]
        self._num_bytes = response_bytes(examples, material.references(), components.tokenizer)
        self._batches = list(evaluation_batches(examples, components.strategy, config.train.batch_size))
        settings = generation_settings(config.generate, components.style, seed=config.seed)
        self._settings = replace(settings, max_new_tokens=min(settings.max_new_tokens, SAMPLE_TOKENS))

    def look(self, *, step: int, tokens_seen: int) -> tuple[EvalRecord, Sample]:
        """Measure and answer.

        Raises:
            TrainingError: the loss is not finite.
        """
        found: list[Likelihood] = []
        loss = weight = 0.0
        for items, own_loss, own_weight in measure_likelihoods(self._model, self._batches, self._num_bytes):
            found += items
            loss += own_loss
            weight += own_weight
        if not math.isfinite(loss):
            raise TrainingError(
                f"validation loss {loss} after step {step}: these weights cannot be used, the checkpoint before them "
                "is intact. Lower --lr, or set train.clip_norm=1"
            )
        measured, answer, question = yardsticks(found), self._answer(), self._question
        record = EvalRecord(
            step=step,
            tokens_seen=tokens_seen,
            validation_loss=loss / weight,
            response_nll_per_token=measured.response_nll_per_token,
            response_nll_per_byte=measured.response_nll_per_byte,
            prompt_nll_per_token=measured.prompt_nll_per_token,
            sample_index=question.index,
            sample_text=answer,
        )
        sample = Sample(
            instruction=question.instruction, input=question.input, reference=question.output, answer=answer
        )
        return record, sample

    def _answer(self) -> str:
        prompts = encode_prompts(self._asked, self._style, self._model.tokenizer)
        responses = generate_responses(self._model, self._style, prompts, [self._question.index], self._settings)
        return next(responses).text
