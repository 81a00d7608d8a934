"""Lists in the cells of tables, tables with two shapes, and the lines of lists in JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, load_examples
from sftframe.errors import DataError

Load = Callable[..., Dataset]
TALK = [{"role": "user", "content": "Hi, 'you'."}, {"role": "assistant", "content": 'Say "hello".'}]
SHAREGPT = [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello!"}]
INSTRUCTION = {"instruction": "Name a month.", "output": "May."}


def table(*rows: Mapping[str, object], delimiter: str = ",") -> str:
    """The rows as comma-separated values, an absent value as an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    made = io.StringIO(newline="")
    writer = csv.writer(made, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return made.getvalue()


def parquet_of(*rows: Mapping[str, object]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns = dict.fromkeys(name for row in rows for name in row)
    made = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows]), made)
    return made.getvalue()


def texts(dataset: Dataset) -> list[tuple[str, str]]:
    return [(one.instruction, one.output) for one in dataset.examples]


@pytest.mark.parametrize("written", [json.dumps(TALK), f"\n {json.dumps(TALK, indent=1)}", repr(TALK)])
@pytest.mark.parametrize(("name", "delimiter"), [("d.csv", ","), ("d.tsv", "\t")])
def test_messages_are_read_from_the_text_of_a_cell_and_this_is_counted(
    load: Load, written: str, name: str, delimiter: str
) -> None:
    dataset = load(name, table({"id": 1, "messages": written}, delimiter=delimiter))
    assert dataset.shape == "OpenAI messages"
    assert texts(dataset) == [("Hi, 'you'.", 'Say "hello".')]
    assert dict(dataset.changes) == {"lists read from the text of a cell": 1}
    assert [column.name for column in dataset.unused_columns] == ["id"]


def test_json_lines_and_parquet_may_have_messages_as_text_too(load: Load) -> None:
    row = {"chat": json.dumps(TALK), "system": "Be brief."}
    for name, content in (("d.jsonl", json.dumps(row)), ("d.parquet", parquet_of(row))):
        (example,) = load(name, content).examples
        assert (example.system, example.instruction) == ("Be brief.", "Hi, 'you'.")


def test_sharegpt_history_and_lists_of_prompts_are_read_from_cells(load: Load) -> None:
    (talk,) = load("d.csv", table({"conversations": json.dumps(SHAREGPT), "tools": "[]"})).examples
    assert (talk.instruction, talk.output, talk.tools) == ("Hi.", "Hello!", "")
    history = load("d.csv", table(INSTRUCTION | {"history": '[["Hi.", "Hello!"]]'}, INSTRUCTION | {"history": "[]"}))
    assert [len(one.turns) for one in history.examples] == [1, 0]
    assert dict(history.changes) == {"lists read from the text of a cell": 1}
    two = {"prompt": json.dumps(TALK[:1]), "completion": json.dumps(TALK[1:])}
    assert texts(load("d.csv", table(two))) == [("Hi, 'you'.", 'Say "hello".')]


def test_a_prompt_that_looks_like_a_list_and_has_no_messages_is_a_text(load: Load) -> None:
    dataset = load("d.csv", table({"prompt": "[1, 2, 3]", "completion": "6"}))
    assert texts(dataset) == [("[1, 2, 3]", "6")]
    assert not dataset.changes


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('[{"role": "user", "content": "Hi."},', "expected a list of messages as JSON: the text is no JSON at"),
        ("[{'role': 'user'} {'role': 'assistant'}]", "is a string, expected a list of messages as JSON"),
        ("[__import__('os')]", "is a string, expected a list of messages as JSON"),
        ("['a' 'b']", "is a string, expected a list of messages as JSON"),
        ("[" * 100_000, "is a string, expected a list of messages as JSON"),
        ("Hi.", r"is a string, expected a list of messages; 1 of 2 entries"),
    ],
)
def test_a_cell_that_is_no_list_is_named_with_its_line(load: Load, written: str, told: str) -> None:
    content = table({"messages": json.dumps(TALK)}, {"messages": written})
    with pytest.raises(DataError, match=rf"^d\.csv: entry 1 \(line 3\): field 'messages' .*{told}"):
        load("d.csv", content)
    dropped = load("d.csv", content, invalid="drop").dropped
    assert [row.reason for row in dropped] == ["field 'messages' is a string, expected a list of messages"]


ROWS: Sequence[Mapping[str, object]] = [{"messages": TALK}, {"conversations": SHAREGPT}, INSTRUCTION]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_may_have_two_shapes(load: Load, order: tuple[int, int], kind: str) -> None:
    rows = [ROWS[place] for place in order for _ in range(3)]
    cells = [{name: cell if isinstance(cell, str) else json.dumps(cell) for name, cell in row.items()} for row in rows]
    content = table(*cells) if kind == "csv" else parquet_of(*rows)
    expected = {0: ("Hi, 'you'.", 'Say "hello".'), 1: ("Hi.", "Hello!"), 2: ("Name a month.", "May.")}
    dataset = load(f"d.{kind}", content)
    assert texts(dataset) == [expected[place] for place in order for _ in range(3)]
    assert "others as" in dataset.shape
    assert not dataset.unused_columns


