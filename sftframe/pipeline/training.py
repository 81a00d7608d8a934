"""The fine-tuning part of a run: steps, evaluations and checkpoints, and how it stops and resumes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from sftframe.analysis import Measured, measure
from sftframe.config import RunConfig
from sftframe.device import peak_memory_bytes
from sftframe.errors import ConfigError, Interrupted, TrainingError
from sftframe.files import DiskError, JsonLines, disk, read_json_lines, whole_dir, write_json, write_json_lines
from sftframe.inference import generate_responses, generation_settings, measure_likelihoods, response_bytes
from sftframe.interrupts import StopRequest, deferred_interrupt
from sftframe.pipeline.setup import Components, PreparedData
from sftframe.plugins import CausalLM
from sftframe.progress import Observer, Sample
from sftframe.prompts.tokens import encode_prompts
from sftframe.records import EvalRecord, Likelihood, StepData, StepRecord, TrainSummary
from sftframe.runs import RunStore, last_change, read_record
from sftframe.training import (
    LABELS,
    Checkpoint,
    LoraAdapters,
    StepLoader,
    TargetCounts,
    Trainer,
    check_promise,
    checkpoints,
    evaluation_batches,
)
from sftframe.trust import pickle_claims, remember

SAMPLE_TOKENS = 48
"""Of the sample answer, which is kept short: an untuned model never stops, and a token of 124M takes 25 ms."""


class Validation:
    """The first `eval_examples` validation examples, and the first of them as the question.

    Args:
        model: measured as it is at each call.
    """

    def __init__(self, config: RunConfig, components: Components, prepared: PreparedData, model: CausalLM) -> None:
        self._model = model
        self._style = components.style
        self._question = prepared.sample_example()
        self._asked = prepared.asked([self._question])
        examples = prepared.validation[: config.train.eval_examples]
        self._num_bytes = response_bytes(examples, prepared.references(), components.tokenizer)
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
        measured, answer, question = measure(Measured(likelihoods=found)), self._answer(), self._question
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The state that training writes next to the weights of a checkpoint."""

    last: StepRecord
    """The step after which it was written."""
    counts: Mapping[str, list[int]]
    """`TargetCounts.state`."""
    is_halving: bool
    """Micro-batches were halved because memory ran out."""


def read_state(checkpoint: Checkpoint) -> SavedState:
    """The state of a checkpoint.

    Raises:
        ConfigError: it is not what this version of sftframe writes.
    """
    value, last = dict(checkpoint.state), checkpoint.state.get("last")
    if isinstance(last, Mapping):  # JSON has no NaN
        value["last"] = {key: math.nan if found is None else found for key, found in last.items()}
    state = read_record(SavedState, value, checkpoint.folder / "state.json")
    shapes = {key: len(counts) for key, counts in state.counts.items()}
    if state.last.step != checkpoint.step or shapes != {"all": len(LABELS), "counted": len(LABELS)}:
        raise ConfigError(f"{checkpoint.folder} is of another step than its name says, or counts other roles")
    return state


