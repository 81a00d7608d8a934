"""Which examples form which batch, and what a batch really counts.

The order of an epoch is a function of seed and epoch alone, so a run can be stopped and resumed anywhere. What counts
is measured on the batches that are trained on, and compared with what the collate strategy promises.

Shapes: B rows, T positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from sftframe.config import TrainConfig
from sftframe.errors import DataError, PluginError
from sftframe.interfaces import IGNORED, CollateStrategy
from sftframe.records import Batch, EvalBatch, Role, StepData, TokenizedExample

if TYPE_CHECKING:
    from torch import Tensor

PADDING = len(Role)
"""The code of padding positions, after the codes of the roles."""

LABELS = (*(role.label for role in Role), "padding")


def epoch_order(num_examples: int, *, seed: int, epoch: int, shuffle: bool = True) -> list[int]:
    """The order of one epoch, counted from 0.

    With shuffling it is the order of the epoch-th pass over a `torch.utils.data.DataLoader(shuffle=True)` after
    `torch.manual_seed(seed)`: each pass draws one number for its workers and one that seeds the permutation.
    """
    if not shuffle:
        return list(range(num_examples))
    draws = torch.empty(2 * (epoch + 1), dtype=torch.int64)
    base = torch.Generator().manual_seed(seed)
    for i in range(len(draws)):
        draws[i] = torch.empty((), dtype=torch.int64).random_(generator=base)
    order = torch.randperm(num_examples, generator=torch.Generator().manual_seed(int(draws[-1])))
    return [int(i) for i in order]


def batch_rows(order: Sequence[int], batch_size: int, *, drop_last: bool = False) -> Iterator[list[int]]:
    """The order cut into batches; the last one may be smaller, or is left out.

    >>> list(batch_rows([4, 2, 0, 1, 3], 2))
    [[4, 2], [0, 1], [3]]
    """
    for start in range(0, len(order), batch_size):
        rows = list(order[start : start + batch_size])
        if len(rows) == batch_size or not drop_last:
            yield rows


def collate(strategy: CollateStrategy, examples: Sequence[TokenizedExample]) -> Batch:
    """The strategy's batch, with the mistakes refused that would otherwise end as a loss of NaN or of nothing.

    Raises:
        DataError: a row in which no target counts.
        PluginError: a batch of another number of rows.
    """
    batch = strategy(examples)
    if batch.targets.shape[0] != len(examples) or batch.inputs.shape != batch.targets.shape:
        raise PluginError(
            f"collate strategy {strategy.name!r} made inputs {tuple(batch.inputs.shape)} and targets "
            f"{tuple(batch.targets.shape)} of {len(examples)} examples; one row per example was expected"
        )
    is_empty = counted_weights(batch).sum(dim=1) == 0
    if bool(is_empty.any()):
        example = examples[int(is_empty.nonzero()[0])]
        raise DataError(
            f"example {example.index}: no target counts under collate strategy {strategy.name!r}, so it would train "
            f"on nothing ({len(example.ids)} tokens, {example.num_truncated} cut off)"
        )
    return batch


def counted_weights(batch: Batch) -> Tensor:
    """The weight of every target, 0 where it does not count: float32 (B, T)."""
    counted = (batch.targets != IGNORED).float()
    return counted if batch.weights is None else counted * batch.weights


def target_roles(examples: Sequence[TokenizedExample], num_positions: int) -> Tensor:
    """The role of every target, `PADDING` behind a row's end: uint8 (B, T)."""
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
        """What `state` gave."""
        return cls(all=torch.tensor(state["all"]), counted=torch.tensor(state["counted"]))

    @property
    def shares(self) -> dict[str, float]:
        """Share of targets that count, per role that occurs, 0-1."""
        pairs = zip(LABELS, self.counted.tolist(), self.all.tolist(), strict=True)
        return {label: counted / total for label, counted, total in pairs if total}


