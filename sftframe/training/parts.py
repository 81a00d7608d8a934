"""The parts that train a model, made from a run's configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.config import RunConfig, TrainConfig
from sftframe.plugins import CausalLM, CollateStrategy
from sftframe.records import StepData, TokenizedExample
from sftframe.training import checkpoints
from sftframe.training.batches import StepLoader, check_promise
from sftframe.training.checkpoints import Checkpoint
from sftframe.training.lora import LoraAdapters
from sftframe.training.optimizer import OptimizerStep
from sftframe.training.passes import Passes
from sftframe.training.trainer import Trainer


class Spread(ABC):
    """Training that several processes share. It has a copy of the model in training; the weights are spread over all.

    `TrainingParts.model` is this process's whole model. Its weights are those of the training after `gather`.
    """

    passes: Passes
    optimizer_step: OptimizerStep

    @abstractmethod
    def gather(self) -> None:
        """Put the weights of the training into the whole model."""

    @abstractmethod
    def save(self, folder: Path, *, step: int, state: Mapping[str, Any]) -> None:
        """As `checkpoints.save`."""

    @abstractmethod
    def restore(self, checkpoint: Checkpoint) -> None:
        """Put the saved weights and moments back. Raises as `Checkpoint.restore`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingParts:
    """A model that is ready to be trained, with its data."""

    model: CausalLM
    strategy: CollateStrategy
    loader: StepLoader
    trainer: Trainer
    adapters: LoraAdapters | None
    """Merge them into the weights when training has ended."""
    spread: Spread | None = None
    """The training of several processes; None = this one trains `model` itself."""

    def gather(self) -> None:
        """Make the weights of `model` those of the last step, if they are not."""
        if self.spread is not None:
            self.spread.gather()

    def save(self, folder: Path, *, step: int, state: Mapping[str, Any]) -> None:
        """Save a checkpoint; see `checkpoints.save`."""
        if self.spread is not None:
            self.spread.save(folder, step=step, state=state)
        else:
            checkpoints.save(folder, step=step, module=self.model.module, optimizer=self.trainer.optimizer, state=state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint; see `Checkpoint.restore`."""
        if self.spread is not None:
            self.spread.restore(checkpoint)
        else:
            checkpoint.restore(self.model.module, self.trainer.optimizer)

    @property
    def num_done(self) -> int:
        """Steps done so far."""
        return self.trainer.last.step if self.trainer.last else 0

    def steps(self) -> Iterator[StepData]:
        """The data of the steps that are left.

        Raises:
            PluginError: the collate strategy counts other targets than it says.
        """
        for data in self.loader.steps(after=self.num_done):
            check_promise(self.strategy, self.loader.counts)
            yield data


def training_parts(
    model: CausalLM,
    examples: Sequence[TokenizedExample],
    strategy: CollateStrategy,
    config: RunConfig,
    *,
    warn: Callable[[str], None] = lambda _: None,
    spread: Callable[[int], Spread] | None = None,
) -> TrainingParts:
    """Make a model ready to be trained, as the configuration says: its switches, adapters, compilation, optimizer.

    Args:
        model: the untuned model; changed in place.
        examples: the training examples.
        warn: gets one line if memory runs out and micro-batches are halved.
        spread: has other processes train together with this one, from the model's weights; gets the number of steps.

    Raises:
        ConfigError: the model cannot have the adapters.
    """
    loader = StepLoader(examples, strategy, config.train, seed=config.seed)
    model.is_compacting = config.train.compact
    model.is_recomputing = config.train.gradient_checkpointing
    lora = config.train.lora
    adapters = LoraAdapters(model.module, lora, seed=config.seed) if lora else None
    if spread is None:
        if config.train.compile:
            model.compile()
        trainer = make_trainer(model, config.train, num_steps=loader.num_steps, dtype=config.dtype, warn=warn)
        return TrainingParts(model=model, strategy=strategy, loader=loader, trainer=trainer, adapters=adapters)
    shared = spread(loader.num_steps)
    trainer = make_trainer(
        model,
        config.train,
        num_steps=loader.num_steps,
        warn=warn,
        passes=shared.passes,
        optimizer_step=shared.optimizer_step,
    )
    return TrainingParts(
        model=model, strategy=strategy, loader=loader, trainer=trainer, adapters=adapters, spread=shared
    )


def make_trainer(
    model: CausalLM,
    config: TrainConfig,
    *,
    num_steps: int,
    dtype: str = "float32",
    warn: Callable[[str], None] = lambda _: None,
    passes: Passes | None = None,
    optimizer_step: OptimizerStep | None = None,
) -> Trainer:
    """The trainer of a model; see `Trainer` for the arguments."""
    return Trainer(
        model, config, num_steps=num_steps, dtype=dtype, warn=warn, passes=passes, optimizer_step=optimizer_step
    )
