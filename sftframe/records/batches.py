"""Records of batches: rows for a training step and for a measurement.

Shapes: B rows of a batch, T positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded rows, ready for a model: `targets[:, t]` is what has to be predicted after `inputs[:, :t + 1]`."""

    inputs: torch.Tensor
    """int64 (B, T)."""
    targets: torch.Tensor
    """int64 (B, T); -100 = does not count."""
    weights: torch.Tensor | None = None
    """float32 (B, T), the weight of each counted target; None = all 1."""
    indices: tuple[int, ...] = ()
    """`Example.index` of each row, for messages; may be left empty."""
    host: Batch | None = None
    """The same batch in the CPU's memory, if this one is on another device: index arithmetic need not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepData:
    """The data of one optimizer step."""

    number: int
    """Counted from 1."""
    epoch: float
    """Epochs done after it."""
    micro_batches: tuple[Batch, ...]
    """One forward and backward pass each."""
    weight: float
    """Sum of the weights of all counted targets; the loss of the step is divided by it."""
    num_tokens: int
    """Unpadded tokens."""
    num_examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalBatch:
    """Held-out examples, ready to be measured in one forward pass."""

    own: Batch
    """The batch as the run's collate strategy makes it."""
    full: Batch
    """The same rows with every target but padding counted."""
    roles: torch.Tensor
    """uint8 (B, T): the `Role` of every target; a code above all roles after a row's end."""
