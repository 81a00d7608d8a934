"""The contract of collate strategies, checked on batches that were made by hand.

Takes a strategy with its padding id, raises `ContractError` with what it does and what it should do. Says nothing of
which roles ought to count: that is the strategy's own affair, except for the end of an answer.

Shapes: B rows, T positions. torch is imported when a check runs.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from sftframe.interfaces import IGNORED, CollateStrategy
from sftframe.records import Batch, Role, TokenizedExample
from sftframe.testing.contract import Check, require, verify

if TYPE_CHECKING:
    import torch


def check_collate_strategy(strategy: CollateStrategy) -> None:
    """Check that a strategy makes batches that a model can be trained on.

    Raises:
        ContractError: the first promise that is broken.
    """
    verify(strategy, CHECKS, strategy)


def gives_batches(strategy: CollateStrategy) -> None:
    """It gives batches of int64 tensors, all of one shape (B, T)."""
    import torch

    for examples in _batches(strategy):
        batch = strategy(copy.deepcopy(examples))
        require(isinstance(batch, Batch), f"it gave {type(batch).__name__}; expected a Batch")
        least = len(examples), max(len(example.ids) for example in examples) - 1
        shape = tuple(batch.inputs.shape)
        fits = len(shape) == 2 and shape[0] == least[0] and shape[1] >= least[1]
        require(fits, f"inputs have the shape {shape}; expected {least}: rows, and the longest example less one")
        for name, tensor in (("inputs", batch.inputs), ("targets", batch.targets)):
            require(tensor.dtype == torch.int64, f"{name} are {tensor.dtype}; expected torch.int64")
        require(tuple(batch.targets.shape) == shape, f"targets have another shape than inputs, {shape}")


def keeps_the_rows(strategy: CollateStrategy) -> None:
    """Every row holds its example's ids, in the order of the examples."""
    for examples in _batches(strategy):
        batch = strategy(examples)
        for row, example in enumerate(examples):
            found = batch.inputs[row, : len(example.ids) - 1].tolist()
            wanted = list(example.ids[:-1])
            require(found == wanted, f"inputs of row {row} are {found}; expected its ids without the last, {wanted}")
        wanted_indices = tuple(example.index for example in examples)
        require(
            batch.indices in ((), wanted_indices),
            f"indices are {batch.indices}; expected each row's Example.index, {wanted_indices}",
        )


def pads_the_inputs(strategy: CollateStrategy) -> None:
    """Short rows are padded on the right with the padding id."""
    for examples in _batches(strategy):
        batch = strategy(examples)
        for row, example in enumerate(examples):
            padding = set(batch.inputs[row, len(example.ids) - 1 :].tolist())
            require(
                padding <= {strategy.pad_id},
                f"row {row} is padded with {sorted(padding)}; expected pad_id, {strategy.pad_id}",
            )


def shifts_by_one(strategy: CollateStrategy) -> None:
    """A target is the id that comes next, or -100."""
    for examples in _batches(strategy):
        batch = strategy(examples)
        for row, example in enumerate(examples):
            for position, wanted in enumerate(example.ids[1:]):
                found = int(batch.targets[row, position])
                require(
                    found in (wanted, IGNORED),
                    f"target {position} of row {row} is {found}; expected the next id, {wanted}, or {IGNORED}",
                )


def weighs_what_counts(strategy: CollateStrategy) -> None:
    """Weights are positive where a target counts."""
    import torch

    for examples in _batches(strategy):
        batch = strategy(examples)
        if batch.weights is None:
            continue
        weights = batch.weights
        require(weights.dtype == torch.float32, f"weights are {weights.dtype}; expected torch.float32")
        require(weights.shape == batch.targets.shape, f"weights have the shape {tuple(weights.shape)}, unlike targets")
        counted = weights[batch.targets != IGNORED]
        require(
            bool(counted.isfinite().all() and (counted > 0).all()),
            f"counted targets have the weights {counted.tolist()}; expected positive numbers, and the target {IGNORED} "
            "instead of weight 0",
        )


def counts_the_end_once(strategy: CollateStrategy) -> None:
    """The end token of every uncut answer counts exactly once."""
    for examples in _batches(strategy):
        counted = strategy(examples).targets != IGNORED  # (B, T)
        for row, example in enumerate(examples):
            if example.num_truncated:
                continue
            end = len(example.ids) - 2
            require(
                bool(counted[row, end]),
                f"the end token of row {row} does not count, so the model would never learn to stop; "
                "mask padding by length, never by comparing ids",
            )


