"""Batches of the chapter's shapes, and the mistakes of a strategy that are refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sftframe_plugins.collate.strategies import MaskPad
from sftframe_plugins.prompts.alpaca import Alpaca

from sftframe import IGNORED, Batch, CollateStrategy, Role, TokenizedExample, Tokenizer
from sftframe.config import DataConfig, TokensConfig
from sftframe.data import load_examples, split
from sftframe.errors import DataError, PluginError
from sftframe.prompts.tokens import TokenStore, tokenize
from sftframe.training import PADDING, batch_rows, collate, epoch_order, evaluation_batches

END = 50256
T, I, R, E = Role.TEMPLATE, Role.INSTRUCTION, Role.RESPONSE, Role.END  # noqa: E741


@pytest.fixture
def chapter(test_data: Path, gpt2_tokenizer: Tokenizer) -> TokenStore:
    """The chapter's 935 training examples under `alpaca`."""
    dataset = load_examples(DataConfig(source=str(test_data / "instruction-data.json")))
    train = split(dataset, DataConfig()).train
    return tokenize(train, Alpaca(), gpt2_tokenizer, TokensConfig(), context_length=1024)[0]


def shapes(store: TokenStore, order: Sequence[int], **cutting: bool) -> list[tuple[int, int]]:
    strategy = MaskPad(pad_id=END)
    batches = (collate(strategy, [store[row] for row in rows]) for rows in batch_rows(order, 8, **cutting))
    return [(batch.inputs.shape[0], batch.inputs.shape[1]) for batch in batches]


def test_the_chapters_batches_of_eight_in_file_order_have_its_lengths(chapter: TokenStore) -> None:
    found = shapes(chapter, range(len(chapter)))
    lengths = [length for _, length in found]
    assert (len(found), lengths[:3], lengths[-3:]) == (117, [74, 62, 71], [70, 83, 69])
    assert {rows for rows, _ in found[:-1]} == {8}
    assert found[-1] == (7, 69)


def test_the_chapters_shuffled_batches_have_the_lengths_that_torchs_loader_gives(chapter: TokenStore) -> None:
    found = shapes(chapter, epoch_order(len(chapter), seed=123, epoch=0), drop_last=True)
    assert len(found) == 116
    assert [length for _, length in found[:12]] == [61, 76, 73, 68, 65, 72, 80, 67, 62, 75, 62, 68]


@pytest.fixture
def toy_rows() -> list[TokenizedExample]:
    """The chapter's toy batch: 0 1 2 3 4, 5 6 and 7 8 9, each with its end token."""
    rows = ([0, 1, 2, 3, 4, END], [5, 6, END], [7, 8, 9, END])
    return [TokenizedExample(ids=ids, roles=[R] * (len(ids) - 1) + [E], index=i) for i, ids in enumerate(rows)]


def test_the_toy_batch_is_padded_shifted_and_masked_by_length(toy_rows: list[TokenizedExample]) -> None:
    batch = collate(CollateStrategy(pad_id=END), toy_rows)
    assert batch.inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, END, END, END], [7, 8, 9, END, END]]
    assert batch.targets.tolist() == [
        [1, 2, 3, 4, END],
        [6, END, -100, -100, -100],
        [8, 9, END, -100, -100],
    ]
    assert (batch.weights, batch.indices) == (None, (0, 1, 2))
    assert (batch.inputs.dtype, batch.targets.dtype) == (torch.int64, torch.int64)


def test_a_strategy_that_counts_padding_keeps_it_as_targets(
    toy_rows: list[TokenizedExample], strategies: dict[str, type[CollateStrategy]]
) -> None:
    batch = collate(strategies["padding-too"](pad_id=END), toy_rows)
    assert batch.targets.tolist() == [[1, 2, 3, 4, END], [6, END, END, END, END], [8, 9, END, END, END]]


def test_weights_that_are_not_all_one_come_with_the_batch(
    example: Callable[..., TokenizedExample], strategies: dict[str, type[CollateStrategy]]
) -> None:
    batch = collate(strategies["half-prompt"](pad_id=0), [example(1, 2, 1), example(2, 1, 1)])
    assert batch.weights is not None
    assert batch.weights.tolist() == [[0.5, 1.0, 1.0], [1.0, 1.0, 0.0]]
    assert batch.targets.tolist() == [[11, 12, 99], [21, 99, IGNORED]]


