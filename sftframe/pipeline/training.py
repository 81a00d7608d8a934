"""The training part of a run: steps, evaluations, checkpoints, and the way back after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from sftframe import checkpoints
from sftframe.adapters import LoraAdapters
from sftframe.config import RunConfig
from sftframe.device import peak_memory_bytes
from sftframe.errors import Interrupted
from sftframe.interfaces import CausalLM
from sftframe.interrupts import StopRequest, deferred_interrupt
from sftframe.pipeline.evaluation import Validation
from sftframe.pipeline.setup import Components, Material
from sftframe.pipeline.stopping import EarlyStopping
from sftframe.progress import Observer
from sftframe.records import StepData, StepRecord, TrainSummary
from sftframe.runs import JsonLines, RunFolder, read_json_lines, whole_dir, write_json, write_whole
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
        self._trainer = Trainer(model, config.train, num_steps=self._loader.num_steps, dtype=config.dtype)
        self._validation = Validation(config, components, material, model)
        self._stopping: EarlyStopping | None = None

    def run(self) -> TrainSummary:
        """Train to the end, then write `model/` and `train.json`.

        Raises:
            TrainingError: the loss is not finite, or memory ran out.
            Interrupted: the user asked for a stop; a checkpoint of the last whole step is saved.
        """
        torch.manual_seed(self._config.seed)
        self._resume()
        total = self._loader.num_steps
        self._observer.begin("train", total, "steps")
        self._observer.advance(self._done)
        with JsonLines(self._folder.metrics_path) as metrics, deferred_interrupt() as stop:
            if not self._done:
                self._evaluate(metrics)
            for data in self._steps():
                check_promise(self._components.strategy, self._loader.counts)
                record = self._trainer.step(data)
                metrics.append({"kind": "step", **asdict(record)})
                self._observer.advance(loss=record.loss, tokens=record.tokens_seen, seconds=record.seconds)
                if record.step % self._eval_every == 0 or record.step == total:
                    self._evaluate(metrics)
                self._checkpoint(record, stop)
            if stop.requested:
                raise self._interrupted()
        self._observer.end()
        return self._finish()

    def _steps(self) -> Iterator[StepData]:
        """The data of the steps that are left, until training gets no better."""
        steps = self._loader.steps(after=self._done)
        while not self._is_stopped:
            data = next(steps, None)
            if data is None:
                return
            yield data
        self._observer.note(f"stopped early behind step {self._done} of {self._loader.num_steps}")

    @property
    def _is_stopped(self) -> bool:
        return self._stopping is not None and self._stopping.is_over

    @property
    def _done(self) -> int:
        return self._trainer.last.step if self._trainer.last else 0

    @property
    def _eval_every(self) -> int:
        return self._config.train.eval_every or max(1, self._loader.num_steps // 10)

    def _resume(self) -> None:
        """Go back to the newest whole checkpoint, and cut the metrics to what it knows."""
        kept: list[dict[str, Any]] = []
        checkpoint, damaged = checkpoints.latest(self._folder.checkpoints_dir)
        for folder in damaged:
            self._observer.warn(f"checkpoint {folder} is damaged and was passed over")
        if checkpoint is not None:
            checkpoint.restore(self._model.module, self._trainer.optimizer)
            self._trainer.last = StepRecord(**checkpoint.state["last"])
            self._loader.counts = TargetCounts.from_state(checkpoint.state["counts"])
            self._observer.note(f"resumed behind step {checkpoint.step} of {self._loader.num_steps}")
        if self._folder.metrics_path.exists():
            lines = [line for line in read_json_lines(self._folder.metrics_path) if line["step"] <= self._done]
            kept += lines if checkpoint is not None else []
            write_whole(self._folder.metrics_path, "".join(json.dumps(line) + "\n" for line in kept))
        if self._config.train.patience is not None:
            best_path = self._folder.checkpoints_dir / "best.safetensors"
            self._stopping = EarlyStopping(self._config.train.patience, best_path, past=kept)

    def _checkpoint(self, record: StepRecord, stop: StopRequest) -> None:
        every = self._config.train.checkpoint_every or max(self._loader.steps_per_epoch, self._loader.num_steps // 10)
        is_due = record.step % every == 0 or record.step == self._loader.num_steps
        if not (is_due or self._is_stopped or stop.requested):
            return
        checkpoints.save(
            self._folder.checkpoints_dir,
            step=record.step,
            module=self._model.module,
            optimizer=self._trainer.optimizer,
            state={"last": asdict(record), "counts": self._loader.counts.state},
            keep=self._config.train.keep_checkpoints,
        )
        if stop.requested:
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        return Interrupted(
            f"stopped behind step {self._done} of {self._loader.num_steps}, everything is saved; "
            f"go on with: sftframe run --resume {self._folder.path}"
        )

    def _evaluate(self, metrics: JsonLines) -> None:
        last = self._trainer.last
        record, sample = self._validation.look(step=self._done, tokens_seen=last.tokens_seen if last else 0)
        metrics.append({"kind": "eval", **asdict(record)})
        self._observer.evaluated(record, sample)
        if self._stopping is not None and self._done:
            self._stopping.observe(record.response_nll_per_token, self._model.module)

    def _finish(self) -> TrainSummary:
        last = self._trainer.last
        assert last is not None, "a run has at least one step"
        if self._stopping is not None:
            self._stopping.restore_best(self._model.module)
        if self._adapters is not None:
            self._adapters.merge()
        with whole_dir(self._folder.model_dir) as making:
            self._model.save(making)
        summary = TrainSummary(
            steps=last.step,
            examples_seen=last.examples_seen,
            tokens_seen=last.tokens_seen,
            seconds=last.seconds,
            tokens_per_s=last.tokens_seen / last.seconds,
            peak_memory_bytes=peak_memory_bytes(self._model.device.type),
            counted_share=self._loader.counts.shares,
        )
        write_json(self._folder.train_path, summary)
        return summary
