"""Checks the contract of collate strategies, on batches that were made by hand, as lists and as arrays.

A strategy may decide which roles count, except for the end of an answer.

Shapes: B rows, T positions. torch is imported when a check runs.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import random
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from sftframe.plugins import IGNORED, CollateStrategy
from sftframe.records import Batch, Role, TokenizedExample
from sftframe.testing.contract import Check, left_alone, require, verify
from sftframe.testing.elsewhere import Job, in_processes

if TYPE_CHECKING:
    import torch


def check_collate_strategy(strategy: CollateStrategy) -> None:
    """Check that a strategy makes batches that a model can be trained on.

    Raises:
        ContractError: every promise that is broken.
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
    """Every row has its example's ids, in the order of the examples."""
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
            if example.roles[-1] != Role.END:
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
        "other targets count when the end token has the padding's id; mask padding by length, never by id",
    )
    require(
        _weights(same).equal(_weights(other)),
        "targets have other weights when the end token has the padding's id; mask padding by length, never by id",
    )


def counts_something(strategy: CollateStrategy) -> None:
    """Some target of every row counts."""
    for examples in _batches(strategy):
        counted = (strategy(examples).targets != IGNORED).any(dim=1)  # (B,)
        for row, example in enumerate(examples):
            require(
                bool(counted[row]),
                f"no target of row {row} counts ({len(example.ids)} tokens, {example.num_truncated} cut off); a run "
                "refuses such an example",
            )


def pads_with_its_own_id(strategy: CollateStrategy) -> None:
    """It pads with the padding id that it is made with, whatever that is."""
    for pad_id in (0, 1, 256, 50256, 50257):
        try:
            other = type(strategy)(strategy.options, pad_id=pad_id)
        except TypeError:
            return
        require(other.pad_id == pad_id, f"made with pad_id={pad_id} it is padded with {other.pad_id}; hand pad_id on")
        pads_the_inputs(other)
        counts_the_end_once(other)


def keeps_memory_apart(strategy: CollateStrategy) -> None:
    """Every batch has memory of its own."""
    import torch

    given = [_as_arrays(examples) for examples in _batches(strategy)]
    made = [strategy(examples) for examples in given]
    copies = [(batch.inputs.clone(), batch.targets.clone(), _weights(batch).clone()) for batch in made]
    remedy = "several batches of a step are there at the same time: make new tensors for each"
    for batch, (inputs, targets, weights) in zip(made, copies, strict=True):
        same = batch.inputs.equal(inputs) and batch.targets.equal(targets) and _weights(batch).equal(weights)
        require(same, f"a batch changes when later ones are made; {remedy}")
    owners: dict[int, int] = {}
    for number, batch in enumerate(made):
        tensors = (batch.inputs, batch.targets, *(() if batch.weights is None else (batch.weights,)))
        for tensor in tensors:
            owner = owners.setdefault(tensor.untyped_storage().data_ptr(), number)
            require(owner == number, f"the batches {owner} and {number} share memory; {remedy}")
    before = copy.deepcopy(given)
    with torch.no_grad():
        for batch in made:
            batch.inputs.fill_(-7)
            batch.targets.fill_(-7)
    require(_equal(given, before), "a batch shares memory with its examples; copy ids into new tensors")


def leaves_the_process_alone(strategy: CollateStrategy) -> None:
    """It changes nothing of the process that it runs in, and prints nothing."""
    with left_alone("making a batch"):
        for examples in _batches(strategy)[:8]:
            strategy(examples)


def depends_on_the_examples_alone(strategy: CollateStrategy) -> None:
    """A batch depends on its examples and the options, not on the process, its environment or the past."""
    here = _hashes(strategy)
    jobs = [Job(probe=_hashes, hash_seed=1), Job(probe=_hashes_backward, hash_seed=2, is_foreign=True)]
    for found in in_processes(strategy, jobs):
        require(
            found == here,
            "another process, with another PYTHONHASHSEED, environment and order of batches, made other batches of the "
            "same examples: use no order of a set, no hash(), no environment variable, and remember nothing",
        )


def _hashes(strategy: CollateStrategy) -> list[str]:
    return [_hash(strategy(examples)) for examples in _batches(strategy)]


def _hashes_backward(strategy: CollateStrategy) -> list[str]:
    return [_hash(strategy(examples)) for examples in _batches(strategy)[::-1]][::-1]


def _hash(batch: Batch) -> str:
    parts = repr((batch.inputs.tolist(), batch.targets.tolist(), _weights(batch).tolist()))
    return hashlib.sha256(parts.encode()).hexdigest()


def treats_rows_alone(strategy: CollateStrategy) -> None:
    """What counts in a row does not depend on the rows beside it."""
    for examples in (batch for batch in _batches(strategy) if len(batch) > 1):
        together = strategy(examples)
        for row, example in enumerate(examples):
            alone, length = strategy([example]), len(example.ids) - 1
            require(
                together.targets[row, :length].equal(alone.targets[0, :length])
                and _weights(together)[row, :length].equal(_weights(alone)[0, :length]),
                f"row {row} has other targets or weights in a batch than alone",
            )
    for examples in _batches(strategy)[:3]:
        moved = [dataclasses.replace(example, index=example.index * 31 + 7) for example in examples]
        require(
            strategy(examples).targets.equal(strategy(moved).targets)
            and _weights(strategy(examples)).equal(_weights(strategy(moved))),
            "other targets count, or have other weights, when an example's index changes; it is only its place in the "
            "data",
        )


