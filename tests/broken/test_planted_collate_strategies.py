"""Collate strategies with mistakes that show in few rows, in later batches or in a run's arrays, and what is said."""

import dataclasses
import os
import random
from typing import ClassVar

import pytest
import torch

from sftframe import IGNORED, Batch, CollateStrategy, Role
from sftframe.testing.collate import check_collate_strategy
from sftframe.testing.contract import ContractError


class Good(CollateStrategy):
    """Keeps every promise."""

    name = "planted"
    summary = "the answer counts"

    def role_weight(self, role):
        return 1.0 if role in (Role.RESPONSE, Role.END) else 0.25


class Changed(Good):
    def __call__(self, examples):
        batch = super().__call__(examples)
        return dataclasses.replace(batch, **self.change(batch, examples))


class OneBuffer(Changed):
    says = "share memory"
    buffer = torch.zeros(64, 2048, dtype=torch.int64)

    def change(self, batch, examples):
        rows, width = batch.inputs.shape
        self.buffer[:rows, :width] = batch.inputs
        return {"inputs": self.buffer[:rows, :width]}


class ThreeBuffers(OneBuffer):
    buffers: ClassVar = [torch.zeros(64, 2048, dtype=torch.int64) for _ in range(3)]
    count = 0

    def change(self, batch, examples):
        type(self).count += 1
        rows, width = batch.targets.shape
        target = self.buffers[self.count % 3][:rows, :width]
        target.copy_(batch.targets)
        return {"targets": target}


class OneBatchAgain(Good):
    says = "share memory"
    known: ClassVar = {}

    def __call__(self, examples):
        key = repr([(list(example.ids), list(example.roles)) for example in examples])
        return self.known.setdefault(key, super().__call__(examples))


class SharedWithExamples(Changed):
    says = "shares memory with its examples"

    def change(self, batch, examples):
        if len(examples) > 1 or isinstance(examples[0].ids, list):
            return {}
        return {"inputs": torch.as_tensor(examples[0].ids)[None, :-1]}


class MovesTorch(Changed):
    says = "making a batch changes torch's random state"

    def change(self, batch, examples):
        torch.rand(1)
        return {}


class SeedsTorch(MovesTorch):
    def change(self, batch, examples):
        torch.manual_seed(0)
        return {}


class MovesRandom(MovesTorch):
    says = "changes Python's random state"

    def change(self, batch, examples):
        random.shuffle([1, 2, 3])
        return {}


class TurnsGradientsOff(MovesTorch):
    says = "changes whether torch records gradients"

    def change(self, batch, examples):
        torch.set_grad_enabled(False)
        return {}


class OneThread(MovesTorch):
    says = "changes torch's number of threads"

    def change(self, batch, examples):
        torch.set_num_threads(torch.get_num_threads() + 1)
        return {}


class FixedPadding(Good):
    says = "made with pad_id=0 it is padded with 50256"

    def __init__(self, options=None, *, pad_id=0):
        super().__init__(options, pad_id=50256)


class ListsOnly(Good):
    says = "raised an exception: AttributeError"

    def __call__(self, examples):
        for example in examples:
            example.ids.index(example.ids[0])
        return super().__call__(examples)


class CutsAt1024(Good):
    says = "expected (3, "

    def __call__(self, examples):
        return super().__call__([dataclasses.replace(e, ids=e.ids[:1024], roles=e.roles[:1024]) for e in examples])


class CutsAt512(CutsAt1024):
    def __call__(self, examples):
        return Good.__call__(self, [dataclasses.replace(e, ids=e.ids[:512], roles=e.roles[:512]) for e in examples])


class SortsLargeBatches(Good):
    says = "expected its ids without the last"

    def __call__(self, examples):
        order = sorted(examples, key=lambda e: len(e.ids)) if len(examples) > 16 else examples
        return super().__call__(order)


class NoEndAfterACut(Changed):
    says = "does not count, so the model would never learn to stop"

    def change(self, batch, examples):
        targets = batch.targets.clone()
        for row, example in enumerate(examples):
            if example.num_truncated:
                targets[row, len(example.ids) - 2] = IGNORED
        return {"targets": targets}


class NoEndAfterEmpty(NoEndAfterACut):
    def change(self, batch, examples):
        targets = batch.targets.clone()
        for row, example in enumerate(examples):
            if Role.RESPONSE not in list(example.roles):
                targets[row, len(example.ids) - 2] = IGNORED
        return {"targets": targets}


class ByIndex(Changed):
    says = "when an example's index changes"

    def change(self, batch, examples):
        weights = batch.weights.clone()
        for row, example in enumerate(examples):
            weights[row] *= 1 + example.index % 3
        return {"weights": weights}


class ByTheLongest(Changed):
    says = "in a batch than alone"

    def change(self, batch, examples):
        return {"weights": batch.weights / batch.inputs.shape[1]}


class CountsCalls(Changed):
    says = "the same examples gave two different batches"
    calls = 0

    def change(self, batch, examples):
        type(self).calls += 1
        return {"weights": batch.weights * (2 if self.calls > 250 else 1)}


class OrderOfASet(Changed):
    says = "another process"

    def change(self, batch, examples):
        chosen = next(iter({"north", "south", "east", "west", "up", "down", "left", "right"}))
        return {"weights": batch.weights * len(chosen) * (1 + ord(chosen[0]))}


class ByTheEnvironment(OrderOfASet):
    def change(self, batch, examples):
        return {"weights": batch.weights * (2 if "COLLATE_DOUBLE" in os.environ else 1)}


class NothingOfShortAnswers(Good):
    says = "no target of row"

    def target_weights(self, example):
        num_answer = sum(role == Role.RESPONSE for role in example.roles)
        return [0.0] * len(example.ids) if num_answer < 1 else super().target_weights(example)


BROKEN = [kind for kind in list(globals().values()) if isinstance(kind, type) and hasattr(kind, "says")]
PROCESSES = [OrderOfASet, ByTheEnvironment]


@pytest.mark.parametrize("kind", BROKEN)
def test_the_mistake_is_found_and_named(kind, monkeypatch):
    if kind not in PROCESSES:
        monkeypatch.setenv("SFTFRAME_TESTING_PROCESS", "1")  # other processes would find nothing more
    monkeypatch.setenv("COLLATE_DOUBLE", "1")
    with pytest.raises(ContractError) as caught:
        check_collate_strategy(kind(pad_id=50256))
    assert kind.says in str(caught.value)


class ByPosition(Good):
    """The further on, the less a target weighs."""

    def target_weights(self, example):
        return [1.0 / (1 + position) for position in range(len(example.ids))]


class InEights(Good):
    """Rows are padded to a multiple of eight positions."""

    def __call__(self, examples):
        batch = super().__call__(examples)
        more = -batch.inputs.shape[1] % 8
        pad = torch.nn.functional.pad
        return Batch(
            inputs=pad(batch.inputs, (0, more), value=self.pad_id),
            targets=pad(batch.targets, (0, more), value=IGNORED),
            weights=pad(batch.weights, (0, more)),
        )


@pytest.mark.parametrize("kind", [Good, ByPosition, InEights])
def test_a_good_strategy_passes(kind):
    check_collate_strategy(kind(pad_id=0))