def test_a_row_in_which_nothing_counts_is_refused_by_its_index(
    example: Callable[..., TokenizedExample], strategies: dict[str, type[CollateStrategy]]
) -> None:
    without_answer = TokenizedExample(ids=[1, 2, 3], roles=[I] * 3, index=42, num_truncated=6)
    with pytest.raises(
        DataError,
        match=r"example 42: no target counts with collate strategy 'answer-only'.*\(3 tokens, 6 cut off\); --set tok",
    ):
        collate(strategies["answer-only"](), [example(1, 1, 1), without_answer])


def test_a_row_of_one_token_has_nothing_to_predict_and_is_refused(
    example: Callable[..., TokenizedExample], strategies: dict[str, type[CollateStrategy]]
) -> None:
    alone = TokenizedExample(ids=[99], roles=[E], index=7)
    with pytest.raises(DataError, match="example 7: no target counts"):
        collate(strategies["all-targets"](), [example(1, 1, 1), alone])


class Odd(CollateStrategy):
    """Changes the plain batch into something that it should not be."""

    name = "odd"
    summary = "for tests"

    def __init__(self, change: Callable[[Batch], Any]) -> None:
        super().__init__()
        self.change = change

    def __call__(self, examples: Sequence[TokenizedExample]) -> Batch:
        return self.change(super().__call__(examples))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda batch: {}["x"], "collate strategy 'odd' failed: KeyError: 'x'"),
        (lambda batch: batch.inputs, "collate strategy 'odd' gave Tensor; expected a Batch"),
        (
            lambda batch: replace(batch, inputs=batch.inputs[:1], targets=batch.targets[:1]),
            r"'odd' made inputs \(1, 3\), targets \(1, 3\) of 2 examples; expected one row per example",
        ),
        (lambda batch: replace(batch, targets=batch.targets[:, :2]), r"made inputs \(2, 3\), targets \(2, 2\) of 2"),
        (
            lambda batch: replace(batch, weights=torch.ones(2, 1)),
            r"inputs \(2, 3\), targets \(2, 3\), weights \(2, 1\) of",
        ),
        (
            lambda batch: replace(batch, inputs=batch.inputs.flatten(), targets=batch.targets.flatten()),
            r"inputs \(6,\)",
        ),
    ],
)
def test_a_strategy_that_breaks_its_contract_is_named(
    change: Callable[[Batch], Any], message: str, example: Callable[..., TokenizedExample]
) -> None:
    with pytest.raises(PluginError, match=message):
        collate(Odd(change), [example(1, 2, 1), example(2, 1, 1)])


def test_weights_that_are_no_numbers_are_refused(example: Callable[..., TokenizedExample]) -> None:
    strategy = Odd(lambda batch: replace(batch, weights=torch.full((1, 3), torch.nan)))
    with pytest.raises(DataError, match="example 1: no target counts"):
        collate(strategy, [example(1, 2, 1)])


def test_an_error_for_the_user_passes_through(example: Callable[..., TokenizedExample]) -> None:
    def refuse(batch: Batch) -> Batch:
        raise DataError("example 1 has no response")

    with pytest.raises(DataError, match=r"^example 1 has no response$"):
        collate(Odd(refuse), [example(1, 2, 1)])


def test_evaluation_batches_hold_like_lengths_under_both_views(
    example: Callable[..., TokenizedExample], strategies: dict[str, type[CollateStrategy]]
) -> None:
    rows = [example(1, 3, 2), example(2, 1, 1), example(3, 2, 2), example(4, 1, 1)]
    first, second = evaluation_batches(rows, strategies["answer-only"](pad_id=0), 2)
    assert (first.full.indices, second.full.indices) == ((2, 4), (3, 1))
    assert first.own.targets.tolist() == [[21, 99], [41, 99]]
    assert second.own.targets.tolist() == [[-100, 32, 33, 99, -100], [-100, -100, 13, 14, 99]]
    assert second.full.targets.tolist() == [[31, 32, 33, 99, -100], [11, 12, 13, 14, 99]]
    assert second.roles.tolist() == [[I, R, R, E, PADDING], [I, I, R, R, E]]
