"""What the model will see: tokens with roles and counted targets, and the shape of every batch.

Everything goes through the very objects that train: the prompt style, the tokenizer and the collate strategy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sftframe.config import RunConfig
from sftframe.interfaces import Tokenizer
from sftframe.pipeline.setup import Components, Material
from sftframe.records import Batch, TokenizedExample
from sftframe.stages.batches import (
    LABELS,
    PADDING,
    TargetCounts,
    batch_rows,
    collate,
    counted_weights,
    epoch_order,
    target_roles,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """One token of a row as it is trained on."""

    id: int
    text: str
    """The token decoded by itself; a cut character shows as U+FFFD."""
    role: str
    """`Role.label`, or `padding`."""
    weight: float
    """As a target: 0 = it does not count. A row's first token is never a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """One batch in numbers."""

    shape: tuple[int, int]
    """Rows and positions."""
    counted: int
    """Targets that count."""
    padding: int
    """Positions behind a row's end."""
    indices: tuple[int, ...]
    """`Example.index` of each row."""


def view_examples(
    components: Components, examples: Sequence[TokenizedExample], batch_size: int
) -> Iterator[tuple[TokenizedExample, list[TokenView]]]:
    """Each example with its tokens, padding included, from the batch of its neighbours that it would be trained in."""
    for rows in batch_rows(range(len(examples)), batch_size):
        chosen = [examples[row] for row in rows]
        batch = collate(components.strategy, chosen)
        for row, example in enumerate(chosen):
            yield example, _row(batch, chosen, row, components.tokenizer)


def view_batches(
    config: RunConfig, components: Components, material: Material, *, epoch: int | None = None
) -> tuple[list[BatchView], TargetCounts]:
    """Every batch of the training examples, and what counted in all of them.

    Args:
        epoch: in the order of this epoch, counted from 0; None = in file order.
    """
    settings = config.train
    order = epoch_order(
        len(material.train), seed=config.seed, epoch=epoch or 0, shuffle=epoch is not None and settings.shuffle
    )
    views, counts = [], TargetCounts()
    for rows in batch_rows(order, settings.batch_size, drop_last=settings.drop_last):
        chosen = [material.train[row] for row in rows]
        batch = collate(components.strategy, chosen)
        counts.add(batch, chosen)
        views.append(_view(batch, chosen))
    return views, counts


def _view(batch: Batch, examples: Sequence[TokenizedExample]) -> BatchView:
    num_rows, num_positions = batch.targets.shape
    return BatchView(
        shape=(num_rows, num_positions),
        counted=int((counted_weights(batch) > 0).sum()),
        padding=int((target_roles(examples, num_positions) == PADDING).sum()),
        indices=tuple(example.index for example in examples),
    )


def _row(batch: Batch, examples: Sequence[TokenizedExample], row: int, tokenizer: Tokenizer) -> list[TokenView]:
    """A row's tokens: the first input, then every target."""
    weights = counted_weights(batch)[row].tolist()
    roles = target_roles(examples, batch.targets.shape[1])[row].tolist()
    known = list(examples[row].ids)[: len(weights) + 1]
    ids = [*known, *([int(batch.inputs[row, -1])] * (len(weights) + 1 - len(known)))]
    first = LABELS[int(examples[row].roles[0])]
    labels = [first, *(LABELS[code] for code in roles)]
    return [
        TokenView(id=int(i), text=_shown(int(i), label, tokenizer), role=label, weight=weight)
        for i, label, weight in zip(ids, labels, [0.0, *weights], strict=True)
    ]


def _shown(token_id: int, label: str, tokenizer: Tokenizer) -> str:
    if label == LABELS[PADDING]:
        return "<pad>"
    return "<end>" if token_id == tokenizer.end_id else tokenizer.decode([token_id])