def leaves_examples_alone(strategy: CollateStrategy) -> None:
    """The examples are not changed, and the same ones give the same batch."""
    examples = _examples(end_id=strategy.pad_id)
    before = copy.deepcopy(examples)
    first = strategy(examples)
    require(examples == before, "it changes the examples that it is given; copy ids before adding to them")
    for batch in _batches(strategy):
        arrays = _as_arrays(batch)
        known = copy.deepcopy(arrays)
        found, listed = strategy(arrays), strategy(batch)
        require(_equal([arrays], [known]), "it changes the examples that it is given; copy ids before adding to them")
        require(
            found.inputs.equal(listed.inputs) and found.targets.equal(listed.targets),
            "ids and roles as numpy arrays, as a run has them, give another batch than as lists",
        )
    for _ in range(300):
        strategy(examples)
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
    counts_something,
    pads_with_its_own_id,
    keeps_memory_apart,
    depends_on_the_examples_alone,
    leaves_the_process_alone,
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
        roles=[
            *_PROMPT[: len(prompt)],
            *[Role.INPUT] * (len(prompt) - 3),
            *[Role.RESPONSE] * len(answer),
            *[Role.END] * len(end),
        ],
        index=index,
        num_truncated=0 if end else 5,
    )


def _batches(strategy: CollateStrategy) -> list[list[TokenizedExample]]:
    """The rows together, reversed, each alone; with an end that is the padding id and with one that is not.

    Then many rows, rows of many lengths, and rows with tags, with cut beginnings and with ids at the ends of the range.
    """
    batches = []
    for end_id in (strategy.pad_id, _other_id(strategy)):
        examples = _examples(end_id)
        batches += [examples, examples[::-1], *([example] for example in examples)]
        batches += [_drawn(17, end_id, longest=30), _drawn(3, end_id, longest=1100), _drawn(40, end_id, longest=8)]
        batches += [
            _strange(end_id, strategy.pad_id),
            [_example(70, [5, 6, 7], [], end_id), _example(71, [6, 7, 8], [7], end_id)],
        ]
    return batches


def _drawn(count: int, end_id: int, *, longest: int) -> list[TokenizedExample]:
    """Rows of many lengths, some of them cut at the end; the first is the longest."""
    return [
        dataclasses.replace(example, ids=list(example.ids), roles=list(example.roles))
        for example in _drawn_once(count, end_id, longest)
    ]


@cache
def _drawn_once(count: int, end_id: int, longest: int) -> tuple[TokenizedExample, ...]:
    """Drawing takes longer than all else; a strategy gets copies, since it may change its examples."""
    draw = random.Random(count)
    rows = []
    for number in range(count):
        size = longest if not number else draw.randint(4, longest)
        ids = [draw.choice((0, 1, end_id, draw.randrange(2, 50_000))) for _ in range(size)]
        num_prompt = draw.randint(3, size - 1)
        rows.append(_example(100 + number, ids[:num_prompt], ids[num_prompt:], None if number % 5 == 3 else end_id))
    return tuple(rows)


def _strange(end_id: int, pad_id: int) -> list[TokenizedExample]:
    """A closing tag before the end, a prompt that lost its beginning, an empty answer, padding ids inside."""
    tagged = _example(50, [7, 8, 9], [10, 11, 12], end_id)
    cut = _example(51, [13, 14, 15], [16], end_id)
    inner = _example(52, [pad_id, pad_id, 5], [pad_id, 6, pad_id], end_id)
    roles = [*tagged.roles[:-3], Role.END, Role.END, Role.END]
    inputs = [Role.TEMPLATE, Role.INSTRUCTION, Role.INPUT, *inner.roles[3:]]
    return [
        dataclasses.replace(tagged, roles=roles),
        dataclasses.replace(cut, num_truncated=9),
        dataclasses.replace(inner, roles=inputs),
        _example(53, [3, 4, 5], [], end_id),
    ]


def _as_arrays(examples: Sequence[TokenizedExample]) -> list[TokenizedExample]:
    """The same examples as a run has them."""
    import numpy as np

    return [
        dataclasses.replace(
            example, ids=np.array(example.ids, dtype=np.int64), roles=np.array(example.roles, dtype=np.uint8)
        )
        for example in examples
    ]


def _equal(one: list[list[TokenizedExample]], other: list[list[TokenizedExample]]) -> bool:
    pairs = [(a, b) for some, more in zip(one, other, strict=True) for a, b in zip(some, more, strict=True)]
    return all(list(a.ids) == list(b.ids) and list(a.roles) == list(b.roles) for a, b in pairs)


def _other_id(strategy: CollateStrategy) -> int:
    return strategy.pad_id + 1000


def _weights(batch: Batch) -> torch.Tensor:
    """Weights with the default written out: 1 where a target counts."""
    import torch

    counted = (batch.targets != IGNORED).to(torch.float32)  # (B, T)
    return counted if batch.weights is None else batch.weights * counted
