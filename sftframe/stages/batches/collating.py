"""Batches from a collate strategy; mistakes that would give a loss of NaN or of no target are refused.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftframe.errors import DataError, PluginError, SftframeError
from sftframe.interfaces import CollateStrategy
from sftframe.records import Batch, EvalBatch, TokenizedExample
from sftframe.stages.batches.counting import counted_weights, target_roles
from sftframe.stages.batches.order import batch_rows
from sftframe.stages.batches.promises import check_rows


def collate(strategy: CollateStrategy, examples: Sequence[TokenizedExample]) -> Batch:
    """The strategy's batch, checked.

    Raises:
        DataError: a row in which no target counts.
        PluginError: the strategy failed, or its result is no batch of these examples.
    """
    batch = _made(strategy, examples)
    _check_shapes(strategy, batch, len(examples))
    is_usable = counted_weights(batch).sum(dim=1) > 0  # (B,)
    if not bool(is_usable.all()):
        example = examples[int(is_usable.logical_not().nonzero()[0])]
        raise DataError(
            f"example {example.index}: no target counts with collate strategy {strategy.name!r}, so it would train "
            f"on nothing ({len(example.ids)} tokens, {example.num_truncated} cut off)"
        )
    check_rows(strategy, batch, examples)
    return batch


def evaluation_batches(
    examples: Sequence[TokenizedExample], strategy: CollateStrategy, batch_size: int
) -> Iterator[EvalBatch]:
    """Held-out examples in batches of similar length, each as the strategy makes it and with all targets counted."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    everything = _Everything(pad_id=strategy.pad_id)
    for rows in batch_rows(order, batch_size):
        chosen = [examples[row] for row in rows]
        full = everything(chosen)
        yield EvalBatch(own=collate(strategy, chosen), full=full, roles=target_roles(chosen, full.targets.shape[1]))


def _made(strategy: CollateStrategy, examples: Sequence[TokenizedExample]) -> Batch:
    """Turn a strategy's exceptions into errors that name it."""
    try:
        batch: object = strategy(examples)
    except SftframeError:
        raise
    except Exception as error:
        raise PluginError(f"collate strategy {strategy.name!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(batch, Batch):
        raise PluginError(f"collate strategy {strategy.name!r} gave {type(batch).__name__}; expected a Batch")
    return batch


def _check_shapes(strategy: CollateStrategy, batch: Batch, num_rows: int) -> None:
    tensors = {"inputs": batch.inputs, "targets": batch.targets, "weights": batch.weights}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor is not None}
    shape = shapes["inputs"]
    if len(shape) != 2 or shape[0] != num_rows or set(shapes.values()) != {shape}:
        listed = ", ".join(f"{name} {found}" for name, found in shapes.items())
        raise PluginError(
            f"collate strategy {strategy.name!r} made {listed} of {num_rows} examples; "
            "expected one row per example, and the same shape for all"
        )


class _Everything(CollateStrategy):
    """Counts every target but padding, independent of the run's own strategy."""

    name = "everything"
    summary = "for evaluation"
