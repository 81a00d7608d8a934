"""The forward and backward passes of an optimizer step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from sftframe.plugins import CausalLM
from sftframe.records import Batch, StepData
from sftframe.training.batches import batch_on


class Passes:
    """The passes of a step in this process alone. Training on several processes brings its own.

    Args:
        dtype: `float32`, or `bfloat16` for autocast over float32 parameters.
    """

    can_halve = True
    """Whether the step may be taken again with smaller micro-batches if memory runs out."""

    def __init__(self, model: CausalLM, dtype: str = "float32") -> None:
        self.model = model
        self._dtype = dtype

    def losses(self, data: StepData) -> Sequence[Tensor]:
        """Add the step's gradients to the parameters.

        Returns:
            The loss of every micro-batch, scalars on the model's device; together they are the step's.
        """
        losses = []
        for batch in data.micro_batches:
            loss = self.loss(batch, data.weight)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return losses

    def loss(self, batch: Batch, weight: float) -> Tensor:
        """The share of a micro-batch in the step's loss, with gradient.

        Args:
            weight: of the whole step.
        """
        with self._precision():
            return self.model.loss_sum(batch_on(batch, self.model.device)) / weight

    def _precision(self) -> AbstractContextManager[object]:
        if self._dtype == "float32":
            return nullcontext()
        return torch.autocast(self.model.device.type, dtype=getattr(torch, self._dtype))
