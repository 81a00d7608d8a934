"""Checks the contract of collate strategies, on batches that were made by hand, as lists and as arrays.

A strategy may decide which roles count, except for the end of an answer.

Shapes: B rows, T positions. torch is imported when a check runs.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sftframe.plugins import IGNORED, CollateStrategy
from sftframe.records import Batch, Role, TokenizedExample
from sftframe.testing.contract import Check, left_alone, require, verify
from sftframe.testing.elsewhere import Job, in_processes
from sftframe.testing.rows import as_arrays, batches, conversations, other_id, plain_rows

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

    for examples in batches(strategy):
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
    for examples in batches(strategy):
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
    for examples in batches(strategy):
        batch = strategy(examples)
        for row, example in enumerate(examples):
            padding = set(batch.inputs[row, len(example.ids) - 1 :].tolist())
            require(
                padding <= {strategy.pad_id},
                f"row {row} is padded with {sorted(padding)}; expected pad_id, {strategy.pad_id}",
            )


def shifts_by_one(strategy: CollateStrategy) -> None:
    """A target is the id that comes next, or -100."""
    for examples in batches(strategy):
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

    for examples in batches(strategy):
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
    for examples in batches(strategy):
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
    for examples in batches(strategy):
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
    same = strategy(plain_rows(end_id=strategy.pad_id))
    other = strategy(plain_rows(end_id=other_id(strategy)))
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
    for examples in batches(strategy):
        counted = (strategy(examples).targets != IGNORED).any(dim=1)  # (B,)
        for row, example in enumerate(examples):
            require(
                bool(counted[row]),
                f"no target of row {row} counts ({len(example.ids)} tokens, {example.num_truncated} cut off); a run "
                "refuses such an example",
            )


def counts_every_answer_with_its_end(strategy: CollateStrategy) -> None:
    """In a conversation the end of every answer that counts does count too."""
    for examples in conversations(strategy):
        counted = _counted(strategy(examples))
        for row, example in enumerate(examples):
            for turn in range(len(example.turn_starts)):
                ends = _targets_of(example, turn, (Role.END,))
                if counted[row][_targets_of(example, turn, (Role.RESPONSE,))].any():
                    require(
                        bool(counted[row, ends[-1]]),
                        f"the answer of exchange {turn} of row {row} counts, but not its end, so the model would never "
                        "learn to stop there; weigh Role.END as Role.RESPONSE, in every exchange",
                    )


def counts_no_later_question(strategy: CollateStrategy) -> None:
    """In a conversation no role of a question counts if it does not in the first question."""
    for examples in conversations(strategy):
        counted = _counted(strategy(examples))
        for row, example in enumerate(examples):
            for role in (Role.TEMPLATE, Role.INSTRUCTION, Role.INPUT):
                first, *later = (_targets_of(example, turn, (role,)) for turn in range(len(example.turn_starts)))
                number = int(counted[row][[place for places in later for place in places]].sum())
                require(
                    not number or not first or bool(counted[row][first].any()),
                    f"{number} {role.name} targets of later questions of row {row} count, but none of the first "
                    "question; go by roles, not by what comes after the first answer",
                )


def counts_the_last_answer(strategy: CollateStrategy) -> None:
    """In a conversation some target still counts where all answers but the last one are left out."""
    answers = (Role.RESPONSE, Role.END)
    for examples in conversations(strategy):
        counted = _counted(strategy(examples))
        for row, example in enumerate(examples):
            for turn in range(len(example.turn_starts) - 1):
                counted[row][_targets_of(example, turn, answers)] = False
            require(
                bool(counted[row].any()),
                f"no target of row {row} counts if its earlier answers are left out (collate.turns=last); count the "
                "answers of all exchanges in the same way",
            )


def leaves_weights_of_exchanges_alone(strategy: CollateStrategy) -> None:
    """The weights of exchanges change nothing in a batch: the core multiplies with them afterwards."""
    for examples in conversations(strategy):
        others = [
            dataclasses.replace(example, turn_weights=(0.0, 0.5, *[1.0] * (len(example.turn_starts) - 2)))
            for example in examples
        ]
        one, other = strategy(examples), strategy(others)
        require(
            one.targets.equal(other.targets) and _weights(one).equal(_weights(other)),
            "other targets count, or have other weights, with other turn_weights; leave them to the core, which "
            "multiplies with them after the strategy",
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

    given = [as_arrays(examples) for examples in batches(strategy)]
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
        for examples in batches(strategy)[:8]:
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
    return [_hash(strategy(examples)) for examples in batches(strategy)]


def _hashes_backward(strategy: CollateStrategy) -> list[str]:
    return [_hash(strategy(examples)) for examples in batches(strategy)[::-1]][::-1]


def _hash(batch: Batch) -> str:
    parts = repr((batch.inputs.tolist(), batch.targets.tolist(), _weights(batch).tolist()))
    return hashlib.sha256(parts.encode()).hexdigest()


def treats_rows_alone(strategy: CollateStrategy) -> None:
    """What counts in a row does not depend on the rows beside it."""
    for examples in (batch for batch in batches(strategy) if len(batch) > 1):
        together = strategy(examples)
        for row, example in enumerate(examples):
            alone, length = strategy([example]), len(example.ids) - 1
            require(
                together.targets[row, :length].equal(alone.targets[0, :length])
                and _weights(together)[row, :length].equal(_weights(alone)[0, :length]),
                f"row {row} has other targets or weights in a batch than alone",
            )
    for examples in batches(strategy)[:3]:
        moved = [dataclasses.replace(example, index=example.index * 31 + 7) for example in examples]
        require(
            strategy(examples).targets.equal(strategy(moved).targets)
            and _weights(strategy(examples)).equal(_weights(strategy(moved))),
            "other targets count, or have other weights, when an example's index changes; it is only its place in the "
            "data",
        )


def leaves_examples_alone(strategy: CollateStrategy) -> None:
    """The examples are not changed, and the same ones give the same batch."""
    examples = plain_rows(end_id=strategy.pad_id)
    before = copy.deepcopy(examples)
    first = strategy(examples)
    require(examples == before, "it changes the examples that it is given; copy ids before adding to them")
    for batch in batches(strategy):
        arrays = as_arrays(batch)
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
    counts_every_answer_with_its_end,
    counts_no_later_question,
    counts_the_last_answer,
    leaves_weights_of_exchanges_alone,
    pads_with_its_own_id,
    keeps_memory_apart,
    depends_on_the_examples_alone,
    leaves_the_process_alone,
)
"""In the order in which they run; each relies on those before it."""


def _targets_of(example: TokenizedExample, turn: int, roles: Sequence[Role]) -> list[int]:
    """Positions of an exchange's targets of some roles; the first token is never a target."""
    return [
        place - 1
        for place, (number, role) in enumerate(zip(example.turns.tolist(), example.roles, strict=True))
        if place and number == turn and role in roles
    ]


def _counted(batch: Batch) -> torch.Tensor:
    """Whether each target counts: bool (B, T)."""
    return batch.targets != IGNORED


def _equal(one: list[list[TokenizedExample]], other: list[list[TokenizedExample]]) -> bool:
    pairs = [(a, b) for some, more in zip(one, other, strict=True) for a, b in zip(some, more, strict=True)]
    return all(list(a.ids) == list(b.ids) and list(a.roles) == list(b.roles) for a, b in pairs)


def _weights(batch: Batch) -> torch.Tensor:
    """Weights with the default written out: 1 where a target counts."""
    import torch

    counted = (batch.targets != IGNORED).to(torch.float32)  # (B, T)
    return counted if batch.weights is None else batch.weights * counted
