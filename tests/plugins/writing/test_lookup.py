"""What followed the last tokens of a text where they stood before."""

import pytest
from sftframe_plugins.writing.lookup import Lookup


@pytest.mark.parametrize(
    ("ids", "guesses"),
    [
        pytest.param([4, 5, 6, 7, 8, 4, 5], [6, 7], id="two tokens stood before"),
        pytest.param([1, 5, 9, 4, 5, 6, 1, 5], [9, 4], id="one token in common is not enough"),
        pytest.param([1, 2, 3, 50, 7, 2, 3, 60, 1, 2, 3], [50, 7], id="three tokens in common count more than two"),
        pytest.param([2, 3, 50, 7, 2, 3, 60, 2, 3], [60, 2], id="the last place counts"),
        pytest.param([4, 5, 6, 4, 5], [6, 4], id="what follows may run into the end"),
        pytest.param([5, 5, 5], [5], id="nothing is guessed beyond the end"),
        pytest.param([1, 2, 3, 4], [], id="a text that is new throughout"),
        pytest.param([1], [], id="a single token"),
    ],
)
def test_the_guess_is_what_followed(ids, guesses):
    assert Lookup().guesses(ids, 2) == guesses


def test_a_text_may_grow_between_guesses():
    lookup = Lookup()
    assert lookup.guesses([4, 5, 6, 4], 2) == []
    assert lookup.guesses([4, 5, 6, 4, 5], 2) == [6, 4]
    assert lookup.guesses([4, 5, 6, 4, 5, 6, 4, 9, 4, 5], 2) == [6, 4]


def test_no_more_is_guessed_than_is_wanted():
    assert Lookup().guesses([4, 5, 6, 7, 4, 5], 1) == [6]
