"""Which role a token has: that of the segment which its first byte falls in."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftframe import Role, Segment, Tokenizer
from sftframe.errors import ModelError

T, I, R, E = Role.TEMPLATE, Role.INSTRUCTION, Role.RESPONSE, Role.END  # noqa: E741


class Cutter(Tokenizer):
    """Cuts every text into tokens that have so many bytes each."""

    end_id = 0
    fingerprint = "cutter"

    def __init__(self, widths: list[int]) -> None:
        self.widths = widths

    @property
    def vocab_size(self) -> int:
        return len(self.widths)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(range(len(self.widths))) for _ in texts]

    def token_bytes(self, token_id: int) -> bytes:
        return b"x" * self.widths[token_id]

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


def roles(widths: list[int], *segments: tuple[Role, str]) -> list[int]:
    """Roles of tokens that have so many bytes each."""
    ((ids, numbers),) = Cutter(widths).encode_segments([[Segment(*segment) for segment in segments]])
    assert ids == list(range(len(widths)))
    return [segments[number][0] for number in numbers]


def test_tokens_that_end_where_segments_end_have_their_roles() -> None:
    assert roles([2, 1, 3, 1], (T, "Q:"), (I, "x"), (R, "yes"), (E, ".")) == [T, I, R, E]


def test_a_token_over_a_border_has_the_role_it_begins_in() -> None:
    assert roles([1, 2, 1], (T, "ab"), (I, "cd")) == [T, T, I]


def test_a_token_over_three_segments_has_the_first_role() -> None:
    assert roles([5], (T, "a"), (I, "b"), (R, "cde")) == [T]


def test_characters_of_several_bytes_are_counted_in_bytes() -> None:
    # é is 2 bytes and 日 is 3; each is cut into single bytes and pairs
    assert roles([1, 1, 2, 1], (I, "é"), (R, "日")) == [I, I, R, R]


def test_a_token_that_begins_inside_a_cut_character_has_that_characters_role() -> None:
    assert roles([1, 2, 2], (I, "é"), (R, "日")) == [I, I, R]


def test_empty_segments_own_no_token() -> None:
    assert roles([1, 1], (T, ""), (I, "a"), (T, ""), (R, "b"), (E, "")) == [I, R]


def test_no_text_has_no_roles() -> None:
    assert roles([]) == []


def test_a_tokenizer_that_loses_bytes_is_refused() -> None:
    with pytest.raises(ModelError, match="makes 2 bytes of a text of 3"):
        roles([1, 1], (I, "a"), (R, "bc"))


def test_a_control_token_made_from_text_is_refused() -> None:
    with pytest.raises(ModelError, match="no control token may come from text"):
        roles([1, 0, 1], (I, "a"), (R, "b"))


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.sampled_from(Role), st.text(max_size=6)), max_size=6),
    cuts=st.lists(st.integers(1, 5), min_size=1),
)
def test_every_byte_of_every_token_is_accounted_for(pieces: list[tuple[Role, str]], cuts: list[int]) -> None:
    owners = [role for role, text in pieces for _ in text.encode()]
    widths: list[int] = []
    while sum(widths) < len(owners):
        widths.append(min(cuts[len(widths) % len(cuts)], len(owners) - sum(widths)))
    starts = [sum(widths[:i]) for i in range(len(widths))]
    assert roles(widths, *pieces) == [owners[start] for start in starts]
