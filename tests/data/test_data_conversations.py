"""Lists of messages as exchanges: who speaks, in which order, with which weight; and conversations in no order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sftframe.data import Dataset
from sftframe.errors import DataError
from sftframe.records import Example, Turn

Load = Callable[..., Dataset]
Message = dict[str, Any]


def says(role: str, content: object, **more: Any) -> Message:
    return {"role": role, "content": content, **more}


USER, BOT = says("user", "Hi."), says("assistant", "Hello!")


def read(load: Load, *conversations: list[Message], **config: Any) -> Dataset:
    return load("d.json", json.dumps([{"messages": one} for one in conversations]), **config)


def test_the_last_exchange_is_the_example_and_the_others_are_its_turns(load: Load) -> None:
    messages = [says("system", "Be kind."), USER, BOT, says("user", "Bye."), says("assistant", "See you.")]
    assert read(load, messages).examples == (
        Example(
            instruction="Bye.",
            output="See you.",
            index=0,
            system="Be kind.",
            turns=(Turn(instruction="Hi.", output="Hello!"),),
        ),
    )


def test_a_tool_asks_with_its_result_and_the_call_is_an_answer(load: Load) -> None:
    turns = [
        {"from": "human", "value": "What is 1 + 1?"},
        {"from": "function_call", "value": '{"name": "add"}'},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "It is 2."},
    ]
    rows = [{"conversations": turns, "tools": '[{"name": "add"}]'}]
    assert load("d.json", json.dumps(rows)).examples == (
        Example(
            instruction="2",
            output="It is 2.",
            index=0,
            speaker="tool",
            turns=(Turn(instruction="What is 1 + 1?", output='{"name": "add"}', is_call=True),),
            tools='[{"name": "add"}]',
        ),
    )


def test_openai_calls_are_json_as_in_sharegpt_and_results_of_several_tools_are_lines(load: Load) -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "add", "arguments": "no json"}},
    ]
    messages = [
        USER,
        says("assistant", None, tool_calls=calls),
        says("tool", "2", tool_call_id="1"),
        says("tool", "3", tool_call_id="2"),
        says("assistant", "One moment.", tool_calls=calls[:1]),
        says("tool", "4"),
        BOT,
    ]
    dataset = read(load, messages)
    (example,) = dataset.examples
    assert [(turn.speaker, turn.instruction, turn.output, turn.is_call) for turn in example.turns] == [
        (
            "user",
            "Hi.",
            '[{"name": "add", "arguments": {"a": 1}}, {"name": "add", "arguments": "no json"}]',
            True,
        ),
        ("tool", "2\n3", 'One moment.\n{"name": "add", "arguments": {"a": 1}}', True),
    ]
    assert (example.speaker, example.instruction, example.is_call) == ("tool", "4", False)
    assert dataset.changes == {"results of several tools joined, one per line": 1}
    assert dataset.unused_columns == ()  # the order of the results says what `tool_call_id` says


@pytest.mark.parametrize("role", ["user", "human", "Human"])
@pytest.mark.parametrize("answer", ["assistant", "gpt", "model"])
def test_speakers_have_their_usual_names(load: Load, role: str, answer: str) -> None:
    (example,) = read(load, [says(role, "Hi."), says(answer, "Hello!")]).examples
    assert (example.instruction, example.output) == ("Hi.", "Hello!")


def test_speakers_can_have_other_names(load: Load) -> None:
    messages = [says("customer", "Hi."), says("agent", "Hello!")]
    with pytest.raises(DataError) as caught:
        read(load, messages, [USER, BOT])
    assert "entry 0: messages[0] has the role 'customer', expected one of system, developer, user, " in str(
        caught.value
    )
    assert "--set data.roles.customer=user (or system, assistant, call, tool) says who it is" in str(caught.value)
    (example,) = read(load, messages, roles={"customer": "user", "agent": "assistant"}).examples
    assert (example.instruction, example.output) == ("Hi.", "Hello!")


def test_content_may_be_parts_of_text(load: Load) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "value": "b"}, "c"]
    assert read(load, [says("user", parts), BOT]).examples[0].instruction == "abc"


def test_weights_are_of_answers_only(load: Load) -> None:
    messages = [
        says("user", "a", loss_weight=0.0),
        says("assistant", "b", weight=0),
        says("user", "c", weight=1),
        says("assistant", "d", loss_weight=0.5),
    ]
    dataset = read(load, messages)
    (example,) = dataset.examples
    assert (example.turns[0].weight, example.weight) == (0.0, 0.5)
    assert dataset.changes == {"the weights of messages that are no answers are not used (the mask decides on them)": 1}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": -1}, r"messages\[1\]\.weight is -1, expected a number of 0 or more"),
        ({"weight": True}, r"messages\[1\]\.weight is True, expected"),
        ({"loss_weight": "1"}, r"messages\[1\]\.loss_weight is '1', expected"),
        ({"weight": 1, "loss_weight": 0}, r"messages\[1\] has two weights"),
        ({"weight": 0}, r"no answer counts: all their weights are 0"),
    ],
)
def test_a_weight_that_cannot_be_is_told(load: Load, weights: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"entry 1: {message}.*; 1 of 2 entries is like this"):
        read(load, [USER, BOT], [USER, {**BOT, **weights}])


NO_ORDER: dict[str, tuple[list[Message], str, list[tuple[str, str]] | None]] = {
    "the assistant first": (
        [BOT, USER, BOT],
        r"the conversation begins with the assistant \(messages\[0\]\); .*data\.mend=true leaves this message out",
        [("Hi.", "Hello!")],
    ),
    "the user last": (
        [USER, BOT, USER],
        r"the conversation ends with the user \(messages\[2\]\), so there is no answer to learn; .*mend=true leaves",
        [("Hi.", "Hello!")],
    ),
    "a tool last": (
        [USER, BOT, says("tool", "2")],
        r"the conversation ends with a tool \(messages\[2\]\)",
        [("Hi.", "Hello!")],
    ),
    "the user twice": (
        [USER, says("user", "You there?"), BOT],
        r"two messages of the user in a row: messages\[0\] and messages\[1\]; .*mend=true joins them",
        [("Hi.\n\nYou there?", "Hello!")],
    ),
    "the assistant twice": (
        [USER, BOT, says("assistant", "Well?")],
        r"two messages of the assistant in a row: messages\[1\] and messages\[2\]",
        [("Hi.", "Hello!\n\nWell?")],
    ),
    "an empty answer": (
        [USER, says("assistant", " "), USER, BOT],
        r"messages\[1\] is an empty answer; .*mend=true leaves this exchange out",
        [("Hi.", "Hello!")],
    ),
    "an empty question": (
        [USER, BOT, says("user", None), BOT],
        r"messages\[2\] is an empty question",
        [("Hi.", "Hello!")],
    ),
    "twice with other weights": (
        [USER, says("assistant", "a", weight=0), BOT],
        r"two messages of the assistant in a row with different weights: messages\[1\] and messages\[2\]; 1 of",
        None,
    ),
    "a late system message": (
        [USER, says("system", "Be kind."), BOT],
        r"messages\[1\] is a system message in the middle",
        None,
    ),
    "a result without a call": (
        [USER, says("tool", "2"), BOT],
        r"messages\[1\] \(a tool\) follows messages\[0\] \(the user\), expected an answer of the assistant between",
        None,
    ),
    "no answer": ([USER], r"'messages' has no question with an answer", None),
    "nothing": ([], r"field 'messages' is an empty list, expected messages", None),
    "no role": ([USER, {"content": "Hello!"}], r"messages\[1\] has no speaker: 'role' is null", None),
    "no text": ([USER, says("assistant", 3)], r"messages\[1\]\.content is a number, expected a string or a list", None),
    "half a character": ([USER, says("assistant", "\ud83d")], r"messages\[1\]\.content has a lone surrogate", None),
}


@pytest.mark.parametrize("case", NO_ORDER)
def test_a_conversation_in_no_order_is_named_and_mended_on_request(load: Load, case: str) -> None:
    messages, told, mended = NO_ORDER[case]
    good = [USER, BOT]
    with pytest.raises(DataError, match=rf"^d\.json: entry 1: {told}") as caught:
        read(load, good, messages, good)
    assert str(caught.value).endswith("; --set data.invalid=drop leaves it out")
    assert "; 1 of 3 entries is like this" in str(caught.value)
    dataset = read(load, good, messages, good, mend=True, invalid="drop")
    assert len(dataset.examples) == (2 if mended is None else 3)
    assert sum(dataset.changes.values()) == (0 if mended is None else 1)
    if mended is not None:
        example = dataset.examples[1]
        assert [(one.instruction, one.output) for one in (*example.turns, example)] == mended


def test_two_system_messages_are_one_only_if_they_are_equal(load: Load) -> None:
    row = {"system": "Be kind.", "messages": [says("system", "Be brief."), USER, BOT]}
    with pytest.raises(DataError, match=r"two system messages: one in field 'system' and another one in messages\[0\]"):
        load("d.json", json.dumps([row]))
    row["system"] = "Be brief."
    assert load("d.json", json.dumps([row])).examples[0].system == "Be brief."


THREE = [
    *(says("user", "1"), says("assistant", "one")),
    *(says("user", "2"), says("assistant", "two", weight=0)),
    *(says("user", "3"), says("assistant", "three")),
]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ("last", [(0, "3", "three", ""), (1, "Hi.", "Hello!", "")]),
        ("first", [(0, "1", "one", ""), (1, "Hi.", "Hello!", "")]),
        ("each", [(0, "1", "one", "conversation 0"), (1, "3", "three", "conversation 0"), (2, "Hi.", "Hello!", "")]),
    ],
)
def test_exchanges_can_be_read_alone(load: Load, turns: str, expected: list[tuple[int, str, str, str]]) -> None:
    dataset = read(load, THREE, [USER, BOT], turns=turns)
    assert [(one.index, one.instruction, one.output, one.group) for one in dataset.examples] == expected
    assert not any(one.turns for one in dataset.examples)
    assert dataset.changes[next(words for words in dataset.changes if "data.turns" in words)] == 1
    assert ("exchanges whose answer has the weight 0 left out" in dataset.changes) == (turns == "each")


def test_an_exchange_that_answers_a_tool_cannot_stand_alone(load: Load) -> None:
    called = [USER, says("assistant", "", tool_calls=[{"name": "add"}]), says("tool", "2"), BOT]
    dataset = read(load, called, turns="each")
    assert [(one.instruction, one.output) for one in dataset.examples] == [("Hi.", '{"name": "add"}')]
    assert dataset.changes["exchanges that answer a tool left out: without the call they say nothing"] == 1
    called[1]["weight"] = 0
    with pytest.raises(DataError, match=r"entry 0: no exchange counts without the others \(data\.turns=each\)"):
        read(load, called, turns="each")


def test_exchanges_of_a_group_stay_in_it(load: Load) -> None:
    rows = [{"messages": THREE, "topic": "numbers"}]
    dataset = load("d.json", json.dumps(rows), turns="each", group="topic")
    assert [one.group for one in dataset.examples] == ["numbers", "numbers"]


def test_an_exchange_that_does_not_count_cannot_be_the_only_one(load: Load) -> None:
    with pytest.raises(DataError, match="the answer of the last exchange does not count: its weight is 0"):
        read(load, THREE[:4], turns="last")


def test_a_history_can_be_left_out(load: Load) -> None:
    row = {"instruction": "c", "input": "x", "output": "d", "history": [["a", "b"]]}
    for turns, expected in (("last", [("c", "x", "d")]), ("each", [("a", "", "b"), ("c", "x", "d")])):
        examples = load("d.json", json.dumps([row]), turns=turns).examples
        assert [(one.instruction, one.input, one.output) for one in examples] == expected


def test_a_system_message_in_messages_can_be_left_out_and_is_counted(load: Load) -> None:
    late = [
        says("system", "Rhyme."),
        USER,
        BOT,
        says("system", "Stop."),
        says("user", "Bye."),
        says("assistant", "Go."),
    ]
    dataset = read(load, late, [USER, BOT], fields={"system": False})
    assert [(one.system, one.instruction, len(one.turns)) for one in dataset.examples] == [
        ("", "Bye.", 1),
        ("", "Hi.", 0),
    ]
    assert dataset.changes == {"the system message left out (data.fields.system=false)": 1}


def test_earlier_exchanges_of_sharegpt_can_be_left_out_and_are_counted(load: Load) -> None:
    said = [("system", "Rhyme."), ("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d")]
    rows = [{"conversations": [{"from": who, "value": text} for who, text in said[:size]]} for size in (5, 3)]
    dataset = load("d.json", json.dumps(rows), fields={"history": False})
    assert [(one.system, one.instruction, one.output, one.turns) for one in dataset.examples] == [
        ("Rhyme.", "c", "d", ()),
        ("Rhyme.", "a", "b", ()),
    ]
    assert dataset.changes == {"the exchanges before the last one left out (data.fields.history=false)": 1}


def test_a_last_exchange_that_does_not_count_is_not_left_alone_without_its_history(load: Load) -> None:
    with pytest.raises(DataError, match="the answer of the last exchange does not count: its weight is 0"):
        read(load, THREE[:4], fields={"history": False})