def are_metrics(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every line has its kind and its step."""
    return all(line.get("kind") in ("step", "eval") and type(line.get("step")) is int for line in lines)


class BestWeights:
    """Watches the response NLL on the validation examples and keeps the weights of its lowest value.

    They are next to the checkpoints as `best-N`, N the step. Replaced best weights stay until the next checkpoint, so
    that a run can go back to any checkpoint and finds the best weights before it.

    Args:
        folder: where the checkpoints are.
        patience: evaluations in a row without a new best after which to stop; None = never.
        past: lines of `metrics.jsonl` from before an interruption.
    """

    def __init__(self, folder: Path, *, patience: int | None = None, past: Iterable[Mapping[str, Any]] = ()) -> None:
        self._folder = folder
        self._patience = patience
        self._seen = _evaluations(past)

    @property
    def is_over(self) -> bool:
        """Whether the last `patience` evaluations were no better than the best before them.

        >>> best = BestWeights(Path("checkpoints"), patience=2)
        >>> best._seen = [(2, 3.0), (4, 2.0), (6, 2.5), (8, 2.1)]
        >>> best.is_over
        True
        """
        best = _best_step(self._seen)
        num_since = sum(best is not None and step > best for step, _ in self._seen)
        return self._patience is not None and num_since >= self._patience

    def observe(self, step: int, response_nll: float, module: torch.nn.Module) -> None:
        """Read an evaluation of the module, and keep the weights if it is the best so far.

        Raises:
            DiskError: they cannot be written.
        """
        self._seen.append((step, response_nll))
        if _best_step(self._seen) == step:
            checkpoints.save_weights(self._place(step), module)

    def forget_others(self) -> None:
        """Delete all weights but the best, and the best before each checkpoint that is kept."""
        ends = [*checkpoints.steps(self._folder), self._seen[-1][0]] if self._seen else []
        wanted = {self._place(step) for end in ends if (step := _best_step(self._seen, end)) is not None}
        for path in self._folder.glob("best-*"):
            if path not in wanted:
                with suppress(OSError):  # the next checkpoint tries again
                    disk().remove(path)

    def restore(self, module: torch.nn.Module) -> None:
        """Put the best weights into the module.

        Raises:
            DiskError: they are damaged.
        """
        step = _best_step(self._seen)
        if step is None:
            return
        place = self._place(step)
        if not checkpoints.is_whole(place):
            raise DiskError(f"the best weights in {place} are damaged: train again")
        checkpoints.load_weights(place, module)

    def _place(self, step: int) -> Path:
        return self._folder / f"best-{step}"


def missing_best(folder: Path, past: Iterable[Mapping[str, Any]]) -> str | None:
    """Why the best weights up to now cannot be read; None if they can, or nothing was evaluated."""
    step = _best_step(_evaluations(past))
    if step is None or checkpoints.is_whole(folder / f"best-{step}"):
        return None
    return f"the best weights before it, best-{step}, are missing or damaged"


def _evaluations(lines: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Step and response NLL; the untuned model's evaluation does not count."""
    return [(line["step"], line["response_nll_per_token"]) for line in lines if line["kind"] == "eval" and line["step"]]


def _best_step(seen: Sequence[tuple[int, float]], end: int | None = None) -> int | None:
    """Position of the lowest value up to a step, the first of equals; None without any."""
    values = [(value, step) for step, value in seen if end is None or step <= end]
    return min(values)[1] if values else None


class FineTuning:
    """One run's training, from the first step or from its newest whole checkpoint.

    Args:
        model: the untuned model; changed in place.
    """

    def __init__(
        self,
        config: RunConfig,
        components: Components,
        prepared: PreparedData,
        model: CausalLM,
        folder: RunStore,
        observer: Observer,
    ) -> None:
        self._config = config
        self._components = components
        self._prepared = prepared
        self._model = model
        self._folder = folder
        self._observer = observer
        self._loader = StepLoader(prepared.train, components.strategy, config.train, seed=config.seed)
        model.is_compacting = config.train.compact
        model.is_recomputing = config.train.gradient_checkpointing
        lora = config.train.lora
        self._adapters = LoraAdapters(model.module, lora, seed=config.seed) if lora else None
        if config.train.compile:
            model.compile()
        self._trainer = Trainer(
            model, config.train, num_steps=self._loader.num_steps, dtype=config.dtype, warn=observer.warn
        )
        self._validation = Validation(config, components, prepared, model)
        self._best: BestWeights | None = None

    def run(self) -> TrainSummary:
        """Train to the end, then write `model/` and `train.json`.

        Raises:
            TrainingError: the loss is not finite, or memory ran out.
            Interrupted: the user asked for a stop; a checkpoint of the last whole step is saved.
        """
        torch.manual_seed(self._config.seed)
        if not self._keeps_checkpoints:
            self._observer.note("train.keep_checkpoints=0: if this run is stopped, its training starts again")
        self._resume()
        total = self._loader.num_steps
        self._observer.begin("train", total, "steps")
        self._observer.advance(self._done)
        with JsonLines(self._folder.metrics_path) as metrics, deferred_interrupt(self._tell_of_stop) as stop:
            if not self._done:
                self._evaluate(metrics)
            for data in self._steps():
                check_promise(self._components.strategy, self._loader.counts)
                self._trainer.take(data)
                if not (self._trainer.is_due or self._is_pause(data.number) or stop.requested):
                    continue
                record = self._read(metrics)
                if self._is_evaluated(record.step):
                    self._evaluate(metrics)
                self._checkpoint(record, metrics, stop)
            if stop.requested:
                raise self._interrupted()
        self._observer.end()
        return self._finish()

    def _steps(self) -> Iterator[StepData]:
        """The data of the remaining steps, until early stopping."""
        steps = self._loader.steps(after=self._done)
        while not self._is_stopped:
            data = next(steps, None)
            if data is None:
                return
            yield data
        self._observer.note(f"stopped early after step {self._done} of {self._loader.num_steps}")

    def _read(self, metrics: JsonLines) -> StepRecord:
        """Write the records of all steps that were taken and not yet read; return the last one."""
        for record in self._trainer.read():
            metrics.append({"kind": "step", **asdict(record)})
            self._observer.advance(loss=record.loss, tokens=record.tokens_seen, seconds=record.seconds)
        return record

    @property
    def _is_stopped(self) -> bool:
        return self._best is not None and self._best.is_over

    @property
    def _done(self) -> int:
        return self._trainer.last.step if self._trainer.last else 0

    @property
    def _keeps_checkpoints(self) -> bool:
        return self._config.train.keep_checkpoints > 0

    @property
    def _eval_every(self) -> int:
        return self._config.train.eval_every or max(1, self._loader.num_steps // 10)

    @property
    def _checkpoint_every(self) -> int:
        wanted = self._config.train.checkpoint_every
        return wanted or max(self._loader.steps_per_epoch, self._loader.num_steps // 10)

    def _is_evaluated(self, step: int) -> bool:
        return step % self._eval_every == 0 or step == self._loader.num_steps

    def _is_saved(self, step: int) -> bool:
        return step % self._checkpoint_every == 0 or step == self._loader.num_steps

    def _is_pause(self, step: int) -> bool:
        """Whether the weights are used after a step, for an evaluation or a checkpoint."""
        return self._is_evaluated(step) or self._is_saved(step)

    def _resume(self) -> None:
        """Go back to the newest usable checkpoint, and cut the metrics after its step."""
        lines = self._metrics_so_far()
        checkpoint, passed_over = checkpoints.latest(
            self._folder.checkpoints_dir, objection=lambda found: self._objection(found, lines)
        )
        for one in passed_over:
            self._observer.warn(f"checkpoint {one.folder} was skipped: {one.reason}")
        if checkpoint is not None:
            checkpoint.restore(self._model.module, self._trainer.optimizer)
            state = read_state(checkpoint)
            self._trainer.last = state.last
            self._trainer.is_halving = state.is_halving
            self._loader.counts = TargetCounts.from_state(state.counts)
            self._observer.note(f"resumed after step {checkpoint.step} of {self._loader.num_steps}")
        elif lines:
            self._observer.note("no checkpoint to resume from: training starts from its first step")
        known = _up_to(self._done, lines) if checkpoint is not None else []
        if len(known) < len(lines):
            write_json_lines(self._folder.metrics_path, known)
        if self._config.train.keeps_best:
            self._best = BestWeights(self._folder.checkpoints_dir, patience=self._config.train.patience, past=known)

    def _metrics_so_far(self) -> list[dict[str, Any]]:
        """Lines of an earlier attempt; none if the file is missing or damaged; then no checkpoint can be used
        either."""
        if not self._folder.metrics_path.exists():
            return []
        try:
            lines = read_json_lines(self._folder.metrics_path)
            if are_metrics(lines):
                return lines
            raise ConfigError(f"{self._folder.metrics_path} has lines without kind and step: the file was changed")
        except ConfigError as error:
            self._observer.warn(f"{error}: training starts from its first step")
            disk().remove(self._folder.metrics_path)
            return []

    def _objection(self, checkpoint: Checkpoint, lines: list[dict[str, Any]]) -> str | None:
        """Why the run cannot resume from a checkpoint, although its files are whole."""
        known = _up_to(checkpoint.step, lines)
        taken, evaluated = ([line["step"] for line in known if line["kind"] == kind] for kind in ("step", "eval"))
        steps = range(1, checkpoint.step + 1)
        changed = last_change(self._folder)  # before it, the old settings decided how often to evaluate
        wanted = [0, *(step for step in steps if step > changed and self._is_evaluated(step))]
        if taken != list(steps) or [step for step in evaluated if step > changed or step == 0] != wanted:
            return f"{self._folder.metrics_path} lacks lines before it"
        try:
            read_state(checkpoint)
        except ConfigError:
            return "it was not written by this version of sftframe"
        if self._config.train.keeps_best:
            return missing_best(self._folder.checkpoints_dir, known)
        return None

    def _checkpoint(self, record: StepRecord, metrics: JsonLines, stop: StopRequest) -> None:
        if not (self._is_saved(record.step) or self._is_stopped or stop.requested):
            return
        try:
            self._save(record, metrics)
        except DiskError as error:
            if not stop.requested:
                raise
            raise self._interrupted(f"this step is not saved: {error}; make room or repair the disk") from error
        if stop.requested:
            raise self._interrupted()

    def _save(self, record: StepRecord, metrics: JsonLines) -> None:
        if not self._keeps_checkpoints:
            self._forget_older()
            return
        metrics.sync()  # or a power cut leaves a checkpoint of steps that the metrics have lost
        checkpoints.save(
            self._folder.checkpoints_dir,
            step=record.step,
            module=self._model.module,
            optimizer=self._trainer.optimizer,
            state={
                "last": asdict(record),
                "counts": self._loader.counts.state,
                "is_halving": self._trainer.is_halving,
            },
        )
        self._forget_older()

    def _forget_older(self) -> None:
        """Delete the checkpoints that are no longer wanted, then the best weights that belonged to them."""
        checkpoints.prune(self._folder.checkpoints_dir, step=self._done, keep=self._config.train.keep_checkpoints)
        if self._best is not None:
            self._best.forget_others()

    def _tell_of_stop(self) -> None:
        how = "with a checkpoint; once more stops at once, without one" if self._keeps_checkpoints else _NOT_KEPT
        self._observer.note(f"stopping after this step, {how}")

    def _interrupted(self, fate: str = "") -> Interrupted:
        fate = fate or ("everything is saved" if self._keeps_checkpoints else _NOT_KEPT)
        return Interrupted(
            f"stopped after step {self._done} of {self._loader.num_steps}, {fate}; "
            f"continue with: sftframe run --resume {self._folder.path}"
        )

    def _evaluate(self, metrics: JsonLines) -> None:
        last = self._trainer.last
        record, sample = self._validation.look(step=self._done, tokens_seen=last.tokens_seen if last else 0)
        metrics.append({"kind": "eval", **asdict(record)})
        self._observer.evaluated(record, sample)
        if self._best is not None and self._done:
            self._best.observe(self._done, record.response_nll_per_token, self._model.module)

    def _finish(self) -> TrainSummary:
        last = self._trainer.last
        assert last is not None, "a run has at least one step"
        self._forget_older()  # the process that wrote the last checkpoint may have ended before this
        if self._best is not None and self._config.train.selects_best:
            self._best.restore(self._model.module)
        if self._adapters is not None:
            self._adapters.merge()
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
            counted_share=self._loader.counts.shares,
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


_NOT_KEPT = "nothing of the training is kept (train.keep_checkpoints=0): it starts again from its first step"


def _up_to(step: int, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["step"] <= step]
