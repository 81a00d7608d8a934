"""What counts is measured on the batches, and compared with what the strategy promises."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from sftframe import Batch, CollateStrategy, Role, TokenizedExample
from sftframe.errors import PluginError
from sftframe.training import LABELS, PADDING, TargetCounts, check_promise, collate, counted_weights, target_roles

Strategies = dict[str, type[CollateStrategy]]


def counts_of(strategy: CollateStrategy, rows: Sequence[TokenizedExample]) -> TargetCounts:
    counts = TargetCounts()
    counts.add(collate(strategy, rows), rows)
    return counts


def test_the_first_token_of_a_row_is_never_a_target(example: Callable) -> None:
    rows = [example(1, 2, 1), example(2, 1, 1)]
    assert target_roles(rows, 3).tolist() == [
        [Role.INSTRUCTION, Role.RESPONSE, Role.END],
        [Role.RESPONSE, Role.END, PADDING],
    ]


def test_roles_may_be_an_array_as_the_store_gives_them(example: Callable) -> None:
    row = example(1, 2, 1)
    stored = TokenizedExample(ids=np.array(row.ids), roles=np.array(row.roles, dtype=np.uint8), index=1)
    assert target_roles([stored], 4).tolist() == [*target_roles([row], 4).tolist()]


def test_a_target_that_does_not_count_weighs_nothing() -> None:
    batch = Batch(
        inputs=torch.zeros(1, 3, dtype=torch.int64),
        targets=torch.tensor([[5, -100, 7]]),
        weights=torch.tensor([[0.5, 0.9, 1.0]]),
    )
    assert counted_weights(batch).tolist() == [[0.5, 0.0, 1.0]]


def test_shares_are_of_the_targets_of_each_role(example: Callable, strategies: Strategies) -> None:
    # targets: 2 + 0 of the prompt, 1 + 1 of the response, 2 ends, and 2 padding
    rows = [example(1, 3, 1), example(2, 1, 1)]
    assert counts_of(strategies["answer-only"](), rows).shares == {
        "instruction": 0.0,
        "response": 1.0,
        "end": 1.0,
        "padding": 0.0,
    }
    assert counts_of(strategies["padding-too"](), rows).shares["padding"] == 1.0


def test_a_small_weight_counts(example: Callable, strategies: Strategies) -> None:
    assert counts_of(strategies["half-prompt"](), [example(1, 3, 1)]).shares["instruction"] == 1.0


def test_counts_add_up_over_batches(example: Callable, strategies: Strategies) -> None:
    strategy = strategies["answer-only"]()
    counts = counts_of(strategy, [example(1, 3, 1)])
    second = [example(2, 2, 2)]
    counts.add(collate(strategy, second), second)
    assert dict(zip(LABELS, counts.all.tolist(), strict=True)) == {
        "template": 0,
        "instruction": 3,
        "input": 0,
        "response": 3,
        "end": 2,
        "system": 0,
        "tool": 0,
        "padding": 0,
    }
    assert counts.counted.tolist() == [0, 0, 0, 3, 2, 0, 0, 0]


def test_counts_survive_a_checkpoint(example: Callable, strategies: Strategies) -> None:
    counts = counts_of(strategies["answer-only"](), [example(1, 3, 1)])
    again = TargetCounts.from_state(json.loads(json.dumps(counts.state)))
    assert (again.all.tolist(), again.counted.tolist()) == (counts.all.tolist(), counts.counted.tolist())


def test_a_checkpoint_from_before_there_were_system_and_tool_is_read() -> None:
    state = {"all": [1, 2, 3, 4, 5, 6], "counted": [0, 0, 0, 4, 5, 0]}
    assert TargetCounts.is_state(state)
    assert TargetCounts.is_state(TargetCounts().state)
    assert not TargetCounts.is_state({"all": [1, 2], "counted": [0, 0]})
    counts = TargetCounts.from_state(state)
    assert counts.all.tolist() == [1, 2, 3, 4, 5, 0, 0, 6]
    assert counts.counted.tolist() == [0, 0, 0, 4, 5, 0, 0, 0]


@pytest.mark.parametrize("name", ["answer-only", "half-prompt", "all-targets", "padding-too"])
def test_a_kept_promise_passes(name: str, example: Callable, strategies: Strategies) -> None:
    strategy = strategies[name]()
    check_promise(strategy, counts_of(strategy, [example(1, 3, 1), example(2, 1, 1)]))


def test_a_role_that_counts_against_the_promise_is_found(example: Callable, strategies: Strategies) -> None:
    """The option of a strategy is ignored on the way to the batch, as it happened in trl and nanochat."""
    counts = counts_of(strategies["all-targets"](), [example(1, 3, 1)])
    with pytest.raises(
        PluginError, match=r"'answer-only' promises to count 0% of instruction targets, but 100\.0% counted"
    ):
        check_promise(strategies["answer-only"](), counts)


def test_a_role_that_does_not_count_against_the_promise_is_found(example: Callable, strategies: Strategies) -> None:
    counts = counts_of(strategies["answer-only"](), [example(1, 3, 1)])
    with pytest.raises(PluginError, match=r"promises to count 100% of instruction targets, but 0\.0% counted"):
        check_promise(strategies["all-targets"](), counts)


def test_an_end_token_masked_as_padding_is_found(example: Callable) -> None:
    """The end token and padding share an id; who masks by id loses every end."""

    class ById(CollateStrategy):
        name = "by-id"
        summary = "masks what looks like padding"

        def target_weights(self, row: TokenizedExample) -> Sequence[float]:
            return [float(i != 99) for i in row.ids]

    class Promising(ById):
        target_weights = CollateStrategy.target_weights

    rows = [example(1, 2, 1)]
    counts = TargetCounts()
    counts.add(ById(pad_id=99)(rows), rows)
    with pytest.raises(PluginError, match=r"promises to count 100% of end targets, but 0\.0% counted"):
        check_promise(Promising(pad_id=99), counts)


def test_padding_that_counts_by_mistake_is_found(example: Callable, strategies: Strategies) -> None:
    counts = counts_of(strategies["padding-too"](), [example(1, 3, 1), example(2, 1, 1)])
    with pytest.raises(PluginError, match=r"promises to count 0% of padding targets, but 100\.0% counted"):
        check_promise(strategies["all-targets"](), counts)


def test_rules_of_its_own_promise_nothing_about_roles_but_padding_still_must_not_count(
    example: Callable, strategies: Strategies
) -> None:
    class EverySecond(CollateStrategy):
        name = "every-second"
        summary = "for tests"

        def target_weights(self, row: TokenizedExample) -> Sequence[float]:
            return [float(i % 2 or i == len(row.ids) - 1) for i in range(len(row.ids))]

    rows = [example(1, 3, 1), example(2, 1, 1)]
    check_promise(EverySecond(), counts_of(EverySecond(), rows))
    with pytest.raises(PluginError, match="padding"):
        check_promise(EverySecond(), counts_of(strategies["padding-too"](), rows))


def test_who_makes_batches_itself_promises_what_it_says_of_roles(example: Callable, strategies: Strategies) -> None:
    """The option is read by `role_weight`, and the batch does not ask for it."""

    class Ignoring(CollateStrategy):
        name = "ignoring"
        summary = "for tests"

        def role_weight(self, role: Role) -> float:
            return float(role is not Role.INSTRUCTION)

        def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
            return strategies["all-targets"]()(examples)

    rows = [example(2, 3, 1), example(3, 1, 1)]
    with pytest.raises(PluginError, match=r"'ignoring' promises to count 0% of instruction targets, but 100\.0%"):
        check_promise(Ignoring(), counts_of(Ignoring(), rows))
