"""The fine-tuning part of a run: its evaluations, its files, how it stops and resumes, and the model that it leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError

from sftframe.analysis import Measured, measure
from sftframe.config import RunConfig
from sftframe.device import peak_memory_bytes
from sftframe.errors import Interrupted, TrainingError
from sftframe.files import DiskError, disk, whole_dir, write_json
from sftframe.inference import generate_responses, generation_settings, measure_likelihoods, response_bytes
from sftframe.interrupts import deferred_interrupt
from sftframe.pipeline.setup import Components, PreparedData, free_memory, needed_memory
from sftframe.pipeline.training_files import BestWeights, Checkpoints, MetricsFile, go_back
from sftframe.plugins import CausalLM
from sftframe.progress import Observer, Sample
from sftframe.prompts.tokens import encode_prompts
from sftframe.records import EvalRecord, Likelihood, StepRecord, TrainSummary
from sftframe.runs import RunStore
from sftframe.training import (
    Callback,
    EarlyStopping,
    Evaluation,
    Pause,
    Progress,
    RunStart,
    Spread,
    TrainingParts,
    checkpoints,
    evaluation_batches,
    train,
    training_parts,
)
from sftframe.trust import pickle_claims, remember

if TYPE_CHECKING:
    from sftframe.distributed.ranks import Ranks

SAME_STOP_S = 10
"""Seconds in which further signals are the same stop, on several processes: a cluster sends one to each of them, and so
does the program that started them."""

SAMPLE_TOKENS = 48
"""Of the sample answer, which is kept short: an untuned model never stops, and a token of 124M takes 25 ms."""


class Validation(Evaluation):
    """The first `eval_examples` validation examples, and the first of them as the question.

    Args:
        model: measured as it is at each call.
        num_steps: optimizer steps of the whole run.
    """

    def __init__(
        self, config: RunConfig, components: Components, prepared: PreparedData, model: CausalLM, *, num_steps: int
    ) -> None:
        self._num_steps = num_steps
        self._every = config.train.eval_every or max(1, num_steps // 10)
        self._model = model
        self._style = components.style
        self._boundary = config.tokens.boundary
        self._question = prepared.sample_example()
        self._asked = prepared.asked([self._question])
        examples = prepared.validation[: config.train.eval_examples]
        self._num_bytes = response_bytes(examples, prepared.references(), components.tokenizer)
        self._batches = list(evaluation_batches(examples, components.strategy, config.train.batch_size))
        settings = generation_settings(config.generate, components.style, components.tokenizer, seed=config.seed)
        self._settings = replace(settings, max_new_tokens=min(settings.max_new_tokens, SAMPLE_TOKENS))

    def is_due(self, step: int) -> bool:
        return step % self._every == 0 or step == self._num_steps

    def measure(self, last: StepRecord | None) -> tuple[EvalRecord, Sample]:
        step = last.step if last else 0
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
        measured, answer, question = measure(Measured(likelihoods=found)), self._answer(), self._question
        record = EvalRecord(
            step=step,
            tokens_seen=last.tokens_seen if last else 0,
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
        prompts = encode_prompts(self._asked, self._style, self._model.tokenizer, boundary=self._boundary)
        responses = generate_responses(self._model, self._style, prompts, [self._question.index], self._settings)
        return next(responses).text


class FineTuning:
    """One run's training, from the first step or from its newest whole checkpoint.

    Args:
        model: the untuned model; changed in place.
        callbacks: hear of the training after the run's own files are written.
        ranks: the other processes that train together with this one; `model` is then what `lead` gave.
    """

    def __init__(
        self,
        config: RunConfig,
        components: Components,
        prepared: PreparedData,
        model: CausalLM,
        folder: RunStore,
        observer: Observer,
        *,
        callbacks: Sequence[Callback] = (),
        ranks: Ranks | None = None,
    ) -> None:
        self._config = config
        self._ranks = ranks
        self._model = model
        self._folder = folder
        self._observer = observer
        self._given = callbacks
        self._parts = training_parts(
            model,
            prepared.train,
            components.strategy,
            config,
            warn=observer.warn,
            spread=None if ranks is None else partial(self._spread, components, prepared),
        )
        self._num_steps = self._parts.loader.num_steps
        self._validation = Validation(config, components, prepared, model, num_steps=self._num_steps)

    def run(self) -> TrainSummary:
        """Train to the end, then write `model/` and `train.json`.

        Raises:
            TrainingError: the loss is not finite, or memory ran out.
            Interrupted: the user asked for a stop; a checkpoint of the last whole step is saved.
        """
        torch.manual_seed(self._config.seed)
        if not self._keeps_checkpoints:
            self._observer.note("train.keep_checkpoints=0: if this run is stopped, its training starts again")
        for note in self._model.notes:
            self._observer.note(note)
        past = go_back(
            self._folder, self._config.train, self._parts, self._observer, is_evaluated=self._validation.is_due
        )
        best = None
        if self._config.train.keeps_best:
            best = BestWeights(self._folder.checkpoints_dir, self._model.module, past=past)
        self._train([*self._own_callbacks(past, best), *self._given])
        self._parts.gather()
        if best is not None and self._config.train.selects_best:
            best.restore()
        return self._finish()

    def _own_callbacks(self, past: Sequence[tuple[int, float]], best: BestWeights | None) -> list[Callback]:
        """What keeps the run's files, shows its progress and ends it early, in the order in which they are called."""
        config = self._config.train
        metrics = MetricsFile(self._folder.metrics_path)
        own: list[Callback] = [metrics, Progress(self._observer), _UnheardWish(self._model, self._observer)]
        if best is not None:
            own.append(best)
        if config.patience is not None:
            own.append(EarlyStopping(config.patience, past=[response_nll for _, response_nll in past]))
        folder = self._folder.checkpoints_dir
        own.append(Checkpoints(folder, config, self._parts, before_saving=metrics.sync, best=best))
        if self._given:
            own.append(_WholeWeights(self._parts))
        return own

    def _spread(self, components: Components, prepared: PreparedData, num_steps: int) -> Spread:
        """Have all processes get ready to train."""
        from sftframe.distributed.leading import LeadingModel
        from sftframe.distributed.parallel import choose_parallel

        assert self._ranks is not None
        assert isinstance(self._model, LeadingModel)
        config, place = self._config, self._ranks.place
        num_rows = math.ceil(config.train.batch_size / place.world_size)
        needed = needed_memory(config, components.backend, num_rows * int(prepared.train.lengths.max()))
        chosen = choose_parallel(
            config.train,
            self._model,
            num_ranks=place.world_size,
            activation_bytes=None if needed is None else needed - (needed_memory(config, components.backend, 0) or 0),
            free_bytes=free_memory(str(self._model.device), place),
        )
        self._observer.note(chosen.reason)
        return self._model.spread(config, num_steps, is_resharding=chosen.is_resharding)

    def _train(self, callbacks: Sequence[Callback]) -> None:
        start = RunStart(
            run=self._folder.path,
            settings=self._config.model_dump(mode="json"),
            model=self._model,
            num_steps=self._num_steps,
            num_done=self._parts.num_done,
        )
        with deferred_interrupt(self._tell_of_stop, repeats_s=0 if self._ranks is None else SAME_STOP_S) as stop:
            try:
                train(self._parts.steps(), self._parts.trainer, self._validation, callbacks, start=start, stop=stop)
            except DiskError as error:
                if not stop.requested:
                    raise
                fate = f"this step is not saved: {error}; make room or repair the disk"
                raise self._interrupted(fate) from error
            if stop.requested:
                raise self._interrupted()

    @property
    def _keeps_checkpoints(self) -> bool:
        return self._config.train.keep_checkpoints > 0

    def _tell_of_stop(self) -> None:
        if self._ranks is not None:
            self._ranks.is_stopping = True
        how = "with a checkpoint; once more stops at once, without one" if self._keeps_checkpoints else _NOT_KEPT
        self._observer.note(f"stopping after this step, {how}")

    def _interrupted(self, fate: str = "") -> Interrupted:
        fate = fate or ("everything is saved" if self._keeps_checkpoints else _NOT_KEPT)
        return Interrupted(
            f"stopped after step {self._parts.num_done} of {self._num_steps}, {fate}; "
            f"continue with: sftframe run --resume {self._folder.path}"
        )

    def _finish(self) -> TrainSummary:
        last = self._parts.trainer.last
        assert last is not None, "a run has at least one step"
        if self._parts.adapters is not None:
            self._parts.adapters.merge()
        try:
            with whole_dir(self._folder.model_dir) as making:
                disk().fill(making, self._model.save)
        except SafetensorError as error:  # safetensors raises this when the disk is full
            raise DiskError(f"cannot write {self._folder.model_dir}: {error}") from error
        summary = TrainSummary(
            steps=last.step,
            examples_seen=last.examples_seen,
            tokens_seen=last.tokens_seen,
            seconds=last.seconds,
            tokens_per_s=last.tokens_seen / last.seconds,
            peak_memory_bytes=peak_memory_bytes(str(self._model.device)),
            counted_share=self._parts.loader.counts.shares,
        )
        write_json(self._folder.train_path, summary)
        remember(pickle_claims(self._folder.path))  # what this machine's own plugin has written
        if drop_checkpoints(self._folder, self._config):
            self._observer.note("checkpoints removed, model/ has the weights; train.keep_optimizer=true keeps them")
        return summary


def drop_checkpoints(folder: RunStore, config: RunConfig) -> bool:
    """Delete what only an interrupted run needs, once training has ended; whether there was anything.

    The best weights stay where `train.keep_best` asks for them. What cannot be deleted now stays.
    """
    if config.train.keep_optimizer:
        return False
    return checkpoints.clear(folder.checkpoints_dir, keep_best=config.train.keep_best)


class _WholeWeights(Callback):
    """Gives the callbacks after it the weights of the step at which training waits, where they are spread."""

    def __init__(self, parts: TrainingParts) -> None:
        self._parts = parts

    def on_pause(self, pause: Pause) -> None:
        self._parts.gather()


class _UnheardWish(Callback):
    """Warns after the first steps if the model has never looked at a wish of the user's that it may ignore."""

    def __init__(self, model: CausalLM, observer: Observer) -> None:
        self._model = model
        self._observer = observer
        self._has_told = False

    def on_step(self, record: StepRecord) -> None:
        if not self._has_told and self._model.ignores_recomputing:
            self._has_told = True
            self._observer.warn(
                "train.gradient_checkpointing has no effect: this model does not do it, so it keeps all activations"
            )


_NOT_KEPT = "nothing of the training is kept (train.keep_checkpoints=0): it starts again from its first step"
