"""The training examples, step by step: an epoch's order, cut into batches, collated and counted.

Shapes: B rows, T positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from sftframe.config import TrainConfig
from sftframe.errors import DataError
from sftframe.interfaces import CollateStrategy
from sftframe.records import StepData, TokenizedExample
from sftframe.stages.batches.collating import collate
from sftframe.stages.batches.counting import TargetCounts, counted_weights
from sftframe.stages.batches.order import batch_rows, epoch_order


class StepLoader:
    """The data of every optimizer step of a run.

    `counts` grows with every step that is yielded; a resumed run sets it to the saved value.
    """

    def __init__(
        self,
        examples: Sequence[TokenizedExample],
        strategy: CollateStrategy,
        config: TrainConfig,
        *,
        seed: int,
    ) -> None:
        self.counts = TargetCounts()
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
        # rounded first: 0.07 epochs of 100 steps are 7 steps, and 7.000000000000001 in floating point
        steps = max(1, math.ceil(round(self._config.epochs * self.steps_per_epoch, 6)))
        return steps if self._config.max_steps is None else min(steps, self._config.max_steps)

    def steps(self, after: int = 0) -> Iterator[StepData]:
        """The data of all optimizer steps after number `after`."""
        for number, groups in enumerate(self._steps(after), start=after + 1):
            yield self._step(number, groups)

    def schedule(self) -> Iterator[list[tuple[int, ...]]]:
        """The examples of each optimizer step of the run: per micro-batch the `Example.index` of its rows."""
        for groups in self._steps():
            yield [tuple(self._examples[row].index for row in rows) for rows in groups]

    def _steps(self, after: int = 0) -> Iterator[list[list[int]]]:
        """Rows of every micro-batch of all steps after number `after`."""
        number = after
        while number < self.num_steps:
            epoch, skip = divmod(number, self.steps_per_epoch)
            for groups in self._epoch(epoch)[skip : skip + self.num_steps - number]:
                number += 1
                yield groups

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
