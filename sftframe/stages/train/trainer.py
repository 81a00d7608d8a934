"""The optimizer step: it changes the model and makes a record.

The loss of a step is the sum of the weighted token losses over the sum of the weights of the *whole* step, so 8 x 1 and
1 x 8 examples give the same gradient. A loss that is not finite never changes the weights. On a GPU steps are queued,
and their figures are read together every few steps. If memory runs out, micro-batches are halved for the rest of the
run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from sftframe.config import TrainConfig
from sftframe.errors import TrainingError
from sftframe.interfaces import CausalLM
from sftframe.records import StepData, StepRecord
from sftframe.registry.wall import is_out_of_memory
from sftframe.stages.train.figures import gradient_norm, require_finite, steps_between_readings
from sftframe.stages.train.memory import halved, most_rows, out_of_memory_message
from sftframe.stages.train.schedule import learning_rate
from sftframe.transfer import batch_on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A step that was taken and not yet read."""

    data: StepData
    lr: float
    figures: Tensor
    """The loss of every micro-batch, then the gradient norm; on the model's device, or fetched already."""


class Trainer:
    """AdamW over all trainable parameters of a model.

    `step` takes a step and reads its figures. `take` and `read` do this separately: on a GPU `take` only queues the
    work, and the CPU continues with the next batch. The caller of `take` must call `read` when `is_due`, and before it
    uses the weights. A step that is not finite is not applied, and no step after it, even if it is found later.

    Args:
        num_steps: optimizer steps of the whole run, for the schedule.
        dtype: `float32`, or `bfloat16` for autocast over float32 parameters.
        after: the last step that was taken, if a run is resumed.
        warn: gets one line if memory ran out and micro-batches are halved.
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
    ) -> None:
        self.model = model
        self.last = after
        self.read_every = steps_between_readings(config.log_every, model.device.type)
        self._taken: list[_Taken] = []
        self._since = 0.0
        self._is_bad: Tensor | None = None
        self.is_halving = False
        """Whether micro-batches are halved, because memory ran out; a resumed run sets it to the saved value."""
        self._warn = warn
        self._config = config
        self._num_steps = num_steps
        self._dtype = dtype
        self._parameters = [p for p in model.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._parameters,
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,  # 3x the default and 4x foreach on a CPU
        )

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
            if most_rows(data) == 1:
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
        self.optimizer.zero_grad()  # the first gradient is then used directly, without zeroing and adding
        losses = self._accumulate_gradients(data)
        norm = gradient_norm([p.grad for p in self._parameters if p.grad is not None])
        figures = self._guarded(torch.stack([*losses, norm]), data)
        if self._config.clip_norm is not None:
            # as a gradient scaler sets it: the fused kernels divide by it while reading, so it costs no extra pass
            self.optimizer.grad_scale = (norm / self._config.clip_norm).clamp(min=1.0)  # type: ignore[attr-defined]
        lr = learning_rate(self._config, data.number, self._num_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        return _Taken(data=data, lr=lr, figures=figures)

    def _guarded(self, figures: Tensor, data: StepData) -> Tensor:
        """Make the optimizer skip steps with figures that are not finite."""
        if self.read_every == 1:
            figures = figures.cpu()
            *losses, norm = figures.tolist()
            require_finite(sum(losses), norm, data)
            return figures
        is_bad = figures.isfinite().all().logical_not().float()
        self._is_bad = is_bad if self._is_bad is None else torch.maximum(self._is_bad, is_bad)
        # as a gradient scaler sets it: with a 1 here the fused kernels do not change weights and moments
        self.optimizer.found_inf = self._is_bad  # type: ignore[attr-defined]
        return figures

    def _accumulate_gradients(self, data: StepData) -> list[Tensor]:
        """The loss of every micro-batch; together they are the step's."""
        losses = []
        for batch in data.micro_batches:
            with self._precision():
                loss = self.model.loss_sum(batch_on(batch, self.model.device)) / data.weight
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return losses

    def _precision(self) -> AbstractContextManager[object]:
        if self._dtype == "float32":
            return nullcontext()
        return torch.autocast(self.model.device.type, dtype=getattr(torch, self._dtype))

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
