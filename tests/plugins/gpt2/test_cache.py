"""A text that is computed bit by bit with a cache has the hidden states of the whole text."""

import pytest
import torch
from sftframe_plugins.gpt2.passes import KeyValueCache, Reading, Step, bytes_per_position, read_shared

pytestmark = pytest.mark.usefixtures("uninitialised_is_nan")

IDS = torch.randint(0, 265, (3, 40), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def network(toy_peer, network_like):
    return network_like(toy_peer)


@pytest.fixture
def cache(network):
    return KeyValueCache(read_shared(network, []), num_rows=4, capacity=40)


def read(network, cache, texts):
    """Hidden states of new rows, laid flat, after which the cache holds them."""
    lengths = [len(text) for text in texts]
    reading = Reading(cache, lengths)
    with torch.no_grad():
        hidden = network.hidden(torch.cat(texts), positions=reading.positions, attend=reading)
    cache.join(lengths)
    return hidden.split(lengths)


def go_on(network, cache, ids, num_real=None):
    """Hidden states of new tokens of every row, after which the cache holds them, or as many as are real."""
    one = Step(cache, ids.shape[1])
    with torch.no_grad():
        hidden = network.hidden(ids, positions=one.positions, attend=one)
    cache.advance(num_real or [ids.shape[1]] * len(ids))
    return hidden


def filled(network, cache, lengths):
    """The cache with the first tokens of as many rows."""
    read(network, cache, [IDS[row, :length] for row, length in enumerate(lengths)])
    return cache


def whole(network, row, length):
    with torch.no_grad():
        return network.hidden(IDS[row : row + 1, :length])[0]


def test_even_rows_go_on_token_by_token(network, cache):
    filled(network, cache, [5, 5, 5])
    for length in range(6, 12):
        hidden = go_on(network, cache, IDS[:, length - 1 : length])
        for row in range(3):
            torch.testing.assert_close(hidden[row, 0], whole(network, row, length)[-1])


def test_uneven_rows_go_on_where_each_of_them_ends(network, cache):
    lengths = [9, 3, 6]
    filled(network, cache, lengths)
    for step in range(6):
        ids = torch.stack([IDS[row, length + step] for row, length in enumerate(lengths)])[:, None]
        hidden = go_on(network, cache, ids)
        for row, length in enumerate(lengths):
            torch.testing.assert_close(hidden[row, 0], whole(network, row, length + step + 1)[-1])


@pytest.mark.parametrize("lengths", [[7, 7, 7], [9, 3, 6]])
def test_several_new_positions_see_the_cache_and_each_other(network, cache, lengths):
    filled(network, cache, lengths)
    ids = torch.stack([IDS[row, length : length + 5] for row, length in enumerate(lengths)])
    hidden = go_on(network, cache, ids)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(hidden[row], whole(network, row, length + 5)[-5:])


def test_a_dropped_row_leaves_its_place_to_the_last(network, cache):
    filled(network, cache, [9, 3, 6])
    cache.drop(0)
    assert cache.lengths == (6, 3)
    hidden = go_on(network, cache, torch.stack([IDS[2, 6:7], IDS[1, 3:4]]))
    torch.testing.assert_close(hidden[0, 0], whole(network, 2, 7)[-1])
    torch.testing.assert_close(hidden[1, 0], whole(network, 1, 4)[-1])


def test_the_last_row_can_be_dropped(network, cache):
    filled(network, cache, [9, 3])
    cache.drop(1)
    assert cache.lengths == (9,)
    hidden = go_on(network, cache, IDS[:1, 9:10])
    torch.testing.assert_close(hidden[0, 0], whole(network, 0, 10)[-1])


def test_new_rows_join_those_that_are_there(network, cache):
    filled(network, cache, [9])
    filled(network, cache, [4])
    assert cache.lengths == (9, 4)
    hidden = go_on(network, cache, torch.stack([IDS[0, 9:10], IDS[0, 4:5]]))
    torch.testing.assert_close(hidden[0, 0], whole(network, 0, 10)[-1])
    torch.testing.assert_close(hidden[1, 0], whole(network, 0, 5)[-1])


def test_a_place_that_is_used_again_shows_nothing_of_its_last_row(network, cache):
    filled(network, cache, [30, 8])
    cache.drop(0)
    filled(network, cache, [2])
    hidden = go_on(network, cache, torch.stack([IDS[1, 8:9], IDS[0, 2:3]]))
    torch.testing.assert_close(hidden[0, 0], whole(network, 1, 9)[-1])
    torch.testing.assert_close(hidden[1, 0], whole(network, 0, 3)[-1])


@pytest.mark.parametrize("lengths", [[7, 7, 7], [9, 3, 6]])
def test_rows_that_are_read_have_the_states_of_the_whole_text(network, cache, lengths):
    hidden = read(network, cache, [IDS[row, :length] for row, length in enumerate(lengths)])
    for row, length in enumerate(lengths):
        torch.testing.assert_close(hidden[row], whole(network, row, length))


def test_positions_that_turned_out_wrong_are_overwritten(network, cache):
    filled(network, cache, [9, 3])
    ids = torch.stack([IDS[0, 9:13], IDS[1, 3:7]])
    wrong = ids.clone()
    wrong[0, 2:] = wrong[1, 1:] = 7
    go_on(network, cache, wrong, num_real=[2, 1])
    assert cache.lengths == (11, 4)
    hidden = go_on(network, cache, torch.stack([IDS[0, 11:13], IDS[1, 4:6]]))
    torch.testing.assert_close(hidden[0], whole(network, 0, 13)[-2:])
    torch.testing.assert_close(hidden[1], whole(network, 1, 6)[-2:])


@pytest.fixture
def sharing_cache(network):
    """Ten positions that all rows have in common; rows are the further tokens."""
    return KeyValueCache(read_shared(network, IDS[0, :10].tolist()), num_rows=3, capacity=30)


def whole_behind_shared(network, rest):
    with torch.no_grad():
        return network.hidden(torch.cat([IDS[0, :10], rest])[None])[0, 10:]


def test_rows_behind_a_shared_beginning_see_it(network, sharing_cache):
    texts = [IDS[1, :8], IDS[2, :3], IDS[1, 5:6]]
    hidden = read(network, sharing_cache, texts)
    for row, text in enumerate(texts):
        torch.testing.assert_close(hidden[row], whole_behind_shared(network, text))
    assert sharing_cache.lengths == (8, 3, 1)


@pytest.mark.parametrize("num_new", [1, 4])
@pytest.mark.parametrize("lengths", [[8, 3], [5, 5]])
def test_rows_behind_a_shared_beginning_go_on(network, sharing_cache, lengths, num_new):
    read(network, sharing_cache, [IDS[row + 1, :length] for row, length in enumerate(lengths)])
    stops = [length + num_new for length in lengths]
    ids = torch.stack([IDS[row + 1, stop - num_new : stop] for row, stop in enumerate(stops)])
    hidden = go_on(network, sharing_cache, ids)
    for row, stop in enumerate(stops):
        torch.testing.assert_close(hidden[row], whole_behind_shared(network, IDS[row + 1, :stop])[-num_new:])


def test_a_cached_position_takes_a_key_and_a_value_in_every_layer(network):
    assert bytes_per_position(network.config, element_size=4) == 2 * 2 * 48 * 4  # two, of two layers, 48 wide
