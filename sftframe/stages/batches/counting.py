"""The targets that count in a batch, measured on the batch itself.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sftframe.errors import PluginError
from sftframe.interfaces import IGNORED, CollateStrategy
from sftframe.records import Batch, Role, TokenizedExample

PADDING = len(Role)
"""The code of padding positions, after the codes of the roles."""

LABELS = (*(role.label for role in Role), "padding")


def counted_weights(batch: Batch) -> Tensor:
    """The weight of every target, 0 where it does not count: float32 (B, T)."""
    counted = (batch.targets != IGNORED).float()
    return counted if batch.weights is None else counted * batch.weights


def target_roles(examples: Sequence[TokenizedExample], num_positions: int) -> Tensor:
    """The role of every target, `PADDING` after a row's end: uint8 (B, T)."""
    roles = torch.full((len(examples), num_positions), PADDING, dtype=torch.uint8)
    for row, example in enumerate(examples):
        known = torch.as_tensor(example.roles[1 : num_positions + 1])
        roles[row, : len(known)] = known
    return roles


@dataclass(slots=True)
class TargetCounts:
    """Targets per role (and padding), all of them and those that count."""

    all: Tensor = field(default_factory=lambda: torch.zeros(len(LABELS), dtype=torch.int64))
    counted: Tensor = field(default_factory=lambda: torch.zeros(len(LABELS), dtype=torch.int64))

    def add(self, batch: Batch, examples: Sequence[TokenizedExample]) -> None:
        """Count one batch."""
        roles = target_roles(examples, batch.targets.shape[1]).long()
        self.all += torch.bincount(roles.flatten(), minlength=len(LABELS))
        self.counted += torch.bincount(roles[counted_weights(batch) > 0], minlength=len(LABELS))

    @property
    def state(self) -> dict[str, list[int]]:
        """The counts as JSON values."""
        return {"all": self.all.tolist(), "counted": self.counted.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, list[int]]) -> TargetCounts:
        """The counts of a `state`."""
        return cls(all=torch.tensor(state["all"]), counted=torch.tensor(state["counted"]))

    @property
    def shares(self) -> dict[str, float]:
        """Share of targets that count, per role that occurs, 0-1."""
        pairs = zip(LABELS, self.counted.tolist(), self.all.tolist(), strict=True)
        return {label: counted / total for label, counted, total in pairs if total}


def check_promise(strategy: CollateStrategy, counts: TargetCounts) -> None:
    """Compare the counted targets with the strategy's weights of roles and padding.

    A strategy with its own rules (`target_weights` overridden) promises nothing about roles. A strategy that makes its
    batches itself (`__call__` overridden) and gives weights of roles promises that a role of weight 0 never counts.

    Raises:
        PluginError: targets counted that should not, or did not count although they should.
    """
    kind = type(strategy)
    is_own_batch = kind.__call__ is not CollateStrategy.__call__
    promised = {} if strategy.padding_weight > 0 and is_own_batch else {"padding": float(strategy.padding_weight > 0)}
    if kind.target_weights is CollateStrategy.target_weights:
        roles = {role.label: float(strategy.role_weight(role) > 0) for role in Role}
        promised |= {label: share for label, share in roles.items() if not (is_own_batch and share)}
    for label, share in counts.shares.items():
        if label in promised and share != promised[label]:
            raise PluginError(
                f"collate strategy {strategy.name!r} promises to count {promised[label]:.0%} of {label} targets, "
                f"but {share:.1%} counted"
            )
