"""A strategy that breaks a promise is stopped at the first batch: rows, shifts, ends and padding."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from sftframe import Batch, CollateStrategy, PluginError, Role, TokenizedExample
from sftframe.training import collate, evaluation_batches

PAD = 77


def row(index: int, num_prompt: int, num_answer: int, *, num_truncated: int = 0) -> TokenizedExample:
    """Ids that tell rows apart, the last of them the padding's."""
    ids = [100 * index + n for n in range(num_prompt + num_answer)]
    roles = [Role.INSTRUCTION] * num_prompt + [Role.RESPONSE] * num_answer
    if num_truncated:
        return TokenizedExample(ids=ids, roles=roles, index=index, num_truncated=num_truncated)
    return TokenizedExample(ids=[*ids, PAD], roles=[*roles, Role.END], index=index)


ROWS = [row(1, 2, 5), row(2, 3, 1), row(3, 1, 2, num_truncated=4)]


class Named(CollateStrategy):
    name = "bad"
    summary = "for tests"


class ById(Named):
    def target_weights(self, example: TokenizedExample) -> Sequence[float]:
        return [0.0 if i == self.pad_id else 1.0 for i in example.ids]


class Sorting(Named):
    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        return super().__call__(sorted(examples, key=lambda each: len(each.ids)))


class SortingSilently(Sorting):
    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        return replace(super().__call__(examples), indices=())


class CountingPadding(Named):
    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        return replace(batch, targets=batch.targets.where(batch.targets != -100, self.pad_id))


class TwoEnds(Named):
    """The chapter's way: the first padding counts as well, a second end."""

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        for number, example in enumerate(examples):
            batch.targets[number, len(example.ids) - 1 : len(example.ids)] = self.pad_id
        return batch


class NotShifted(Named):
    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        return replace(batch, targets=batch.inputs.clone())


class Cutting(Named):
    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        return replace(batch, inputs=batch.inputs[:, :4], targets=batch.targets[:, :4])


class PaddedLeft(Named):
    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        shifts = [batch.inputs.shape[1] + 1 - len(each.ids) for each in examples]
        moved = [
            torch.stack([line.roll(shift) for line, shift in zip(tensor, shifts, strict=True)])
            for tensor in (batch.inputs, batch.targets)
        ]
        return replace(batch, inputs=moved[0], targets=moved[1])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (ById, "does not count the end token of example 1"),
        (Sorting, r"made rows of the examples \[3, 2, 1\] out of \[1, 2, 3\]"),
        (SortingSilently, "gave example 1 other targets than its ids"),
        (CountingPadding, "counts 3 padding targets of example 2"),
        (TwoEnds, "counts 1 padding targets of example 2"),
        (NotShifted, "gave example 1 other targets than its ids"),
        (Cutting, "cut example 1 to 4 positions"),
        (PaddedLeft, "gave example 2 other targets than its ids"),
    ],
)
def test_a_broken_promise_is_named_with_strategy_and_example(kind: type[Named], says: str) -> None:
    with pytest.raises(PluginError, match=f"collate strategy 'bad' {says}; "):
        collate(kind(pad_id=PAD), ROWS)


def test_held_out_batches_are_looked_at_as_well() -> None:
    with pytest.raises(PluginError, match="does not count the end token"):
        list(evaluation_batches(ROWS, ById(pad_id=PAD), 2))


def test_who_declares_it_may_count_padding_and_leave_out_ends() -> None:
    class Declared(CountingPadding):
        padding_weight = 1.0

        def role_weight(self, role: Role) -> float:
            return float(role is not Role.END)

    collate(Declared(pad_id=PAD), ROWS)


def test_a_cut_answer_has_no_end_that_could_count() -> None:
    collate(Named(pad_id=PAD), ROWS[2:])
