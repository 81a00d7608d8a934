"""Examples and batches as they are trained on, through the very objects that train."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sftframe import Batch, CollateStrategy, PluginError, TokenizedExample
from sftframe.config import Layer
from sftframe.pipeline import BatchView, Components, TokenView, prepare_data, resolve, view_batches, view_examples
from sftframe.pipeline.setup import PreparedData
from sftframe.progress import Observer
from sftframe.training import StepLoader

Prepared = tuple[Any, Components, PreparedData]


@pytest.fixture
def prepare(layer: Callable[..., Layer], toys: Any) -> Callable[..., Prepared]:
    """`prepare(**changes)`: configuration, components and data of a toy run."""

    def go(**changes: Any) -> Prepared:
        config = resolve(layer(**changes), toys.registry)
        components = Components.choose(config, toys.registry)
        return config, components, prepare_data(config, components, Observer())

    return go


def test_an_example_is_shown_token_by_token_with_roles_and_weights(prepare: Callable[..., Prepared]) -> None:
    _, components, prepared = prepare(collate="mask-instruction")
    ((example, tokens),) = view_examples(components, prepared.train[:1], 4)
    assert example.index == 0
    assert "".join(token.text for token in tokens) == "Q: After 0?\nA: It is 1.<end>"
    assert [token.role for token in tokens] == (
        ["template"] * 3 + ["instruction"] * 8 + ["template"] * 3 + ["response"] * 9 + ["end"]
    )
    assert [token.weight for token in tokens] == [0.0] * 14 + [1.0] * 10
    assert tokens[0] == TokenView(id=ord("Q"), text="Q", role="template", weight=0.0)


def test_the_first_token_of_a_row_is_never_a_target(prepare: Callable[..., Prepared]) -> None:
    _, components, prepared = prepare()
    ((_, tokens),) = view_examples(components, prepared.train[:1], 4)
    assert [token.weight for token in tokens] == [0.0] + [1.0] * 23


def test_padding_is_shown_as_padding_and_the_end_as_the_end(prepare: Callable[..., Prepared]) -> None:
    # beside "Yes. Yes." (10 tokens more) the first row is padded; both have the id 256
    _, components, prepared = prepare(collate="pad-only")
    rows = {example.index: tokens for example, tokens in view_examples(components, prepared.train[:3], 3)}
    behind = rows[0][23:]
    assert [token.text for token in behind] == ["<end>"] + ["<pad>"] * 10
    assert [(token.role, token.weight) for token in behind[1:]] == [("padding", 1.0)] * 10
    assert {token.id for token in behind} == {256}


def test_padding_of_another_id_is_shown_as_padding_too(prepare: Callable[..., Prepared]) -> None:
    _, components, prepared = prepare()
    components = replace(components, strategy=CollateStrategy(pad_id=65))
    rows = {example.index: tokens for example, tokens in view_examples(components, prepared.train[:3], 3)}
    assert {(token.text, token.id) for token in rows[0] if token.role == "padding"} == {("<pad>", 65)}


def test_half_a_character_shows_as_a_replacement(prepare: Callable[..., Prepared]) -> None:
    _, components, _ = prepare()
    example = TokenizedExample(ids=[*"é".encode(), 256], roles=[1, 3, 4], index=0)
    ((_, tokens),) = view_examples(components, [example], 1)
    assert [token.text for token in tokens] == ["\ufffd", "\ufffd", "<end>"]


class Shortening(CollateStrategy):
    """Trains on the first positions only."""

    name = "shortening"
    summary = "for tests"

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        batch = super().__call__(examples)
        return Batch(inputs=batch.inputs[:, :5], targets=batch.targets[:, :5], indices=batch.indices)


def test_a_strategy_that_cuts_rows_is_refused_as_a_run_would(prepare: Callable[..., Prepared]) -> None:
    """Its ends would never count: `tokens.max_length` and `tokens.over_long` cut, and count what they cut."""
    _, components, prepared = prepare()
    components = replace(components, strategy=Shortening(pad_id=256))
    with pytest.raises(PluginError, match=r"'shortening' cut example 0 to 5 positions; set tokens\.max_length and"):
        list(view_examples(components, prepared.train[:1], 4))


def test_batches_in_file_order_have_their_shapes_and_counts(prepare: Callable[..., Prepared]) -> None:
    config, components, prepared = prepare(collate="mask-instruction")
    views, counts = view_batches(config, components, prepared)
    # rows of 24, 29, 34 and 24 tokens: one position less; 10 + 15 + 20 + 10 of answers and ends; 10 + 5 + 10 padding
    assert views[0] == BatchView(shape=(4, 33), counted=55, padding=25, indices=(0, 1, 2, 3))
    assert (len(views), views[-1].shape[0]) == (9, 2)
    assert sum(view.padding for view in views) == int(counts.all[-1])
    assert counts.shares["instruction"] == 0.0


def test_batches_of_an_epoch_are_those_that_train(prepare: Callable[..., Prepared]) -> None:
    config, components, prepared = prepare()
    loader = StepLoader(prepared.train, components.strategy, config.train, seed=config.seed)
    trained = [batch for step in loader.steps() for batch in step.micro_batches]
    views, counts = view_batches(config, components, prepared, epoch=0)
    assert [(view.indices, view.shape) for view in views] == [
        (batch.indices, tuple(batch.inputs.shape)) for batch in trained
    ]
    assert counts.state == loader.counts.state


def test_a_last_batch_that_is_left_out_is_not_shown(prepare: Callable[..., Prepared]) -> None:
    config, components, prepared = prepare(train={"drop_last": True})
    assert len(view_batches(config, components, prepared)[0]) == 8


def test_without_shuffling_every_epoch_is_in_file_order(prepare: Callable[..., Prepared], tmp_path: Path) -> None:
    config, components, prepared = prepare(train={"shuffle": False})
    views, _ = view_batches(config, components, prepared, epoch=5)
    assert views[0].indices == (0, 1, 2, 3)