def check_promise(strategy: CollateStrategy, counts: TargetCounts) -> None:
    """Compare what counted with what the strategy says of roles and padding.

    A strategy with rules of its own (`target_weights` or `__call__` overridden) promises nothing about roles.

    Raises:
        PluginError: something counted that should not, or the other way round.
    """
    promised = {"padding": float(strategy.padding_weight > 0)}
    kind = type(strategy)
    if kind.target_weights is CollateStrategy.target_weights and kind.__call__ is CollateStrategy.__call__:
        promised |= {role.label: float(strategy.role_weight(role) > 0) for role in Role}
    for label, share in counts.shares.items():
        if label in promised and share != promised[label]:
            raise PluginError(
                f"collate strategy {strategy.name!r} promises to count {promised[label]:.0%} of {label} targets, "
                f"but {share:.1%} counted"
            )


class StepLoader:
    """The training examples, step by step.

    Args:
        counts: targets counted so far, when a run is resumed; extended as steps are handed out.
    """

    def __init__(
        self,
        examples: Sequence[TokenizedExample],
        strategy: CollateStrategy,
        config: TrainConfig,
        *,
        seed: int,
        counts: TargetCounts | None = None,
    ) -> None:
        self.counts = counts or TargetCounts()
        self._examples = examples
        self._strategy = strategy
        self._config = config
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the examples.

        Raises:
            DataError: there are fewer examples than one full batch, and `drop_last` leaves nothing.
        """
        size, total = self._config.batch_size, len(self._examples)
        num_batches = total // size if self._config.drop_last else math.ceil(total / size)
        if num_batches == 0:
            raise DataError(f"{total} training examples do not fill one batch of {size}: lower --batch-size")
        return math.ceil(num_batches / self._config.accumulate)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        steps = max(1, math.ceil(self._config.epochs * self.steps_per_epoch))
        return steps if self._config.max_steps is None else min(steps, self._config.max_steps)

    def steps(self, after: int = 0) -> Iterator[StepData]:
        """The data of all optimizer steps behind number `after`."""
        number = after
        while number < self.num_steps:
            epoch, skip = divmod(number, self.steps_per_epoch)
            for groups in self._epoch(epoch)[skip : skip + self.num_steps - number]:
                number += 1
                yield self._step(number, groups)

    def _epoch(self, epoch: int) -> list[list[list[int]]]:
        """Rows of every micro-batch of every step of an epoch."""
        config = self._config
        order = epoch_order(len(self._examples), seed=self._seed, epoch=epoch, shuffle=config.shuffle)
        rows = list(batch_rows(order, config.batch_size, drop_last=config.drop_last))
        return [rows[i : i + config.accumulate] for i in range(0, len(rows), config.accumulate)]

    def _step(self, number: int, groups: Sequence[Sequence[int]]) -> StepData:
        batches, weight, num_tokens, num_examples = [], 0.0, 0, 0
        for rows in groups:
            examples = [self._examples[row] for row in rows]
            batch = collate(self._strategy, examples)
            self.counts.add(batch, examples)
            batches.append(batch)
            weight += float(counted_weights(batch).sum(dtype=torch.float64))
            num_tokens += sum(len(example.ids) for example in examples)
            num_examples += len(examples)
        return StepData(
            number=number,
            epoch=number / self.steps_per_epoch,
            micro_batches=tuple(batches),
            weight=weight,
            num_tokens=num_tokens,
            num_examples=num_examples,
        )


def evaluation_batches(
    examples: Sequence[TokenizedExample], strategy: CollateStrategy, batch_size: int
) -> Iterator[EvalBatch]:
    """Held-out examples in batches of like length, each both as the strategy sees it and with all targets counted."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    everything = _Everything(pad_id=strategy.pad_id)
    for rows in batch_rows(order, batch_size):
        chosen = [examples[row] for row in rows]
        full = everything(chosen)
        yield EvalBatch(own=collate(strategy, chosen), full=full, roles=target_roles(chosen, full.targets.shape[1]))


class _Everything(CollateStrategy):
    """Every target but padding, whatever the run's own strategy counts."""

    name = "everything"
    summary = "for evaluation"
