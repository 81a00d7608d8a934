"""Many tokenised examples in little memory, read like a list."""

from collections.abc import Callable

import numpy as np
import pytest

from sftframe import Role, TokenizedExample
from sftframe.prompts.tokens import TokenStore


@pytest.fixture
def store(rows: Callable) -> TokenStore:
    """Rows of 3, 4 and 5 tokens with the indices 0, 1 and 2."""
    made, _ = rows([("a", "b"), ("a", "bb"), ("a", "bbb")])
    return made


def test_an_example_comes_back_as_it_was_added(store: TokenStore) -> None:
    row = store[1]
    assert isinstance(row, TokenizedExample)
    assert row.ids.tolist() == [97, 98, 98, 256]
    assert row.roles.tolist() == [Role.INSTRUCTION, Role.RESPONSE, Role.RESPONSE, Role.END]
    assert (row.index, row.num_truncated) == (1, 0)


def test_ids_come_as_the_integers_that_torch_embeds(store: TokenStore) -> None:
    assert store[0].ids.dtype == np.int64


def test_it_reads_like_a_list(store: TokenStore) -> None:
    assert (len(store), store[-1].index, [row.index for row in store[1:]], store[3:]) == (3, 2, [1, 2], [])
    for key in (3, -4):
        with pytest.raises(IndexError):
            store[key]


def test_lengths_are_those_of_the_rows(store: TokenStore) -> None:
    assert store.lengths.tolist() == [3, 4, 5]


def test_a_selection_keeps_the_stores_order_and_ignores_unknown_indices(store: TokenStore) -> None:
    chosen = store.select([2, 0, 99])
    assert chosen.indices == [0, 2]
    assert [row.ids.tolist() for row in chosen] == [[97, 98, 256], [97, 98, 98, 98, 256]]
    assert chosen[1].roles.tolist() == [Role.INSTRUCTION, *[Role.RESPONSE] * 3, Role.END]


def test_a_selection_of_nothing_is_empty(store: TokenStore) -> None:
    assert len(store.select([])) == 0


def test_a_token_takes_three_bytes_and_an_example_twenty(store: TokenStore) -> None:
    # 12 tokens of 2 bytes id and 1 byte role; offsets of 8 bytes (one more than examples), index 8, cut 4
    assert store.num_bytes == 12 * 3 + 4 * 8 + 3 * 8 + 3 * 4


def test_ids_of_a_large_vocabulary_are_not_cut() -> None:
    from sftframe.prompts.tokens import Builder

    builder = Builder(8, "error", 200_000)
    builder.add(0, [1, 199_999], np.array([1, 3], dtype=np.uint8), num_prompt=1)
    assert builder.finish()[0][0].ids.tolist() == [1, 199_999]
