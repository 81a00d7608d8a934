"""The optimizer step: it changes the model and makes a record.

The loss of a step is the sum of the weighted token losses over the sum of the weights of the *whole* step, so 8 x 1 and
1 x 8 examples give the same gradient. A loss that is not finite never changes the weights. On a GPU steps are queued,
and their figures are read together every few steps. If memory runs out, micro-batches are halved for the rest of the
run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from sftframe.config import TrainConfig
from sftframe.errors import TrainingError
from sftframe.plugins import CausalLM
from sftframe.plugins.guard import is_out_of_memory
from sftframe.records import Batch, StepData, StepRecord
from sftframe.training.optimizer import FusedAdamW, OptimizerStep
from sftframe.training.passes import Passes

QUEUED_STEPS = 10
"""Steps queued on a CUDA device before their figures are read: enough that it never waits for the CPU."""


def steps_between_readings(wanted: int | None, device_type: str) -> int:
    """Number of steps whose figures are read together: one on a CPU, where reading costs nothing.

    >>> steps_between_readings(None, "cpu"), steps_between_readings(None, "cuda"), steps_between_readings(4, "cuda")
    (1, 10, 4)
    """
    return wanted or (QUEUED_STEPS if device_type == "cuda" else 1)


def require_finite(loss: float, norm: float, data: StepData) -> None:
    """Raise a `TrainingError` that names step and examples unless both are finite."""
    if math.isfinite(loss) and math.isfinite(norm):
        return
    indices = [index for batch in data.micro_batches for index in batch.indices]
    what = f"loss {loss}" if not math.isfinite(loss) else f"gradient norm {norm}"
    raise TrainingError(
        f"{what} in step {data.number} (examples {', '.join(map(str, indices))}): the step was not applied. "
        "Lower --lr, set train.clip_norm=1, or look at these examples with `sftframe preview`"
    )


def learning_rate(config: TrainConfig, step: int, num_steps: int) -> float:
    """The learning rate of a step, counted from 1: linear warm-up, then the schedule, which ends at 0 after the last.

    >>> config = TrainConfig(lr=1.0, schedule="linear", warmup_steps=2)
    >>> [learning_rate(config, step, 6) for step in range(1, 7)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step <= config.warmup_steps:
        return config.lr * step / config.warmup_steps
    done = (step - 1 - config.warmup_steps) / max(num_steps - config.warmup_steps, 1)
    if config.schedule == "linear":
        return config.lr * (1 - done)
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * done))
    return config.lr


def _or_bad(was_bad: Tensor | None, figures: Tensor) -> Tensor:
    """1 if a figure of this step is not finite, or of a step before it; a scalar on their device, and not read."""
    is_bad = figures.isfinite().all().logical_not().float()
    return is_bad if was_bad is None else torch.maximum(was_bad, is_bad)


def halved(data: StepData) -> StepData:
    """The same step with every micro-batch split in two: the same gradient with half the activations."""
    return replace(data, micro_batches=tuple(chain.from_iterable(map(_halves, data.micro_batches))))


def most_rows(data: StepData) -> int:
    """Rows of the step's largest micro-batch."""
    return max(len(batch.inputs) for batch in data.micro_batches)


def out_of_memory_message(data: StepData) -> str:
    """The message: where memory ran out, and what to lower."""
    num_rows, num_positions = max(tuple(batch.inputs.shape) for batch in data.micro_batches)
    advice = (
        "lower --batch-size and raise train.accumulate by the same factor"
        if num_rows > 1
        else "lower --max-length, or choose a smaller model"
    )
    return f"out of memory in step {data.number} with {num_rows} rows of {num_positions} tokens: {advice}"


