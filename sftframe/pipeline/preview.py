"""What the model will see: tokens with roles and counted targets, and the shape of every batch.

The preview uses the same prompt style, tokenizer and collate strategy as training. If the data are large, only the
shown or measured examples are tokenised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sftframe.config import RunConfig
from sftframe.errors import DataError
from sftframe.pipeline.setup import Components, PreparedData, load_parts, naming_other_styles, prepare_data
from sftframe.plugins import Tokenizer
from sftframe.progress import Observer
from sftframe.prompts.tokens import LengthReport, TokenStore, tokenize
from sftframe.records import Batch, Example, Role, TokenizedExample
from sftframe.training import (
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
    turn: int = 0
    """The number of its exchange in a conversation, counted from 0; padding follows the last one."""
    is_control: bool = False
    """One control token, whose name is the text. The same name in the data is several ordinary tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """One batch in numbers."""

    shape: tuple[int, int]
    """Rows and positions."""
    counted: int
    """Targets that count."""
    padding: int
    """Positions after a row's end."""
    indices: tuple[int, ...]
    """`Example.index` of each row."""
    tensors: Batch | None = None
    """The batch itself, where it was asked for."""


MEASURED = 2000
"""Examples whose lengths are measured unless all are wanted: tokenising them takes half a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """The data of a preview, as far as they were tokenised."""

    prepared: PreparedData
    num_measured: int
    num_examples: int
    """Number of examples that could have been measured."""

    @property
    def parts(self) -> dict[str, TokenStore]:
        """The tokenised examples by part."""
        prepared = self.prepared
        return {"train": prepared.train, "test": prepared.test, "validation": prepared.validation}


def read_data(
    config: RunConfig, components: Components, observer: Observer, *, indices: Collection[int], measures_all: bool
) -> Previewed:
    """Load and split all of the data, and tokenise what a preview needs.

    Args:
        indices: examples that will be shown, with their batches; empty = the first ones.
        measures_all: tokenise everything.

    Raises:
        DataError: the data cannot be used, an index is not there, or an example is too long. An example that was asked
            for by its index is never too long to be shown.
    """
    dataset, parts = load_parts(config, observer)
    by_part = {
        label: sorted(part, key=lambda example: example.index)
        for label, part in (("train", parts.train), ("test", parts.test), ("validation", parts.validation))
    }
    num_examples = len(dataset.examples)
    strange = next((index for index in indices if not 0 <= index < num_examples), None)
    if strange is not None:
        raise DataError(f"--index {strange}: no example has this index; they go from 0 to {num_examples - 1}")
    is_complete = measures_all or num_examples <= MEASURED
    if is_complete and not indices:
        prepared = prepare_data(config, components, observer, loaded=(dataset, parts))
        return Previewed(prepared=prepared, num_measured=num_examples, num_examples=num_examples)
    if is_complete:
        wanted = [example for part in by_part.values() for example in part]
    elif indices:
        wanted = [
            example
            for part in by_part.values()
            for rows in batch_rows(range(len(part)), config.train.batch_size)
            if any(part[row].index in indices for row in rows)
            for example in (part[row] for row in rows)
        ]
    else:
        wanted = by_part["train"][:MEASURED]
    store, lengths = _tokenized(config, components, wanted, is_shown=bool(indices))
    train, test, validation = (store.select([example.index for example in part]) for part in by_part.values())
    prepared = PreparedData(
        dataset=dataset, split=parts, lengths=lengths, train=train, test=test, validation=validation
    )
    return Previewed(prepared=prepared, num_measured=len(wanted), num_examples=num_examples)


def count_tokens(
    examples: Sequence[Example], config: RunConfig, components: Components, observer: Observer
) -> tuple[dict[int, int], dict[int, int]]:
    """By index the tokens before the last answer, and those of the last answer with what ends it. Nothing is cut.

    Raises:
        DataError: a row that the prompt style or the tokenizer cannot turn into tokens.
    """
    boundless = config.tokens.model_copy(update={"max_length": None, "over_long": "error"})
    observer.begin("tokens", len(examples), "examples")
    with naming_other_styles(components):
        store, _ = tokenize(
            examples,
            components.style,
            components.tokenizer,
            boundless,
            context_length=2**31,
            on_examples=observer.advance,
        )
    observer.end()
    prompts, answers = {}, {}
    for row in store:
        asked = np.flatnonzero(~np.isin(row.roles, (Role.RESPONSE, Role.END)))
        prompts[row.index] = int(asked[-1]) + 1 if len(asked) else 0
        answers[row.index] = len(row.ids) - prompts[row.index]
    return prompts, answers


def _tokenized(
    config: RunConfig, components: Components, examples: Sequence[Example], *, is_shown: bool
) -> tuple[TokenStore, LengthReport]:
    """Args: is_shown: an example over the maximum is kept whole where it would be an error."""
    tokens, context_length = config.tokens, components.backend.context_length()
    ordered = sorted(examples, key=lambda example: example.index)
    is_whole = is_shown and tokens.over_long == "error"
    used = tokens.model_copy(update={"max_length": None}) if is_whole else tokens
    with naming_other_styles(components):
        store, lengths = tokenize(
            ordered,
            components.style,
            components.tokenizer,
            used,
            context_length=2**31 if is_whole else context_length,
            counted_turns=config.collate.turns,
        )
    if not is_whole:
        return store, lengths
    most = tokens.max_length or context_length
    over = tuple(index for index, length in zip(store.indices, store.lengths, strict=True) if length > most)
    return store, replace(lengths, max_length=most, over_long=over)


def view_examples(
    components: Components, examples: Sequence[TokenizedExample], batch_size: int, wanted: Collection[int] | None = None
) -> Iterator[tuple[TokenizedExample, list[TokenView]]]:
    """Each example with its tokens, padding included, from the batch in which it would be trained.

    Args:
        wanted: `Example.index` of those to show; by default all.
    """
    for rows in batch_rows(range(len(examples)), batch_size):
        chosen = [examples[row] for row in rows]
        if wanted is not None and not any(example.index in wanted for example in chosen):
            continue
        batch = collate(components.strategy, chosen)
        for row, example in enumerate(chosen):
            if wanted is None or example.index in wanted:
                yield example, _row(batch, chosen, row, components.tokenizer)


def view_batches(
    config: RunConfig,
    components: Components,
    prepared: PreparedData,
    *,
    epoch: int | None = None,
    num_tensors: int = 0,
) -> tuple[list[BatchView], TargetCounts]:
    """Every batch of the training examples, and what counted in all of them.

    Args:
        epoch: in the order of this epoch, counted from 0; None = in file order.
        num_tensors: number of batches whose tensors are kept.
    """
    settings = config.train
    order = epoch_order(
        len(prepared.train), seed=config.seed, epoch=epoch or 0, shuffle=epoch is not None and settings.shuffle
    )
    views: list[BatchView] = []
    counts = TargetCounts()
    for rows in batch_rows(order, settings.batch_size, drop_last=settings.drop_last):
        chosen = [prepared.train[row] for row in rows]
        batch = collate(components.strategy, chosen)
        counts.add(batch, chosen)
        view = _view(batch, chosen)
        views.append(replace(view, tensors=batch) if len(views) < num_tensors else view)
    return views, counts


def count_targets(config: RunConfig, components: Components, previewed: Previewed) -> TargetCounts:
    """What counts in the batches of all parts that were tokenised."""
    counts = TargetCounts()
    for store in previewed.parts.values():
        for rows in batch_rows(range(len(store)), config.train.batch_size):
            chosen = [store[row] for row in rows]
            counts.add(collate(components.strategy, chosen), chosen)
    return counts


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
    turns = examples[row].turns.tolist()[: len(known)]
    turns += [turns[-1]] * (len(ids) - len(turns))
    names = {number: name for name, number in tokenizer.control_tokens.items()} if tokenizer.reads_control_names else {}
    return [
        TokenView(
            id=int(i),
            text=_shown(int(i), label, tokenizer, names),
            role=label,
            weight=weight,
            turn=turn,
            is_control=int(i) in names and label != LABELS[PADDING],
        )
        for i, label, weight, turn in zip(ids, labels, [0.0, *weights], turns, strict=True)
    ]


def _shown(token_id: int, label: str, tokenizer: Tokenizer, names: Mapping[int, str]) -> str:
    if label == LABELS[PADDING]:
        return "<pad>"
    if token_id in names:
        return names[token_id]
    return "<end>" if token_id == tokenizer.end_id else tokenizer.decode([token_id])
