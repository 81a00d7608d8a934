"""The data of every optimizer step, from any step on."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftframe import CollateStrategy, TokenizedExample
from sftframe.config import TrainConfig
from sftframe.errors import DataError
from sftframe.records import StepData
from sftframe.training import StepLoader

Strategies = dict[str, type[CollateStrategy]]


def loader(examples: Sequence[TokenizedExample], strategy: CollateStrategy | None = None, **config: Any) -> StepLoader:
    return StepLoader(examples, strategy or CollateStrategy(), TrainConfig(**config), seed=5)


def indices(step: StepData) -> list[list[int]]:
    return [list(batch.indices) for batch in step.micro_batches]


def test_in_file_order_steps_take_the_examples_one_after_the_other(examples: Sequence[TokenizedExample]) -> None:
    steps = list(loader(examples, shuffle=False, batch_size=4, epochs=1).steps())
    assert [indices(step) for step in steps] == [[[0, 1, 2, 3]], [[4, 5, 6, 7]], [[8, 9]]]
    assert [step.number for step in steps] == [1, 2, 3]
    assert [step.epoch for step in steps] == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_accumulation_makes_a_step_of_several_batches_and_never_mixes_epochs(
    examples: Sequence[TokenizedExample],
) -> None:
    steps = list(loader(examples, shuffle=False, batch_size=2, accumulate=3, epochs=2).steps())
    epoch = [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9]]]
    assert [indices(step) for step in steps] == epoch * 2


def test_drop_last_leaves_out_what_does_not_fill_a_batch(examples: Sequence[TokenizedExample]) -> None:
    steps = list(loader(examples, shuffle=False, batch_size=4, drop_last=True, epochs=1).steps())
    assert [indices(step) for step in steps] == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]


def test_too_few_examples_for_one_full_batch_are_refused(examples: Sequence[TokenizedExample]) -> None:
    with pytest.raises(DataError, match="10 training examples do not fill one batch of 16: lower --batch-size"):
        _ = loader(examples, batch_size=16, drop_last=True).num_steps


def test_every_epoch_has_another_order_and_all_examples(examples: Sequence[TokenizedExample]) -> None:
    steps = list(loader(examples, batch_size=5, epochs=3).steps())
    epochs = [indices(steps[i])[0] + indices(steps[i + 1])[0] for i in (0, 2, 4)]
    assert [sorted(order) for order in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


@pytest.mark.parametrize(
    ("config", "num_steps"),
    [
        ({"epochs": 1, "batch_size": 4}, 3),
        ({"epochs": 2.5, "batch_size": 4}, 8),
        ({"epochs": 0.1, "batch_size": 4}, 1),
        ({"epochs": 0.7, "batch_size": 1}, 7),
        ({"epochs": 1.1, "batch_size": 1}, 11),
        ({"epochs": 3, "batch_size": 1, "accumulate": 4}, 9),
        ({"epochs": 2, "batch_size": 1, "max_steps": 13}, 13),
        ({"epochs": 1, "batch_size": 1, "max_steps": 99}, 10),
    ],
)
def test_steps_are_counted_up_from_parts_of_epochs(
    config: dict[str, Any], num_steps: int, examples: Sequence[TokenizedExample]
) -> None:
    made = loader(examples, **config)
    assert made.num_steps == num_steps
    assert len(list(made.steps())) == num_steps


def test_a_hundredth_lost_in_floating_point_makes_no_extra_step(examples: Sequence[TokenizedExample]) -> None:
    # 0.07 * 100 is 7.000000000000001
    assert loader([*examples] * 10, epochs=0.07, batch_size=1).num_steps == 7


@settings(max_examples=25, deadline=None)
@given(
    batch_size=st.integers(1, 6),
    accumulate=st.integers(1, 3),
    epochs=st.sampled_from([0.5, 1, 2, 2.7]),
    drop_last=st.booleans(),
    data=st.data(),
)
def test_the_steps_behind_any_step_are_those_of_a_straight_run(
    batch_size: int, accumulate: int, epochs: float, drop_last: bool, data: st.DataObject
) -> None:
    rows = [TokenizedExample(ids=[i, i + 1, 99], roles=[1, 3, 4], index=i) for i in range(10)]
    config = {"batch_size": batch_size, "accumulate": accumulate, "epochs": epochs, "drop_last": drop_last}
    straight = list(loader(rows, **config).steps())
    after = data.draw(st.integers(0, len(straight)))
    resumed = list(loader(rows, **config).steps(after=after))
    assert [(s.number, indices(s), s.weight) for s in resumed] == [
        (s.number, indices(s), s.weight) for s in straight[after:]
    ]


def test_a_step_knows_its_weight_its_tokens_and_its_examples(
    examples: Sequence[TokenizedExample], strategies: Strategies
) -> None:
    # rows 0 and 1 have 1 + 1 and 2 + 2 tokens of prompt and response, and an end each; padding does not count
    config = {"shuffle": False, "batch_size": 1, "accumulate": 2}
    weights = {}
    for name in ("all-targets", "answer-only", "half-prompt"):
        first = next(loader(examples, strategies[name](), **config).steps())
        weights[name] = first.weight
        assert (first.num_tokens, first.num_examples) == (8, 2)
    assert weights == {"all-targets": 2 + 4, "answer-only": 2 + 3, "half-prompt": 2 + 3.5}


def test_the_weight_of_a_step_is_the_same_however_it_is_cut(
    examples: Sequence[TokenizedExample], strategies: Strategies
) -> None:
    strategy = strategies["half-prompt"]()
    (whole,) = loader(examples[:8], strategy, batch_size=8, epochs=1).steps()
    (cut,) = loader(examples[:8], strategy, batch_size=1, accumulate=8, epochs=1).steps()
    assert whole.weight == cut.weight
    assert whole.micro_batches[0].indices == tuple(batch.indices[0] for batch in cut.micro_batches)


def test_counts_grow_with_the_steps_that_were_handed_out(examples: Sequence[TokenizedExample]) -> None:
    made = loader(examples, shuffle=False, batch_size=1, epochs=1)
    steps = made.steps()
    next(steps)
    assert int(made.counts.all.sum()) == 2
    next(steps)
    assert int(made.counts.all.sum()) == 2 + 4


def test_the_schedule_names_the_examples_that_the_steps_take(examples: Sequence[TokenizedExample]) -> None:
    steps = loader(examples, batch_size=3, accumulate=2, epochs=1.5)
    assert [[list(rows) for rows in groups] for groups in steps.schedule()] == [indices(data) for data in steps.steps()]