def ignores_padding(strategy: CollateStrategy) -> None:
    """Padding does not count, unless padding_weight says so."""
    if strategy.padding_weight > 0:
        return
    for examples in _batches(strategy):
        counted = strategy(examples).targets != IGNORED  # (B, T)
        for row, example in enumerate(examples):
            extra = int(counted[row, len(example.ids) - 1 :].sum())
            require(
                not extra,
                f"{extra} padding targets of row {row} count, a second end for the answer; set them to {IGNORED}, or "
                "say so with padding_weight",
            )


def masks_by_length(strategy: CollateStrategy) -> None:
    """What counts does not depend on whether the padding id is the end id too."""
    same = strategy(_examples(end_id=strategy.pad_id))
    other = strategy(_examples(end_id=_other_id(strategy)))
    require(
        bool(((same.targets != IGNORED) == (other.targets != IGNORED)).all()),
        "other targets count when the end token has the padding's id; know padding by length, never by id",
    )


def treats_rows_alone(strategy: CollateStrategy) -> None:
    """What counts in a row does not depend on the rows beside it."""
    examples = _examples(end_id=strategy.pad_id)
    together = strategy(examples)
    for row, example in enumerate(examples):
        alone, length = strategy([example]), len(example.ids) - 1
        require(
            together.targets[row, :length].equal(alone.targets[0, :length])
            and _weights(together)[row, :length].equal(_weights(alone)[0, :length]),
            f"row {row} has other targets or weights in a batch than alone",
        )


def leaves_examples_alone(strategy: CollateStrategy) -> None:
    """The examples are not changed, and the same ones give the same batch."""
    examples = _examples(end_id=strategy.pad_id)
    before = copy.deepcopy(examples)
    first = strategy(examples)
    require(examples == before, "it changes the examples that it is given; copy ids before adding to them")
    again = strategy(examples)
    require(
        first.targets.equal(again.targets) and _weights(first).equal(_weights(again)),
        "the same examples gave two different batches; a run could not be repeated",
    )


CHECKS: tuple[Check[CollateStrategy], ...] = (
    gives_batches,
    leaves_examples_alone,
    keeps_the_rows,
    pads_the_inputs,
    shifts_by_one,
    weighs_what_counts,
    counts_the_end_once,
    ignores_padding,
    masks_by_length,
    treats_rows_alone,
)
"""In the order in which they run; each relies on those before it."""

_PROMPT = (Role.TEMPLATE, Role.INSTRUCTION, Role.TEMPLATE)


def _examples(end_id: int) -> list[TokenizedExample]:
    """Uneven rows: two whole answers, one with an inner id equal to the end's, and one that was cut."""
    return [
        _example(0, [11, 12, 13], [14, 15, 16, 17], end_id),
        _example(1, [21, 22, 23], [24], end_id),
        _example(2, [31, end_id, 33], [34, 35], end_id),
        _example(3, [41, 42, 43], [44, 45, 46], None),
    ]


def _example(index: int, prompt: list[int], answer: list[int], end_id: int | None) -> TokenizedExample:
    end = [] if end_id is None else [end_id]
    return TokenizedExample(
        ids=[*prompt, *answer, *end],
        roles=[*_PROMPT, *[Role.RESPONSE] * len(answer), *[Role.END] * len(end)],
        index=index,
        num_truncated=0 if end else 5,
    )


def _batches(strategy: CollateStrategy) -> list[list[TokenizedExample]]:
    """The rows together, reversed, each alone; with an end that is the padding id and with one that is not."""
    batches = []
    for end_id in (strategy.pad_id, _other_id(strategy)):
        examples = _examples(end_id)
        batches += [examples, examples[::-1], *([example] for example in examples)]
    return batches


def _other_id(strategy: CollateStrategy) -> int:
    return strategy.pad_id + 1000


def _weights(batch: Batch) -> torch.Tensor:
    """Weights with the default written out: 1 where a target counts."""
    import torch

    counted = (batch.targets != IGNORED).to(torch.float32)  # (B, T)
    return counted if batch.weights is None else batch.weights * counted
