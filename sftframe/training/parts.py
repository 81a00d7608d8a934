"""The parts that train a model, made from a run's configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sftframe.config import RunConfig
from sftframe.plugins import CausalLM, CollateStrategy
from sftframe.records import StepData, TokenizedExample
from sftframe.training.batches import StepLoader, check_promise
from sftframe.training.lora import LoraAdapters
from sftframe.training.trainer import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingParts:
    """A model that is ready to be trained, with its data."""

    model: CausalLM
    strategy: CollateStrategy
    loader: StepLoader
    trainer: Trainer
    adapters: LoraAdapters | None
    """Merge them into the weights when training has ended."""

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
) -> TrainingParts:
    """Make a model ready to be trained, as the configuration says: its switches, adapters, compilation, optimizer.

    Args:
        model: the untuned model; changed in place.
        examples: the training examples.
        warn: gets one line if memory runs out and micro-batches are halved.

    Raises:
        ConfigError: the model cannot have the adapters.
    """
    loader = StepLoader(examples, strategy, config.train, seed=config.seed)
    model.is_compacting = config.train.compact
    model.is_recomputing = config.train.gradient_checkpointing
    lora = config.train.lora
    adapters = LoraAdapters(model.module, lora, seed=config.seed) if lora else None
    if config.train.compile:
        model.compile()
    trainer = Trainer(model, config.train, num_steps=loader.num_steps, dtype=config.dtype, warn=warn)
    return TrainingParts(model=model, strategy=strategy, loader=loader, trainer=trainer, adapters=adapters)
