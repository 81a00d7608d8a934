"""Over-long examples: refused by default, dropped or cut on request, and counted.

`rows` makes a row of `instruction`, `output` and the end token, one token per letter.
"""

from collections.abc import Callable

import pytest

from sftframe import Example, PromptStyle, Role, Tokenizer
from sftframe.config import TokensConfig
from sftframe.errors import DataError
from sftframe.prompts.tokens import tokenize, what_helps_over_long

SHORT, LONG_PROMPT, LONG_ANSWER = ("abc", "de"), ("abcdefgh", "ij"), ("ab", "cdefghijk")
"""With the end token 6, 11 and 12 tokens."""


def texts(store: object) -> list[str]:
    """Each row as text, the end token as a full stop."""
    return ["".join("." if i == 256 else chr(i) for i in row.ids) for row in store]


def test_examples_that_fit_exactly_are_left_alone(rows: Callable) -> None:
    store, report = rows([SHORT], max_length=6)
    assert texts(store) == ["abcde."]
    assert (report.over_long, report.num_dropped, report.num_truncated, report.num_tokens_cut) == ((), 0, 0, 0)


def test_the_report_has_the_lengths_before_anything_is_cut(rows: Callable) -> None:
    _, report = rows([SHORT, LONG_PROMPT, LONG_ANSWER], max_length=8, over_long="drop")
    assert (report.num_examples, report.longest, report.max_length) == (3, 12, 8)
    assert report.mean == pytest.approx(29 / 3)


def test_over_long_examples_are_an_error_that_names_them(rows: Callable) -> None:
    with pytest.raises(
        DataError,
        match=r"2 of 3 examples have more than 8 tokens \(index 1, 2; the longest has 12\): raise --max-length",
    ):
        rows([SHORT, LONG_PROMPT, LONG_ANSWER], max_length=8)


def test_of_many_over_long_examples_five_are_named(rows: Callable) -> None:
    with pytest.raises(DataError, match=r"7 of 7 .*\(index 0, 1, 2, 3, 4, …; the longest has 11\)"):
        rows([LONG_PROMPT] * 7, max_length=8)


def test_without_a_maximum_the_context_is_it(rows: Callable) -> None:
    with pytest.raises(DataError, match="1 of 2 examples have more than 10 tokens"):
        rows([SHORT, LONG_PROMPT], context_length=10)


def test_dropped_examples_are_counted(rows: Callable) -> None:
    store, report = rows([LONG_PROMPT, SHORT, LONG_ANSWER], max_length=8, over_long="drop")
    assert texts(store) == ["abcde."]
    assert store.indices == [1]
    assert (report.over_long, report.num_dropped, report.num_truncated, report.num_tokens) == ((0, 2), 2, 0, 6)


def test_truncate_prompt_cuts_the_middle_and_keeps_both_ends_the_response_and_its_end(rows: Callable) -> None:
    # " … " has five bytes: of 20 tokens 11 are left for the instruction, two for the response, one for the end
    store, report = rows([SHORT, ("abcdefghijklmnop", "yz")], max_length=14, over_long="truncate-prompt")
    assert [bytes(row.ids[:-1].tolist()).decode() for row in store] == ["abcde", "abc … nopyz"]
    assert [row.num_truncated for row in store] == [0, 5]
    assert store[1].roles.tolist() == [Role.INSTRUCTION] * 11 + [Role.RESPONSE] * 2 + [Role.END]
    assert (report.over_long, report.num_dropped, report.num_truncated, report.num_tokens_cut) == ((1,), 0, 1, 5)
    assert report.prompt_cut == "input"


def test_truncate_prompt_drops_an_answer_that_leaves_no_room_for_a_prompt(rows: Callable) -> None:
    long_answer = ("abcdefgh", "cdefghijk")  # 10 tokens with its end, and six of the shortest cut prompt
    store, report = rows([long_answer], max_length=16, over_long="truncate-prompt")
    assert ([bytes(row.ids[:-1].tolist()).decode() for row in store], report.num_dropped) == (["a … cdefghijk"], 0)
    with pytest.raises(DataError, match=r"none of the 1 examples fits 15 tokens .*: raise --max-length"):
        rows([long_answer], max_length=15, over_long="truncate-prompt")


def test_a_run_of_a_version_before_cuts_the_beginning_as_it_did(
    tokenizer: Tokenizer, framed: Callable[..., PromptStyle]
) -> None:
    example = Example(index=0, instruction="abcdefgh", output="ij")
    config = TokensConfig(max_length=8, over_long="truncate-prompt")
    store, report = tokenize([example], framed(), tokenizer, config, context_length=256, cuts_beginning=True)
    assert texts(store) == ["defghij."]
    assert (report.num_truncated, report.num_tokens_cut, report.prompt_cut) == (1, 3, "beginning")


def test_truncate_end_forces_no_end_token_onto_a_cut_answer(rows: Callable) -> None:
    store, report = rows([SHORT, LONG_ANSWER], max_length=8, over_long="truncate-end")
    assert texts(store) == ["abcde.", "abcdefgh"]
    assert Role.END not in store[1].roles
    assert [row.num_truncated for row in store] == [0, 4]
    assert (report.num_dropped, report.num_truncated, report.num_tokens_cut, report.num_tokens) == (0, 1, 4, 14)


def test_truncate_end_drops_a_prompt_that_leaves_no_room_for_a_response(rows: Callable) -> None:
    # the prompt has 8 tokens: at 9 one of the response stays, at 8 none would
    store, _ = rows([LONG_PROMPT], max_length=9, over_long="truncate-end")
    assert texts(store) == ["abcdefghi"]
    _, report = rows([SHORT, LONG_PROMPT], max_length=8, over_long="truncate-end")
    assert (report.num_dropped, report.num_truncated) == (1, 0)


def test_nothing_left_is_an_error(rows: Callable) -> None:
    with pytest.raises(DataError, match="none of the 2 examples fits 3 tokens"):
        rows([SHORT, LONG_PROMPT], max_length=3, over_long="drop")


@pytest.mark.parametrize(
    ("context", "config", "says"),
    [
        (11, {"max_length": 7, "over_long": "drop"}, r"none of the 2 examples fits 7 .*: raise --max-length up to 11,"),
        (
            9,
            {"max_length": 7, "over_long": "drop"},
            "the shortest has 11.*: choose a model with a context of more than 9",
        ),
        (9, {"over_long": "drop"}, "more than 9 tokens, or set tokens.over_long=truncate-prompt or truncate-end$"),
        (7, {"over_long": "truncate-end"}, "choose a model .* 7 tokens, or set tokens.over_long=truncate-prompt$"),
        (9, {"over_long": "error"}, "2 of 2 .*: choose a model .* 9 tokens, or set tokens.over_long=drop, truncate-"),
    ],
)
def test_a_maximum_that_cannot_be_raised_is_not_to_be_raised(
    context: int, config: dict, says: str, rows: Callable
) -> None:
    with pytest.raises(DataError, match=says):
        rows([LONG_PROMPT, LONG_PROMPT], context_length=context, **config)


def test_conversations_over_the_maximum_may_be_read_as_single_exchanges() -> None:
    told = what_helps_over_long(9, 9, "drop", has_conversations=True)
    assert told.endswith("or use single exchanges with data.turns=last (or each)")