def _halves(batch: Batch) -> list[Batch]:
    """The batch in two halves of its rows, or unchanged if it has only one row."""
    middle = (len(batch.inputs) + 1) // 2
    return [
        Batch(
            inputs=batch.inputs[rows],
            targets=batch.targets[rows],
            weights=None if batch.weights is None else batch.weights[rows],
            indices=batch.indices[rows],
        )
        for rows in (slice(0, middle), slice(middle, len(batch.inputs)))
        if rows.start < rows.stop
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A step that was taken and not yet read."""

    data: StepData
    lr: float
    figures: Tensor
    """The loss of every micro-batch, then the gradient norm; on the model's device, or fetched already."""


class Trainer:
    """Takes optimizer steps with all trainable parameters of a model.

    `step` takes a step and reads its figures. `take` and `read` do this separately: on a GPU `take` only queues the
    work, and the CPU continues with the next batch. The caller of `take` must call `read` when `is_due`, and before it
    uses the weights. A step that is not finite is not applied, and no step after it, even if it is found later.

    Args:
        num_steps: optimizer steps of the whole run, for the schedule.
        dtype: `float32`, or `bfloat16` for autocast over float32 parameters.
        after: the last step that was taken, if a run is resumed.
        warn: gets one line if memory ran out and micro-batches are halved.
        optimizer_step: what changes the weights; by default AdamW, as the configuration says.
        passes: what computes the gradients; by default this process alone.
    """

    def __init__(
        self,
        model: CausalLM,
        config: TrainConfig,
        *,
        num_steps: int,
        dtype: str = "float32",
        after: StepRecord | None = None,
        warn: Callable[[str], None] = lambda _: None,
        optimizer_step: OptimizerStep | None = None,
        passes: Passes | None = None,
    ) -> None:
        trained = [parameter for parameter in model.module.parameters() if parameter.requires_grad]
        self.model = model
        self.last = after
        self._optimizer_step = optimizer_step or FusedAdamW(trained, config)
        self._passes = passes or Passes(model, dtype)
        wanted = config.log_every if self._optimizer_step.can_skip else 1
        self.read_every = steps_between_readings(wanted, model.device.type)
        self._taken: list[_Taken] = []
        self._since = 0.0
        self._is_bad: Tensor | None = None
        self.is_halving = False
        """Whether micro-batches are halved, because memory ran out; a resumed run sets it to the saved value."""
        self._warn = warn
        self._config = config
        self._num_steps = num_steps

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What a checkpoint saves beside the weights."""
        return self._optimizer_step.optimizer

    def step(self, data: StepData) -> StepRecord:
        """Take one optimizer step.

        Raises:
            TrainingError: the loss or a gradient is not finite (nothing was changed), or memory ran out.
        """
        self.take(data)
        *_, record = self.read()
        return record

    def take(self, data: StepData) -> None:
        """Take one optimizer step; its record comes with the next `read`.

        Raises:
            TrainingError: memory ran out; or, if every step is read, the loss or a gradient is not finite.
        """
        if not self._taken:
            self._since = time.perf_counter()
        self.model.module.train()
        try:
            if not self.is_halving and self._fits(data):
                return
            self._within_memory(data)
        finally:
            self.model.module.eval()

    @property
    def is_due(self) -> bool:
        """Whether it is time to read."""
        return len(self._taken) >= self.read_every

    def read(self) -> Iterator[StepRecord]:
        """The records of all steps taken since the last reading, fetched from the device in one copy.

        Raises:
            TrainingError: a step was not finite, so neither it nor any later step was applied; the records before it
            come first.
        """
        if not self._taken:
            return
        taken, self._taken = self._taken, []
        figures = iter(torch.cat([one.figures for one in taken]).tolist())
        seconds = (time.perf_counter() - self._since) / len(taken)
        for one in taken:
            loss, norm = sum(next(figures) for _ in range(len(one.figures) - 1)), next(figures)
            require_finite(loss, norm, one.data)
            self.last = self._record(one, loss, norm, seconds)
            yield self.last

    def _fits(self, data: StepData) -> bool:
        """Take the step unchanged; False if memory ran out and halves may help."""
        try:
            self._taken.append(self._move(data))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if most_rows(data) == 1 or not self._passes.can_halve:
                raise TrainingError(out_of_memory_message(data)) from error
            return False
        return True

    def _within_memory(self, data: StepData) -> None:
        """Take the step in halves of its micro-batches, and all that come after it."""
        smaller = halved(data)
        if not self.is_halving:
            self.is_halving = True
            self._warn(
                f"out of memory in step {data.number}: micro-batches are halved from here on, to {most_rows(smaller)} "
                "rows; the gradients stay the same, steps take longer"
            )
        try:
            self._taken.append(self._move(smaller))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(out_of_memory_message(smaller)) from error

    def _move(self, data: StepData) -> _Taken:
        """Queue a step."""
        self._optimizer_step.clear()
        losses = self._passes.losses(data)
        norm = self._optimizer_step.norm()
        figures = torch.stack([*losses, norm])
        lr = learning_rate(self._config, data.number, self._num_steps)
        if self.read_every == 1:
            figures = figures.cpu()
            *read, read_norm = figures.tolist()
            require_finite(sum(read), read_norm, data)
        else:
            self._is_bad = _or_bad(self._is_bad, figures)
        self._optimizer_step.apply(lr=lr, norm=norm, is_bad=self._is_bad)
        return _Taken(data=data, lr=lr, figures=figures)

    def _record(self, taken: _Taken, loss: float, norm: float, seconds: float) -> StepRecord:
        data = taken.data
        tokens, examples, spent = (
            (self.last.tokens_seen, self.last.examples_seen, self.last.seconds) if self.last else (0, 0, 0.0)
        )
        return StepRecord(
            step=data.number,
            epoch=data.epoch,
            loss=loss,
            lr=taken.lr,
            grad_norm=norm,
            tokens_seen=tokens + data.num_tokens,
            examples_seen=examples + data.num_examples,
            seconds=spent + seconds,
        )
