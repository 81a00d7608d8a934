"""A text that is computed bit by bit with a cache has the hidden states of the whole text."""

import pytest
import torch
from sftframe_plugins.gpt2.cache import KeyValueCache

pytestmark = pytest.mark.usefixtures("uninitialised_is_nan")

IDS = torch.randint(0, 265, (3, 40), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def network(toy_peer, network_like):
    return network_like(toy_peer)


@pytest.fixture
def cache(network):
    return KeyValueCache.empty(network.config, num_rows=4, capacity=40, like=network.wte.weight)


def read(network, cache, ids, num_real=None):
    """Hidden states of new tokens, after which the cache holds them."""
    num_new = ids.shape[1]
    with torch.no_grad():
        hidden = network.hidden(ids, positions=cache.positions(num_new), attend=cache)
    cache.advance(num_real or [num_new] * len(ids))
    return hidden


def filled(network, cache, lengths):
    """The cache with the first tokens of as many rows."""
    rows = cache.append(len(lengths))
    read(network, rows, IDS[: len(lengths), : max(lengths)], lengths)
    cache.join(rows)
    return cache


def whole(network, row, length):
    with torch.no_grad():
        return network.hidden(IDS[row : row + 1, :length])[0]


def test_even_rows_go_on_token_by_token(network, cache):
    filled(network, cache, [5, 5, 5])
    for length in range(6, 12):
        hidden = read(network, cache, IDS[:, length - 1 : length])
        for row in range(3):
            torch.testing.assert_close(hidden[row, 0], whole(network, row, length)[-1])


def test_uneven_rows_go_on_where_each_of_them_ends(network, cache):
    lengths = [9, 3, 6]
    filled(network, cache, lengths)
    for step in range(6):
        ids = torch.stack([IDS[row, length + step] for row, length in enumerate(lengths)])[:, None]
        hidden = read(network, cache, ids)
        for row, length in enumerate(lengths):
            torch.testing.assert_close(hidden[row, 0], whole(network, row, length + step + 1)[-1])


@pytest.mark.parametrize("lengths", [[7, 7, 7], [9, 3, 6]])
def test_several_new_positions_see_the_cache_and_each_other(network, cache, lengths):
    filled(network, cache, lengths)
    ids = torch.stack([IDS[row, length : length + 5] for row, length in enumerate(lengths)])
    hidden = read(network, cache, ids)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(hidden[row], whole(network, row, length + 5)[-5:])


def test_a_dropped_row_leaves_its_place_to_the_last(network, cache):
    filled(network, cache, [9, 3, 6])
    cache.drop(0)
    assert cache.lengths == (6, 3)
    hidden = read(network, cache, torch.stack([IDS[2, 6:7], IDS[1, 3:4]]))
    torch.testing.assert_close(hidden[0, 0], whole(network, 2, 7)[-1])
    torch.testing.assert_close(hidden[1, 0], whole(network, 1, 4)[-1])


def test_the_last_row_can_be_dropped(network, cache):
    filled(network, cache, [9, 3])
    cache.drop(1)
    assert cache.lengths == (9,)
    hidden = read(network, cache, IDS[:1, 9:10])
    torch.testing.assert_close(hidden[0, 0], whole(network, 0, 10)[-1])


def test_new_rows_join_those_that_are_there(network, cache):
    filled(network, cache, [9])
    filled(network, cache, [4])
    assert cache.lengths == (9, 4)
    hidden = read(network, cache, torch.stack([IDS[0, 9:10], IDS[0, 4:5]]))
    torch.testing.assert_close(hidden[0, 0], whole(network, 0, 10)[-1])
    torch.testing.assert_close(hidden[1, 0], whole(network, 0, 5)[-1])


def test_a_place_that_is_used_again_shows_nothing_of_its_last_row(network, cache):
    filled(network, cache, [30, 8])
    cache.drop(0)
    filled(network, cache, [2])
    hidden = read(network, cache, torch.stack([IDS[1, 8:9], IDS[0, 2:3]]))
    torch.testing.assert_close(hidden[0, 0], whole(network, 1, 9)[-1])
    torch.testing.assert_close(hidden[1, 0], whole(network, 0, 3)[-1])