def test_the_files_of_a_folder_may_each_have_a_shape_of_its_own(tmp_path: Path) -> None:
    pair = {"prompt": "Name a day.", "completion": "Monday."}
    contents = {
        "a.csv": table(INSTRUCTION).encode(),
        "b.parquet": parquet_of({"messages": TALK, "weight": 1.0}),
        "c.json": json.dumps([{"conversations": SHAREGPT}]).encode(),
        "d.jsonl": json.dumps(pair).encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    dataset = load_examples(DataConfig(source=str(tmp_path)))
    assert texts(dataset) == [
        ("Name a month.", "May."),
        ("Hi, 'you'.", 'Say "hello".'),
        ("Hi.", "Hello!"),
        ("Name a day.", "Monday."),
    ]
    assert dataset.shape == (
        "instruction/input/output, others as OpenAI messages or ShareGPT conversations or prompt/completion"
    )
    assert [column.name for column in dataset.unused_columns] == ["weight"]


def test_a_shape_that_the_user_names_is_the_only_one(load: Load) -> None:
    rows = [{"messages": TALK}, {"prompt": "Name a day.", "completion": "Monday."}]
    assert len(load("d.json", json.dumps(rows)).examples) == 2
    with pytest.raises(DataError, match=r"entry 1: no field 'messages'\. It has: 'completion', 'prompt'; 1 of 2"):
        load("d.json", json.dumps(rows), shape="messages")


def test_a_saved_dataset_may_have_two_shapes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_list([*[{"messages": TALK, "conversations": None}] * 2, {"conversations": SHAREGPT}])
    made.save_to_disk(str(tmp_path / "saved"))
    assert texts(load_examples(DataConfig(source=str(tmp_path / "saved")))) == [
        ("Hi, 'you'.", 'Say "hello".'),
        ("Hi, 'you'.", 'Say "hello".'),
        ("Hi.", "Hello!"),
    ]


def test_conversations_in_other_columns_are_not_read_if_every_row_has_its_own(load: Load) -> None:
    dataset = load("d.parquet", parquet_of({"messages": TALK, "drafts": TALK}))
    assert [column.name for column in dataset.unused_columns] == ["drafts"]
    assert dataset.shape == "OpenAI messages"


def test_images_in_a_cell_of_a_table_are_named(load: Load) -> None:
    content = table({"messages": json.dumps(TALK), "images": '["a.png"]'}, {"messages": json.dumps(TALK)})
    with pytest.raises(DataError, match=r"entry 0 \(line 2\): the entry has images \(field 'images'\).*1 of 2"):
        load("d.csv", content)


def test_an_image_that_the_text_refers_to_is_named(load: Load) -> None:
    talk = [{"from": "human", "value": "<image>\nWhat is it?"}, SHAREGPT[1]]
    with pytest.raises(DataError, match="the entry has images"):
        load("d.json", json.dumps([{"image": "a.jpg", "conversations": talk}]))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": TALK, "label": True}, "rated answers .*data.shape=messages"),
        ({"conversations": SHAREGPT, "label": False}, "rated answers .*data.shape=sharegpt"),
        (INSTRUCTION | {"kto_tag": True}, "rated answers .*data.shape=instruction"),
        (
            {"conversations": SHAREGPT[:1], "chosen": SHAREGPT[1], "rejected": SHAREGPT[1]},
            "pairs of a better and a worse answer .* put each one at the end of its messages",
        ),
    ],
)
def test_answers_that_should_not_all_be_learned_are_refused(load: Load, row: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        load("d.json", json.dumps([row] * 2))


def test_rated_conversations_can_be_read_by_their_shape(load: Load) -> None:
    dataset = load("d.json", json.dumps([{"messages": TALK, "label": True}]), shape="messages")
    assert len(dataset.examples) == 1


def test_pairs_in_a_table_are_told_how_their_better_conversations_are_read(load: Load) -> None:
    content = table({"chosen": json.dumps(TALK), "rejected": json.dumps(TALK)})
    with pytest.raises(DataError, match=r"read them with --set data\.fields\.messages=chosen$"):
        load("d.csv", content)
    assert texts(load("d.csv", content, fields={"messages": "chosen"})) == [("Hi, 'you'.", 'Say "hello".')]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('[\n{"instruction": "a", "output": "b"},\n\n{"instruction": null,\n"output": "b"}]', 4),
        ('{"version": 1,\n "rows": [\n  {"instruction": "a", "output": "b"},\n  {"instruction": null}\n]}', 4),
        ('[{"instruction": "a\\n", "output": "b"},\r\n {"instruction": null}\r\n]', 2),
    ],
)
def test_an_entry_of_a_list_in_json_is_named_with_its_line(load: Load, content: str, line: int) -> None:
    with pytest.raises(DataError, match=rf"^d\.json: entry 1 \(line {line}\): field 'instruction' is null"):
        load("d.json", content)
    (dropped,) = load("d.json", content, invalid="drop").dropped
    assert dropped.place == f"d.json, entry 1 (line {line})"


def test_the_entries_of_a_list_on_one_line_are_named_without_it(load: Load) -> None:
    with pytest.raises(DataError, match=r"^d\.json: entry 1: field 'instruction' is null"):
        load("d.json", '\n[{"instruction": "a", "output": "b"}, {"instruction": null}]\n')


def test_the_first_fault_of_a_table_is_that_of_its_header(load: Load) -> None:
    with pytest.raises(DataError, match=r"^d\.csv: line 1: no field 'instruction'"):
        load("d.csv", 'question;answer\n"a" b;c\n')
