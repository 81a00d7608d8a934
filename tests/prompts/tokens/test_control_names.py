"""Names of control tokens in a style's own words, for a tokenizer that reads them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from sftframe import Example, ModelError, PromptStyle, Role, Segment, Tokenizer, Turn
from sftframe.config import TokensConfig
from sftframe.prompts.tokens import encode_prompts, ending_ids, tokenize

END, TURN, BEGIN = 256, 257, 258
NAMES = {"<end>": END, "<turn>": TURN, "<begin>": BEGIN}
T, I, R, E = Role.TEMPLATE, Role.INSTRUCTION, Role.RESPONSE, Role.END  # noqa: E741


class Reader(Tokenizer):
    """One id per byte; names are control tokens in the words of a style."""

    vocab_size = 259
    end_id = END
    fingerprint = "reader"
    reads_control_names = True
    control_tokens = NAMES

    def __init__(self, begin_ids: tuple[int, ...] = ()) -> None:
        self._begin_ids = begin_ids

    @property
    def begin_ids(self) -> tuple[int, ...]:
        return self._begin_ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def encode_segments(self, texts: Sequence[Sequence[Segment]]) -> list[tuple[list[int], list[int]]]:
        found = []
        for segments in texts:
            ids: list[int] = []
            numbers: list[int] = []
            for number, segment in enumerate(segments):
                is_own = segment.role in (Role.TEMPLATE, Role.END)
                parts = re.split("(<end>|<turn>|<begin>)", segment.text) if is_own else [segment.text]
                for part in parts:
                    new = [NAMES[part]] if is_own and part in NAMES else list(part.encode())
                    ids += new
                    numbers += [number] * len(new)
            found.append((ids, numbers))
        return found

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


class Style(PromptStyle):
    name = "style"
    summary = "for these tests"
    joins_turns = True

    def __init__(self, begin: str = "", close: str = "") -> None:
        super().__init__()
        self.begin, self.close = begin, close

    def segments(self, example: Example) -> Sequence[Segment]:
        tag = [Segment(Role.END, self.close)] if self.close else []
        return [
            Segment(Role.TEMPLATE, self.begin + "Q"),
            Segment(Role.INSTRUCTION, example.instruction),
            Segment(Role.TEMPLATE, ":"),
            Segment(Role.RESPONSE, example.output),
            *tag,
        ]


SINGLE = Example(index=0, instruction="a", output="b")
TWO = Example(index=0, turns=(Turn(instruction="a", output="b"),), instruction="c", output="d")


def row(example: Example, style: PromptStyle, tokenizer: Tokenizer) -> tuple[list[int], list[Role], tuple[int, ...]]:
    store, _ = tokenize([example], style, tokenizer, TokensConfig(), context_length=99)
    return store[0].ids.tolist(), [Role(role) for role in store[0].roles], store[0].turn_starts


def test_a_closing_tag_with_a_control_token_ends_the_turn_and_no_end_token_follows():
    ids, roles, _ = row(SINGLE, Style(close="<turn>\n"), Reader())
    assert ids == [*b"Qa:b", TURN, *b"\n"]
    assert roles == [T, I, T, R, E, E]


def test_a_closing_tag_that_is_the_end_token_is_not_written_twice():
    assert row(SINGLE, Style(close="<end>"), Reader())[0] == [*b"Qa:b", END]


def test_a_closing_tag_of_text_is_followed_by_the_end_token_at_the_last_answer():
    ids, roles, starts = row(TWO, Style(close="/"), Reader())
    assert ids == [*b"Qa:b/Qc:d/", END]
    assert roles[-2:] == [E, E]
    assert starts == (0, 5)


def test_an_open_answer_is_closed_by_the_end_token_wherever_it_stands():
    ids, roles, starts = row(TWO, Style(), Reader())
    assert ids == [*b"Qa:b", END, *b"Qc:d", END]
    assert roles == [T, I, T, R, E, T, I, T, R, E]
    assert starts == (0, 5)


def test_names_in_the_data_are_text():
    example = Example(index=0, instruction="<turn><end>", output="<end>")
    ids, _, _ = row(example, Style(close="<turn>"), Reader())
    assert ids == [*b"Q<turn><end>:<end>", TURN]
    assert encode_prompts([example], Style(close="<turn>"), Reader()) == [[*b"Q<turn><end>:"]]


@pytest.mark.parametrize("begin", ["", "<begin>"])
def test_begin_ids_stand_at_the_front_once(begin: str):
    style, reader = Style(begin), Reader((BEGIN,))
    ids, roles, starts = row(SINGLE, style, reader)
    assert ids == [BEGIN, *b"Qa:b", END]
    assert roles == [T, T, I, T, R, E]
    assert starts == (0,)
    assert encode_prompts([SINGLE], style, reader) == [[BEGIN, *b"Qa:"]]


def test_begin_ids_count_as_prompt_when_an_example_is_cut_at_its_end():
    config = TokensConfig(max_length=6, over_long="truncate-end")
    store, report = tokenize([SINGLE], Style(close="//"), Reader((BEGIN,)), config, context_length=99)
    assert store[0].ids.tolist() == [BEGIN, *b"Qa:b/"]
    assert report.num_truncated == 1


def test_boundary_split_keeps_control_tokens():
    config = TokensConfig(boundary="split")
    store, _ = tokenize([TWO], Style(close="<turn>"), Reader((BEGIN,)), config, context_length=99)
    assert store[0].ids.tolist() == [BEGIN, *b"Qa:b", TURN, *b"Qc:d", TURN]


def test_the_control_token_that_closes_an_answer_ends_generation():
    assert ending_ids(Style(close="<turn>\n<end>"), Reader()) == (TURN,)
    assert ending_ids(Style(close="<end>"), Reader()) == ()
    assert ending_ids(Style(close="/"), Reader()) == ()


def test_a_tokenizer_that_does_not_read_names_keeps_them_as_text(tokenizer: Tokenizer):
    style = Style(begin="<begin>", close="<end>")
    assert row(SINGLE, style, tokenizer)[0] == [*b"<begin>Qa:b<end>", 256]
    assert ending_ids(style, tokenizer) == ()


def test_a_reader_whose_end_token_has_no_name_is_told():
    class Nameless(Reader):
        control_tokens: ClassVar = {"<turn>": TURN}

    with pytest.raises(ModelError, match="control_tokens has no name for its end token 256"):
        row(SINGLE, Style(), Nameless())
