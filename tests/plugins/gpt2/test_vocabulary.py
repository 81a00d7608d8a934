"""The vocabulary by itself: ids, merges, and what tells one vocabulary from another."""

import dataclasses

import pytest
from sftframe_plugins.gpt2.vocabulary import Vocabulary, check, check_merges, merges

from sftframe import ModelError

BYTES = {bytes([byte]): byte for byte in range(256)}


def test_merges_are_the_last_pair_of_each_token_in_order_of_rank(toy_vocabulary):
    assert merges(toy_vocabulary.ranks) == [
        (b"h", b"e"),
        (b" ", b"t"),
        (b"l", b"l"),
        (b"he", b"ll"),
        (b" t", b"he"),
        (b"hell", b"o"),
        (b"\xc3", b"\xa9"),
        (b"1", b"2"),
    ]


def test_a_token_that_no_pair_makes_is_refused():
    with pytest.raises(ModelError, match=r"no two earlier tokens make token 256 \(b'abc'\)"):
        merges(BYTES | {b"abc": 256})


def test_a_token_made_of_later_ones_is_refused():
    with pytest.raises(ModelError, match=r"token 256 \(b'abcd'\)"):
        merges(BYTES | {b"abcd": 256, b"ab": 257, b"cd": 258})


def test_a_gap_in_the_ids_is_refused():
    with pytest.raises(ModelError, match="here: token ids must be 0 to 257, once each, but id 256 is missing"):
        check(Vocabulary(ranks=BYTES | {b"he": 257}, end_id=258), "here")


def test_an_id_that_is_there_twice_is_refused():
    with pytest.raises(ModelError, match="or id 255 is there twice"):
        check(Vocabulary(ranks=BYTES, end_id=255), "here")


def test_a_vocabulary_without_all_bytes_is_refused():
    ranks = {token: rank for token, rank in BYTES.items() if rank < 255}
    with pytest.raises(ModelError, match="no token for the single byte 0xff"):
        check(Vocabulary(ranks=ranks, end_id=255), "here")


def test_merges_in_another_order_than_the_ids_are_refused():
    ranks = BYTES | {b"he": 256, b"ll": 257}
    with pytest.raises(ModelError, match=r"file: merge 1 is \(b'l', b'l'\), but by its ids"):
        check_merges(ranks, [(b"l", b"l"), (b"h", b"e")], "file")


def test_too_few_merges_are_refused():
    with pytest.raises(ModelError, match="1 merges, but the vocabulary has 2 tokens of more than one byte"):
        check_merges(BYTES | {b"he": 256, b"ll": 257}, [(b"h", b"e")], "file")


def test_a_merge_into_nothing_is_refused():
    with pytest.raises(ModelError, match="merge 1 makes b'xy', which is not in the vocabulary"):
        check_merges(BYTES, [(b"x", b"y")], "file")


@pytest.mark.parametrize(
    "change", [{"end_id": 265, "more_controls": {"<pad>": 264}}, {"more_controls": {"<pad>": 265}}]
)
def test_the_fingerprint_changes_with_the_control_tokens(toy_vocabulary, change):
    assert dataclasses.replace(toy_vocabulary, **change).fingerprint != toy_vocabulary.fingerprint


def test_the_fingerprint_changes_when_two_tokens_change_places(toy_vocabulary):
    ranks = dict(toy_vocabulary.ranks) | {b"he": 257, b" t": 256}
    assert dataclasses.replace(toy_vocabulary, ranks=ranks).fingerprint != toy_vocabulary.fingerprint


def test_the_fingerprint_does_not_depend_on_the_order_of_reading(toy_vocabulary):
    backwards = dict(reversed(toy_vocabulary.ranks.items()))
    assert dataclasses.replace(toy_vocabulary, ranks=backwards).fingerprint == toy_vocabulary.fingerprint
