"""The training part of a run: steps, evaluations, checkpoints, and resuming after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from safetensors import SafetensorError

from sftframe import checkpoints
from sftframe.adapters import LoraAdapters
from sftframe.checkpoints import Checkpoint
from sftframe.config import RunConfig
from sftframe.consent import pickle_claims, remember
from sftframe.device import peak_memory_bytes
from sftframe.errors import ConfigError, Interrupted
from sftframe.files import DiskError, JsonLines, disk, read_json_lines, whole_dir, write_json, write_json_lines
from sftframe.interfaces import CausalLM
from sftframe.interrupts import StopRequest, deferred_interrupt
from sftframe.pipeline.evaluation import Validation
from sftframe.pipeline.manifest import last_change
from sftframe.pipeline.resuming import are_metrics, read_state
from sftframe.pipeline.setup import Components, Material
from sftframe.pipeline.stopping import BestWeights, missing_best
from sftframe.progress import Observer
from sftframe.records import StepData, StepRecord, TrainSummary
from sftframe.runs import RunFolder
from sftframe.stages.batches import StepLoader, TargetCounts, check_promise
from sftframe.stages.train import Trainer


class FineTuning:
    """One run's training, from the first step or from its newest whole checkpoint.

    Args:
        model: the untuned model; changed in place.
    """

    def __init__(
        self,
        config: RunConfig,
        components: Components,
        material: Material,
        model: CausalLM,
        folder: RunFolder,
        observer: Observer,
    ) -> None:
        self._config = config
        self._components = components
        self._material = material
        self._model = model
        self._folder = folder
        self._observer = observer
        self._loader = StepLoader(material.train, components.strategy, config.train, seed=config.seed)
        model.is_compacting = config.train.compact
        model.is_recomputing = config.train.gradient_checkpointing
        lora = config.train.lora
        self._adapters = LoraAdapters(model.module, lora, seed=config.seed) if lora else None
        if config.train.compile:
            model.compile()
        self._trainer = Trainer(
            model, config.train, num_steps=self._loader.num_steps, dtype=config.dtype, warn=observer.warn
        )
        self._validation = Validation(config, components, material, model)
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


def drop_checkpoints(folder: RunFolder, config: RunConfig) -> bool:
    """Delete what only an interrupted run needs, once training has ended; whether there was anything.

    The best weights stay where `train.keep_best` asks for them. What cannot be deleted now stays.
    """
    if config.train.keep_optimizer:
        return False
    return checkpoints.clear(folder.checkpoints_dir, keep_best=config.train.keep_best)


_NOT_KEPT = "nothing of the training is kept (train.keep_checkpoints=0): it starts again from its first step"


def _up_to(step: int, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["step"] <= step]
