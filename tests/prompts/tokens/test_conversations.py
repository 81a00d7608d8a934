"""Conversations as tokens: one per byte, so that all can be counted by hand. A full stop stands for the end token."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sftframe import Example, PromptStyle, Role, Segment, Tokenizer, Turn
from sftframe.config import TokensConfig
from sftframe.errors import DataError, PluginError
from sftframe.prompts.tokens import encode_prompts, tokenize

S, T, Q, R, E = Role.SYSTEM, Role.TEMPLATE, Role.INSTRUCTION, Role.RESPONSE, Role.END


class Talk(PromptStyle):
    """`<system:>instruction>answer;`, the closing semicolon only if asked for."""

    name = "talk"
    summary = "for tests"
    joins_turns = True
    turn_separator = "|"

    def __init__(self, closing: str = ";") -> None:
        super().__init__()
        self.closing = closing

    def segments(self, example: Example) -> Iterator[Segment]:
        if example.system:
            yield Segment(Role.SYSTEM, example.system)
            yield Segment(Role.TEMPLATE, ":")
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.TEMPLATE, ">")
        yield Segment(Role.RESPONSE, example.output)
        yield Segment(Role.END, self.closing)


EXAMPLE = Example(
    index=5, system="s", turns=(Turn(instruction="ab", output="cd", weight=0.5),), instruction="e", output="f", weight=2
)


def text(ids: object) -> str:
    return "".join("." if i == 256 else chr(i) for i in ids)


def rows(tokenizer: Tokenizer, style: PromptStyle, *examples: Example, **settings: object):
    given = {"context_length": 256, "counted_turns": settings.pop("counted_turns", "all")}
    return tokenize(examples, style, tokenizer, TokensConfig(**settings), **given)


@pytest.mark.parametrize("boundary", ["whole", "split"])
def test_exchanges_follow_each_other_and_only_the_last_gets_the_end_token(tokenizer: Tokenizer, boundary: str) -> None:
    (row,) = rows(tokenizer, Talk(), EXAMPLE, boundary=boundary)[0]
    assert text(row.ids) == "s:ab>cd;|e>f;."
    assert row.roles.tolist() == [S, T, Q, Q, T, R, R, E, T, Q, T, R, E, E]


@pytest.mark.parametrize("boundary", ["whole", "split"])
def test_an_answer_without_a_closing_tag_gets_the_end_token(tokenizer: Tokenizer, boundary: str) -> None:
    (row,) = rows(tokenizer, Talk(closing=""), EXAMPLE, boundary=boundary)[0]
    assert text(row.ids) == "s:ab>cd.|e>f."
    assert row.roles.tolist() == [S, T, Q, Q, T, R, R, E, T, Q, T, R, E]


def test_every_token_knows_its_exchange(tokenizer: Tokenizer) -> None:
    (row,) = rows(tokenizer, Talk(), EXAMPLE)[0]
    assert row.turns.tolist() == [0] * 8 + [1] * 6
    assert (row.turn_starts, row.turn_weights) == ((0, 8), (0.5, 2.0))
    (row,) = rows(tokenizer, Talk(closing=""), EXAMPLE)[0]
    assert row.turns.tolist() == [0] * 8 + [1] * 5  # the end token belongs to the answer that it ends


def test_of_the_last_exchanges_alone_the_others_have_weight_0(tokenizer: Tokenizer) -> None:
    (row,) = rows(tokenizer, Talk(), EXAMPLE, counted_turns="last")[0]
    assert row.turn_weights == (0.0, 2.0)


def test_single_questions_are_one_exchange_and_take_no_memory_for_it(tokenizer: Tokenizer, rows: Callable) -> None:
    store, _ = rows([("ab", "c"), ("d", "e")])
    assert [(row.turn_starts, row.turn_weights) for row in store] == [((0,), (1.0,))] * 2
    assert store.num_bytes == 7 * 3 + 3 * 8 + 2 * 8 + 2 * 4


def test_chosen_rows_keep_their_exchanges(tokenizer: Tokenizer) -> None:
    single = Example(index=1, instruction="x", output="y")
    store, _ = rows(tokenizer, Talk(), single, EXAMPLE, Example(index=9, instruction="u", output="v", weight=3))
    chosen = store.select([5, 9])
    assert [row.turn_starts for row in store] == [(0,), (0, 8), (0,)]
    assert [(row.index, row.turn_starts, row.turn_weights) for row in chosen] == [
        (5, (0, 8), (0.5, 2.0)),
        (9, (0,), (3.0,)),
    ]


@pytest.mark.parametrize("closing", [";", ""])
@pytest.mark.parametrize("boundary", ["whole", "split"])
def test_the_question_at_inference_is_what_was_trained(tokenizer: Tokenizer, closing: str, boundary: str) -> None:
    style = Talk(closing)
    (row,) = rows(tokenizer, style, EXAMPLE, boundary=boundary)[0]
    (prompt,) = encode_prompts([EXAMPLE], style, tokenizer, boundary=boundary)
    assert text(prompt) == f"s:ab>cd{closing or '.'}|e>"
    assert prompt == row.ids[: len(prompt)].tolist()


def test_what_a_cut_leaves_knows_its_exchanges(tokenizer: Tokenizer) -> None:
    (row,) = rows(tokenizer, Talk(), EXAMPLE, max_length=12, over_long="truncate-end")[0]
    assert (text(row.ids), row.turn_starts) == ("s:ab>cd;|e>f", (0, 8))


def test_a_long_conversation_loses_its_oldest_exchanges(tokenizer: Tokenizer) -> None:
    turns = tuple(Turn(instruction=letter, output=letter) for letter in "abc")
    long = Example(index=0, system="s", turns=turns, instruction="d", output="d")
    shorter: list[Example] = []
    store, report = tokenize(
        [long],
        Talk(),
        tokenizer,
        TokensConfig(max_length=14, over_long="truncate-prompt"),
        context_length=256,
        on_shortened=shorter.append,
    )
    assert text(store[0].ids) == "s:c>c;|d>d;."
    assert (store[0].turn_starts, store[0].num_truncated) == ((0, 6), 10)
    assert [turn.instruction for turn in shorter[0].turns] == ["c"]
    assert report.num_truncated == 1


def test_what_is_left_begins_with_a_question_of_the_user(tokenizer: Tokenizer) -> None:
    class WithTools(Talk):
        def segments(self, example: Example) -> Iterator[Segment]:
            for piece in super().segments(example):
                is_tool = example.speaker == "tool" and piece.role is Role.INSTRUCTION
                yield Segment(Role.TOOL, piece.text) if is_tool else piece

    turns = (Turn(instruction="a", output="A", is_call=True), Turn(instruction="b", output="B", speaker="tool"))
    long = Example(index=0, turns=turns, instruction="c", output="C")
    (row,) = rows(tokenizer, WithTools(), long, max_length=12, over_long="truncate-prompt")[0]
    assert text(row.ids) == "c>C;."


def test_earlier_exchanges_are_refused_by_a_style_that_does_not_write_them(
    tokenizer: Tokenizer, framed: Callable[..., PromptStyle]
) -> None:
    with pytest.raises(
        DataError, match="example 5 has earlier exchanges and a system message, which prompt style 'framed'"
    ):
        rows(tokenizer, framed(), EXAMPLE)


@pytest.mark.parametrize(
    ("example", "says"),
    [
        (Example(index=0, instruction="a", output="b", system="s"), "has a system message"),
        (Example(index=0, instruction="a", output="b", tools='[{"name": "t"}]'), "has tools"),
        (Example(index=0, instruction="a", output="b", speaker="tool"), "has what a tool gave back"),
    ],
)
def test_what_a_style_leaves_out_is_refused(
    tokenizer: Tokenizer, framed: Callable[..., PromptStyle], example: Example, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        rows(tokenizer, framed(), example)


def test_one_answer_too_many_is_the_styles_mistake(tokenizer: Tokenizer) -> None:
    class Twice(Talk):
        def conversation(self, example: Example) -> Iterator[Segment]:
            yield from super().conversation(example)
            yield Segment(Role.RESPONSE, "again")

    with pytest.raises(PluginError, match="gave example 5 3 RESPONSE segments; expected one for each of its 2"):
        rows(tokenizer, Twice(), EXAMPLE)


def test_a_token_across_the_border_of_an_earlier_answer_is_refused(tokenizer: Tokenizer) -> None:
    class Pairs(type(tokenizer)):  # type: ignore[misc]
        """`>c` is one token."""

        vocab_size = 258

        def encode_batch(self, texts: list[str]) -> list[list[int]]:
            pieces = [text.split(">c") for text in texts]
            coded = [[super(Pairs, self).encode_batch([one])[0] for one in piece] for piece in pieces]
            return [sum(([257, *one] for one in parts[1:]), parts[0]) for parts in coded]

        def token_bytes(self, token_id: int) -> bytes:
            return b">c" if token_id == 257 else super().token_bytes(token_id)

    with pytest.raises(DataError, match=r"example 5: .* a token crosses the boundary"):
        rows(Pairs(), Talk(), EXAMPLE)
    (row,) = rows(Pairs(), Talk(), EXAMPLE, boundary="split")[0]
    assert np.asarray(row.ids).max() == 256
