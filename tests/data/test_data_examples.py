import json
from collections.abc import Callable

import pytest

from sftframe.data import Dataset
from sftframe.errors import ConfigError, DataError
from sftframe.records import Example

Load = Callable[..., Dataset]
GOOD = {"instruction": "Add.", "input": "1 1", "output": "2"}


def test_entries_become_examples_in_order(load: Load) -> None:
    entries = [GOOD, {"instruction": "Greet.", "output": "Hello.", "id": 7}]
    assert load("data.json", json.dumps(entries)).examples == (
        Example(instruction="Add.", input="1 1", output="2", index=0),
        Example(instruction="Greet.", input="", output="Hello.", index=1),
    )


def test_a_null_input_is_an_empty_one(load: Load) -> None:
    assert load("data.json", json.dumps([{**GOOD, "input": None}])).examples[0].input == ""


def test_text_is_taken_as_it_is(load: Load) -> None:
    odd = {"instruction": " é\u0000\u2028", "input": "\t", "output": "  two\r\nlines "}
    example = load("data.json", json.dumps([odd])).examples[0]
    assert (example.instruction, example.input, example.output) == (" é\0\u2028", "\t", "  two\r\nlines ")


def test_an_output_may_be_empty(load: Load) -> None:
    assert load("data.json", json.dumps([{**GOOD, "output": ""}])).examples[0].output == ""


def test_an_output_may_be_a_list_of_accepted_ones_of_which_the_first_is_trained(load: Load) -> None:
    entries = [{**GOOD, "output": ["2", "two", "2"]}, {**GOOD, "output": ["3"]}, {**GOOD, "output": "4"}]
    found = [(example.output, example.references) for example in load("data.json", json.dumps(entries)).examples]
    assert found == [("2", ("two",)), ("3", ()), ("4", ())]


def test_fields_are_mapped(load: Load) -> None:
    entry = {"question": "Why?", "context": "Rain.", "answer": "Clouds."}
    fields = {"instruction": "question", "input": "context", "output": "answer"}
    example = load("data.json", json.dumps([entry]), fields=fields).examples[0]
    assert (example.instruction, example.input, example.output) == ("Why?", "Rain.", "Clouds.")


def test_an_input_field_that_is_the_instruction_is_not_read_twice(load: Load) -> None:
    fields = {"instruction": "input"}
    example = load("data.json", json.dumps([{"input": "Why?", "output": "So."}]), fields=fields).examples[0]
    assert (example.instruction, example.input) == ("Why?", "")


def test_a_mapped_input_may_be_absent_from_some_entries(load: Load) -> None:
    entries = [{"instruction": "a", "output": "b"}, {"instruction": "a", "context": "c", "output": "b"}]
    loaded = load("data.json", json.dumps(entries), fields={"input": "context"})
    assert [example.input for example in loaded.examples] == ["", "c"]


def test_a_mapped_input_that_no_entry_has_is_refused(load: Load) -> None:
    with pytest.raises(DataError, match=r"^data\.json: no field 'inputs'; did you mean 'input'\? Available: 'input', "):
        load("data.json", json.dumps([GOOD]), fields={"input": "inputs"})


def test_two_fields_of_one_name_are_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match="both read from 'output'"):
        load("data.json", json.dumps([GOOD]), fields={"instruction": "output"})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("text", r"expected an object with 'instruction' and 'output', found a string"),
        (None, r"expected an object with 'instruction' and 'output', found null"),
        ([], r"expected an object with 'instruction' and 'output', found a list"),
        (
            {"instructions": "a", "output": "b"},
            r"no field 'instruction'; did you mean 'instructions'\? Use one name in all entries\. "
            r"It has: 'instructions', 'output'",
        ),
        ({}, r"no field 'instruction'\. It is empty"),
        ({"instruction": "a"}, r"no field 'output'\. It has: 'instruction'"),
        ({**GOOD, "instruction": 7}, r"field 'instruction' is a number, expected a string"),
        ({**GOOD, "instruction": None}, r"field 'instruction' is null, expected a string"),
        ({**GOOD, "input": ["x"]}, r"field 'input' is a list, expected a string"),
        ({**GOOD, "output": []}, r"field 'output' is an empty list, expected a string or a list of accepted strings"),
        ({**GOOD, "output": ["x", 7]}, r"field 'output\[1\]' is a number, expected a string"),
        ({**GOOD, "input": False}, r"field 'input' is false, expected a string"),
        ({**GOOD, "output": {"a": 1}}, r"field 'output' is an object, expected a string"),
        ({**GOOD, "output": None}, r"field 'output' is null, expected a string"),
        ({**GOOD, "instruction": ""}, r"field 'instruction' is blank, expected an instruction: .*"),
        ({**GOOD, "instruction": " \n\u00a0"}, r"field 'instruction' is blank, expected an instruction: .*"),
        (
            {**GOOD, "output": "smile \ud83d"},
            r"field 'output' has a lone surrogate U\+D83D at character 6, .*: remove it",
        ),
    ],
)
def test_a_bad_entry_is_named_by_its_index(load: Load, bad: object, message: str) -> None:
    counted = r"; 1 of 2 entries is like this; --set data\.invalid=drop leaves it out"
    with pytest.raises(DataError, match=rf"^data\.json: entry 1: {message}{counted}$"):
        load("data.json", json.dumps([GOOD, bad]))


def test_a_bad_entry_of_a_format_with_lines_is_named_by_its_line_too(load: Load) -> None:
    lines = [json.dumps(GOOD), "", json.dumps({**GOOD, "output": 2})]
    with pytest.raises(DataError, match=r"^data\.jsonl: entry 1 \(line 3\): field 'output' is a number"):
        load("data.jsonl", "\n".join(lines))


def test_mapped_names_are_those_that_messages_use(load: Load) -> None:
    with pytest.raises(DataError, match="entry 0: field 'question' is a number"):
        load("data.json", '[{"question": 1, "output": "b"}]', fields={"instruction": "question"})


def test_entries_after_the_limit_are_not_looked_at(load: Load) -> None:
    assert len(load("data.json", json.dumps([GOOD, GOOD, "bad"]), limit=2).examples) == 2


def test_a_limit_above_the_number_of_entries_takes_all(load: Load) -> None:
    assert len(load("data.jsonl", json.dumps(GOOD), limit=50).examples) == 1
