"""Columns that are not read: names that are nearly a field's, and what else a file has."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sftframe.config import DataConfig, merge, parse_settings, validate
from sftframe.data import Dataset, load_answered, load_examples, unused_columns_text
from sftframe.errors import DataError

Load = Callable[..., Dataset]
Rows = Sequence[Mapping[str, Any]]


def as_csv(rows: Rows) -> bytes:
    made = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(made, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue().encode()


def as_parquet(rows: Rows) -> bytes:
    import pyarrow
    from pyarrow import parquet

    made = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), made)
    return made.getvalue()


FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "d.json": lambda rows: json.dumps(rows).encode(),
    "d.jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "d.csv": as_csv,
    "d.parquet": as_parquet,
}


def as_the_message_says(message: str, dataset: str) -> Dataset:
    """Load again with the settings that a message names, as the command line reads them."""
    import shlex

    words = shlex.split(message)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set" and "=NAME" not in words[i + 1]]
    data = validate(merge({"data": {"source": dataset}}, parse_settings(settings))).data
    return load_examples(data)


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize(
    "name", ["INPUT", "inputs", "  input", "in-put", "inptu", "\ufeffinput", "Context", "contexts"]
)
def test_an_input_under_nearly_its_name_stops_the_run_and_the_message_reads_it(
    load: Load, file: str, name: str
) -> None:
    rows = [{"instruction": "Add.", name: f"{n} 1", "output": "x"} for n in range(3)]
    with pytest.raises(DataError) as caught:
        load(file, FORMATS[file](rows))
    message = str(caught.value)
    assert message.startswith(
        f"{file}: 3 of 3 entries have text in {name!r}, and no entry has an 'input': read it with "
    )
    assert message.endswith(", or say that there is no input: --set data.fields.input=false")
    read = as_the_message_says(message.partition(", or ")[0], file)
    assert [example.input for example in read.examples] == ["0 1", "1 1", "2 1"]
    assert read.unused_columns == ()


def test_only_the_entries_with_text_count(load: Load) -> None:
    texts = ["a", "", "  ", None, "b"]
    rows = [{"instruction": "Add.", "Input": text, "output": "x"} for text in texts]
    with pytest.raises(DataError, match="2 of 5 entries have text in 'Input'"):
        load("d.json", json.dumps(rows))


def test_a_near_miss_without_text_loses_nothing(load: Load) -> None:
    rows = [{"instruction": "Add.", "Input": "", "output": "x"}, {"instruction": "Add.", "Input": None, "output": "x"}]
    assert load("d.json", json.dumps(rows)).unused_columns == ()


def test_inputs_under_two_names_cannot_both_be_read(load: Load) -> None:
    rows = [
        {"instruction": "Add.", "input": "1", "output": "x"},
        {"instruction": "Add.", "inputs": "2", "output": "x"},
        {"instruction": "Add.", "input": "3", "inputs": "4", "output": "x"},
    ]
    with pytest.raises(DataError) as caught:
        load("d.jsonl", "\n".join(map(json.dumps, rows)))
    assert str(caught.value) == (
        "d.jsonl: 1 of 3 entries have their input in 'inputs', 2 in 'input', and only one of them can be read: use "
        "one name in the file, or leave 'inputs' out on purpose with --set data.fields.input=input"
    )
    kept = load_examples(DataConfig(source="d.jsonl", fields={"input": "input"}))
    assert [example.input for example in kept.examples] == ["1", "", "3"]


def test_a_context_beside_an_input_is_unused_and_told(load: Load) -> None:
    rows = [{"instruction": "Add.", "input": "1", "context": "c", "output": "x"}]
    (column,) = load("d.json", json.dumps(rows)).unused_columns
    assert (column.name, column.num_filled, column.has_text) == ("context", 1, True)


def test_no_input_can_be_said(load: Load) -> None:
    rows = [{"instruction": "Add.", "Input": "1", "input": "2", "output": "x"}]
    dataset = load("d.json", json.dumps(rows), fields={"input": False})
    assert [example.input for example in dataset.examples] == [""]
    assert {column.name for column in dataset.unused_columns} == {"Input", "input"}


def test_a_run_that_was_begun_goes_on_and_is_told(load: Load) -> None:
    (Path.cwd() / "d.json").write_text(json.dumps([{"instruction": "a", "INPUT": "b", "output": "c"}]))
    told: list[str] = []
    dataset = load_examples(DataConfig(source="d.json"), on_lost_inputs=told.append)
    assert dataset.examples[0].input == ""
    assert told[0].startswith("d.json: 1 of 1 entries have text in 'INPUT'")


def test_answered_files_lose_no_input_either(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"instruction": "a", "Input": "b", "output": "c", "model_response": "d"}]))
    with pytest.raises(DataError, match=r"text in 'Input', .* --set data\.fields\.input=Input"):
        load_answered(DataConfig(source=str(path)))


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        (
            ("QUERY", "CONTEXT", "ANSWER"),
            "instruction=QUERY --set data.fields.input=CONTEXT --set data.fields.output=ANSW",
        ),
        (
            ("INSTRUCTION", "INPUT", "OUTPUT"),
            "instruction=INSTRUCTION --set data.fields.input=INPUT --set data.fields.ou",
        ),
        (("instruction", "input", "response"), "output=response"),
        (
            ("instruction ", "input ", "output "),
            'instruction="instruction "\' --set \'data.fields.input="input "\' --set',
        ),
    ],
)
def test_a_file_with_other_names_is_read_by_one_command_that_the_message_says(
    load: Load, file: str, columns: tuple[str, str, str], settings: str
) -> None:
    rows = [dict(zip(columns, (f"i{n}", f"c{n}", f"o{n}"), strict=True)) for n in range(2)]
    with pytest.raises(DataError) as caught:
        load(file, FORMATS[file](rows))
    message = str(caught.value)
    assert f"data.fields.{settings}" in message
    read = as_the_message_says(message.rpartition("read ")[2], file)
    assert [(one.instruction, one.input, one.output) for one in read.examples] == [
        ("i0", "c0", "o0"),
        ("i1", "c1", "o1"),
    ]


def test_a_name_with_spaces_is_quoted_where_it_is_missed(load: Load) -> None:
    with pytest.raises(DataError) as caught:
        load("d.csv", "instruction, output\na,b\n")
    assert "no field 'output'; did you mean ' output'? Available: ' output', 'instruction'; read it with" in str(
        caught.value
    )


@pytest.mark.parametrize("file", FORMATS)
def test_unused_columns_are_told_with_their_entries(load: Load, file: str) -> None:
    rows = [
        {"instruction": "a", "input": "x", "output": "b", "topic": "months", "id": 1},
        {"instruction": "a", "input": "y", "output": "b", "topic": "", "id": 2},
    ]
    if file == "d.parquet":  # its own figures count what is not null
        rows[1]["topic"] = None
    columns = load(file, FORMATS[file](rows)).unused_columns
    assert unused_columns_text(columns, 2) == "unused columns: 'topic' (in 1 of 2 entries), 'id' (in 2 of 2 entries)"
    assert [column.has_text for column in columns] == [True, False]


def test_a_list_is_text(load: Load) -> None:
    rows = [{"instruction": "a", "output": "b", "tags": [["hi", "hello"]]}, {"instruction": "a", "output": "b"}]
    (column,) = load("d.json", json.dumps(rows)).unused_columns
    assert (column.name, column.num_filled, column.has_text) == ("tags", 1, True)


def test_blank_outputs_count_as_empty(load: Load) -> None:
    load("d.json", json.dumps([{"instruction": "a", "output": text} for text in (" \n", "\u3000", "b", "")]))
    told: list[str] = []
    load_examples(DataConfig(source="d.json"), report=told.append)
    assert told == ["d.json: 3 of 4 entries have an empty output"]
