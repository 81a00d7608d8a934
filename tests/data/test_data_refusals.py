"""What is said of files that have none of the shapes: what they are, and the settings that read them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from sftframe.data import Dataset
from sftframe.errors import DataError

Load = Callable[..., Dataset]
USER = {"role": "user", "content": "Hi."}
ANSWER = {"role": "assistant", "content": "Hello!"}


def settings_in(message: str) -> dict[str, Any]:
    """The `--set` options that a message gives, as arguments of `load`."""
    found = [word.partition("=") for word in shlex.split(message[message.index("--set") :]) if word.startswith("data.")]
    fields = {name.removeprefix("data.fields."): value for name, _, value in found if name.startswith("data.fields.")}
    return {"fields": fields} | {name[5:]: value for name, _, value in found if name.count(".") == 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"input": "Hi.", "output": "Hello!"}, "no field 'instruction'; did you mean 'input'?"),
        ({"inputs": "Hi.", "targets": "Hello!"}, "did you mean 'inputs' and 'targets'?"),
        ({"problem": "Hi.", "solution": "Hello!"}, "did you mean 'problem' and 'solution'?"),
        (
            {"chat": [{"who": "user", "says": "Hi."}, {"who": "bot", "says": "Hello!"}]},
            "'chat' is a list of objects with 'says', 'who'; if these are messages, read them with",
        ),
        (
            {"messages": [{"role": "user", "text": "Hi."}, {"role": "assistant", "text": "Hello!"}]},
            "'messages' is a list of objects with 'role', 'text'; if these are messages, read them with",
        ),
        (
            {"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER]},
            "pairs of a better and a worse answer",
        ),
        (
            {"chosen_messages": [USER, ANSWER], "rejected_messages": [USER, ANSWER]},
            "pairs of a better and a worse answer ('chosen_messages', 'rejected_messages')",
        ),
    ],
)
def test_the_settings_in_the_message_read_the_file(load: Load, row: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        load("d.json", json.dumps([row]))
    (example,) = load("d.json", json.dumps([row]), **settings_in(str(caught.value))).examples
    assert (example.instruction, example.input, example.output) == ("Hi.", "", "Hello!")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"talk": [{"human": "Hi.", "bot": "Hello!"}]},
            "'talk' is a list of objects with 'bot', 'human', expected",
        ),
        ({"data": ["Hi.", "Hello!"]}, "'data' is a list of 2 texts without speakers, expected messages"),
        ({"input_ids": [1, 2], "labels": [-100, 2]}, "these entries are tokens already ('input_ids')"),
        ({"audio": {"path": "a.wav"}, "text": "Hello!"}, "these entries have sounds ('audio')"),
        ({"image": {"path": "a.png"}, "caption": "A cat."}, "these entries have images ('image')"),
        ([USER, ANSWER], 'found a list: put the list of messages under a name, {"messages": […]}'),
    ],
)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_other_data_are_named_for_what_they_are(load: Load, row: object, words: str, ending: str) -> None:
    content = json.dumps([row] * 2) if ending == "json" else f"{json.dumps(row)}\n" * 2
    with pytest.raises(DataError, match=re.escape(words)):
        load(f"d.{ending}", content)


def test_a_file_of_text_is_named_so(load: Load) -> None:
    with pytest.raises(DataError, match=r"d\.txt is text alone, as for pretraining; expected questions with"):
        load("d.txt", "Once upon a time.\n")
    with pytest.raises(DataError, match=r"d\.txt has '\.txt', expected one of \.json, "):
        load("d.txt", '{"instruction": "Hi.", "output": "Hello!"}\n')


def test_questions_about_images_are_still_told_their_fields(load: Load) -> None:
    row = {"image": {"path": "a.png"}, "question": "What is it?", "answer": "A cat."}
    with pytest.raises(DataError, match="did you mean 'question' and 'answer'"):
        load("d.json", json.dumps([row]))
    with pytest.raises(DataError, match=r"the entry has images \(field 'image'\)"):
        load("d.json", json.dumps([row]), fields={"instruction": "question", "output": "answer"})


def test_messages_as_an_object_of_lists_are_read(load: Load) -> None:
    row = {"conversations": {"from": ["human", "gpt"], "value": ["Hi.", "Hello!"]}}
    dataset = load("d.json", json.dumps([row]))
    assert dataset.shape == "ShareGPT conversations"
    assert [(one.instruction, one.output) for one in dataset.examples] == [("Hi.", "Hello!")]


def test_a_message_without_its_text_is_told_with_the_keys_that_it_has(load: Load) -> None:
    rows = [{"messages": [USER, ANSWER]}, {"messages": [USER, {"role": "assistant", "text": "Hello!"}]}]
    with pytest.raises(DataError, match=r"entry 1: messages\[1\] has no 'content'; it has 'role', 'text'"):
        load("d.json", json.dumps(rows))


def test_a_conversation_that_begins_with_a_tool_is_named_and_mended(load: Load) -> None:
    rows = [{"messages": [{"role": "tool", "content": "5"}, ANSWER, USER, ANSWER]}]
    with pytest.raises(DataError, match=r"the conversation begins with a tool \(messages\[0\]\), .*data\.mend=true"):
        load("d.json", json.dumps(rows))
    (example,) = load("d.json", json.dumps(rows), mend=True).examples
    assert (example.instruction, example.output, example.turns) == ("Hi.", "Hello!", ())
