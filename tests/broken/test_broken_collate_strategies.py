"""One bad collate strategy per promise of the contract, and the words that its author is told."""

import dataclasses
import itertools
from abc import abstractmethod

import pytest
import torch

from sftframe import IGNORED, CollateStrategy, Role
from sftframe.testing.collate import check_collate_strategy
from sftframe.testing.contract import ContractError


class Good(CollateStrategy):
    """Keeps every promise; the strategies below spoil one each."""

    name = "specimen"
    summary = "a good strategy"

    def role_weight(self, role):
        return 1.0 if role in (Role.RESPONSE, Role.END) else 0.25


class Spoilt(Good):
    """Makes a good batch and changes it."""

    @abstractmethod
    def spoil(self, batch, examples): ...

    def __call__(self, examples):
        return self.spoil(super().__call__(examples), examples)


class GivesATuple(Spoilt):
    says = "it gave tuple; expected a Batch"

    def spoil(self, batch, examples):
        return batch.inputs, batch.targets


class DropsTheLastColumn(Spoilt):
    says = "inputs have the shape (4, 6); expected (4, 7)"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, inputs=batch.inputs[:, :-1], targets=batch.targets[:, :-1])


class Int32(Spoilt):
    says = "targets are torch.int32; expected torch.int64"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, targets=batch.targets.int())


class WiderTargets(Spoilt):
    says = "targets have another shape than inputs, (4, 7)"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, targets=torch.nn.functional.pad(batch.targets, (0, 1)))


class SortsByLength(Good):
    says = "expected its ids without the last"

    def __call__(self, examples):
        return super().__call__(sorted(examples, key=lambda example: len(example.ids)))


class WrongIndices(Spoilt):
    says = "indices are (0, 1, 2, 3); expected each row's Example.index, (3, 2, 1, 0)"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, indices=tuple(range(len(examples))))


class PadsWithZero(Spoilt):
    says = "is padded with [0]; expected pad_id, 50256"

    def spoil(self, batch, examples):
        inputs = batch.inputs.clone()
        for row, example in enumerate(examples):
            inputs[row, len(example.ids) - 1 :] = 0
        return dataclasses.replace(batch, inputs=inputs)


class DoesNotShift(Spoilt):
    says = "target 0 of row 0 is 11; expected the next id, 12, or -100"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, targets=batch.inputs)


class Float64Weights(Spoilt):
    says = "weights are torch.float64; expected torch.float32"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, weights=batch.weights.double())


class OneWeightPerRow(Spoilt):
    says = "weights have the shape (4, 1), unlike targets"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, weights=torch.ones(len(examples), 1))


class CountsWithWeightZero(Spoilt):
    says = "expected positive numbers, and the target -100 instead of weight 0"

    def spoil(self, batch, examples):
        weights = batch.weights.clone()
        weights[0, 0] = 0.0
        return dataclasses.replace(batch, weights=weights)


class ForgetsTheEnd(Good):
    says = "the end token of row 0 does not count, so the model would never learn to stop"

    def role_weight(self, role):
        return 1.0 if role is Role.RESPONSE else 0.0


class MasksById(Spoilt):
    """The classic: padding is found by comparing targets with the padding id, and the end goes with it."""

    says = "mask padding by length, never by comparing ids"

    def spoil(self, batch, examples):
        targets = batch.targets.masked_fill(batch.targets == self.pad_id, IGNORED)
        return dataclasses.replace(batch, targets=targets)


class MasksAllButTheFirst(Spoilt):
    """The chapter's way: of all targets with the padding id the first counts, which may be a word of the prompt."""

    says = "the end token of row 2 does not count"

    def spoil(self, batch, examples):
        targets = batch.targets.clone()
        for row in targets:
            row[(row == self.pad_id).nonzero().flatten()[1:]] = IGNORED
        return dataclasses.replace(batch, targets=targets)


