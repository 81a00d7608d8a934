"""What happens if memory runs out in a step: smaller batches, then an error with advice."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from sftframe.records import Batch, StepData


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