class CountsOnePadding(Spoilt):
    says = "1 padding targets of row 1 count, a second end for the answer"

    def spoil(self, batch, examples):
        targets, weights = batch.targets.clone(), batch.weights.clone()
        for row, example in enumerate(examples):
            targets[row, len(example.ids) - 1 : len(example.ids)] = self.pad_id
            weights[row, len(example.ids) - 1 : len(example.ids)] = 1.0
        return dataclasses.replace(batch, targets=targets, weights=weights)


class MasksPromptWordsById(Spoilt):
    says = "other targets count when the end token has the padding's id"

    def spoil(self, batch, examples):
        targets = batch.targets.clone()
        for row, example in enumerate(examples):
            inner = torch.arange(targets.shape[1]) < len(example.ids) - 2
            targets[row, inner & (targets[row] == self.pad_id)] = IGNORED
        return dataclasses.replace(batch, targets=targets)


class WeighsByBatchSize(Spoilt):
    says = "row 0 has other targets or weights in a batch than alone"

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, weights=batch.weights / len(examples))


class AppendsInPlace(Good):
    says = "it changes the examples that it is given; copy ids before adding to them"

    def __call__(self, examples):
        batch = super().__call__(examples)
        for example in examples:
            example.ids.append(self.pad_id)
        return batch


class CountsTheLastEndAlone(Good):
    says = "the answer of exchange 0 of row 0 counts, but not its end, so the model would never learn to stop there"

    def target_weights(self, example):
        weights = super().target_weights(example)
        ends = [place for place, role in enumerate(example.roles[:-1]) if role == Role.END]
        is_earlier = example.turns < example.turns[-1]
        weights[[place for place in ends if is_earlier[place]]] = 0
        return weights


class CountsAllAfterTheFirstAnswer(Good):
    says = "4 TEMPLATE targets of later questions of row 0 count, but none of the first question; go by roles"

    def target_weights(self, example):
        roles = [int(role) for role in example.roles]
        border = roles.index(Role.RESPONSE) if Role.RESPONSE in roles else len(roles) - 1
        return [float(place >= border) for place in range(len(roles))]


class CountsTheFirstAnswerAlone(Good):
    says = (
        "no target of row 0 counts if its earlier answers are left out (collate.turns=last); count the answers of all"
    )

    def role_weight(self, role):
        return float(role in (Role.RESPONSE, Role.END))

    def target_weights(self, example):
        return super().target_weights(example) * torch.from_numpy(example.turns == 0)


class MultipliesWithTheWeightsOfExchanges(Good):
    says = "with other turn_weights; leave them to the core, which multiplies with them after the strategy"

    def target_weights(self, example):
        return super().target_weights(example) * torch.tensor(example.turn_weights)[example.turns]


class ChangesItsMind(Spoilt):
    says = "the same examples gave two different batches"
    counter = itertools.count(1)

    def spoil(self, batch, examples):
        return dataclasses.replace(batch, weights=batch.weights * next(self.counter))


BROKEN = [
    GivesATuple,
    DropsTheLastColumn,
    Int32,
    WiderTargets,
    SortsByLength,
    WrongIndices,
    PadsWithZero,
    DoesNotShift,
    Float64Weights,
    OneWeightPerRow,
    CountsWithWeightZero,
    ForgetsTheEnd,
    MasksById,
    MasksAllButTheFirst,
    CountsOnePadding,
    MasksPromptWordsById,
    WeighsByBatchSize,
    AppendsInPlace,
    CountsTheLastEndAlone,
    CountsAllAfterTheFirstAnswer,
    CountsTheFirstAnswerAlone,
    MultipliesWithTheWeightsOfExchanges,
    ChangesItsMind,
]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("strategy", BROKEN)
def test_a_broken_strategy_is_caught_and_its_author_told_why(strategy):
    with pytest.raises(ContractError) as caught:
        check_collate_strategy(strategy(pad_id=50256))
    assert strategy.says in str(caught.value)
    assert str(caught.value).startswith("specimen: ")


def test_a_strategy_that_keeps_its_promises_passes():
    check_collate_strategy(Good(pad_id=50256))


def test_padding_may_count_where_the_strategy_says_so():
    class CountsPadding(Good):
        padding_weight = 1.0

    check_collate_strategy(CountsPadding(pad_id=50256))
