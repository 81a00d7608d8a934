"""Which shape a file has, by its columns and first entries; and files that have none."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, load_examples
from sftframe.errors import DataError
from sftframe.records import Example, Turn

Load = Callable[..., Dataset]
ASKED = {"role": "user", "content": "Hi."}
SAID = {"role": "assistant", "content": "Hello!"}
SHAREGPT = [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello!"}]


def read(load: Load, *rows: object, **config: Any) -> Dataset:
    return load("d.json", json.dumps(rows), **config)


def texts(dataset: Dataset) -> list[tuple[str, str, str, str]]:
    return [(one.system, one.instruction, one.input, one.output) for one in dataset.examples]


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"instruction": "Hi.", "output": "Hello!"}, "instruction/input/output"),
        ({"instruction": "Hi.", "output": "Hello!", "messages": [ASKED]}, "instruction/input/output"),
        ({"prompt": "Hi.", "completion": "Hello!"}, "prompt/completion"),
        ({"prompt": [ASKED], "completion": [SAID]}, "prompt/completion"),
        ({"id": 1, "messages": [ASKED, SAID]}, "OpenAI messages"),
        ({"dialogue": [ASKED, SAID]}, "OpenAI messages"),
        ({"conversations": SHAREGPT}, "ShareGPT conversations"),
        ({"conversation": SHAREGPT, "output": "x"}, "ShareGPT conversations"),
    ],
)
def test_a_shape_is_recognised(load: Load, row: dict[str, Any], shape: str) -> None:
    dataset = read(load, row)
    assert dataset.shape == shape
    assert texts(dataset) == [("", "Hi.", "", "Hello!")]


@pytest.mark.parametrize("turns", [SHAREGPT, [ASKED, SAID]])
def test_parquet_has_conversations_too(load: Load, turns: list[dict[str, str]]) -> None:
    import pyarrow
    from pyarrow import parquet

    made = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([{"chat": turns, "n": 1}, {"chat": turns, "n": 2}]), made)
    dataset = load("d.parquet", made.getvalue())
    assert texts(dataset) == [("", "Hi.", "", "Hello!")] * 2
    assert [column.name for column in dataset.unused_columns] == ["n"]


def test_system_history_and_tools_are_read_beside_an_instruction(load: Load) -> None:
    row = {
        "instruction": "And 2 + 2?",
        "input": "Briefly.",
        "output": "4",
        "system": "You count.",
        "history": [["What is 1 + 1?", "2"], ["And 1 + 2?", "3"]],
        "tools": [{"name": "add"}],
    }
    dataset = read(load, row, {"instruction": "a", "output": "b", "system": None, "history": None, "tools": ""})
    assert dataset.shape == "instruction/input/output with system and history and tools"
    assert dataset.examples == (
        Example(
            instruction="And 2 + 2?",
            input="Briefly.",
            output="4",
            index=0,
            system="You count.",
            turns=(
                Turn(instruction="What is 1 + 1?", output="2"),
                Turn(instruction="And 1 + 2?", output="3"),
            ),
            tools='[{"name": "add"}]',
        ),
        Example(instruction="a", output="b", index=1),
    )
    assert dataset.unused_columns == ()


def test_system_can_have_another_name_or_be_left_out(load: Load) -> None:
    row = {"instruction": "a", "output": "b", "system": "A", "system_prompt": "B"}
    assert read(load, row, fields={"system": "system_prompt"}).examples[0].system == "B"
    assert read(load, row, fields={"system": False}).examples[0].system == ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"system": 3}, r"field 'system' is a number, .*; --set data\.fields\.system=false leaves it out; --set"),
        ({"history": "a"}, r"field 'history' is a string, .*; --set data\.fields\.history=false leaves it out"),
        ({"history": [["a", "b", "c"]]}, r"history\[0\] is not a pair of texts"),
        ({"history": [["a", " "]]}, r"history\[0\] has an empty text"),
        ({"tools": 3}, r"field 'tools' is a number, .*; --set data\.fields\.tools=false leaves it out"),
    ],
)
def test_what_stands_beside_an_instruction_and_is_no_text_is_told(
    load: Load, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=f"entry 0: {message}"):
        read(load, {"instruction": "a", "output": "b", **row}, {"instruction": "a", "output": "b"})


def test_a_file_may_have_conversations_among_its_entries(load: Load) -> None:
    rows = [
        {"instruction": "a", "output": "b", "id": 1},
        {"messages": [ASKED, SAID]},
        {"instruction": "c", "output": "d"},
    ]
    dataset = read(load, *rows)
    assert texts(dataset) == [("", "a", "", "b"), ("", "Hi.", "", "Hello!"), ("", "c", "", "d")]
    assert dataset.shape == "instruction/input/output, others as OpenAI messages"
    assert [column.name for column in dataset.unused_columns] == ["id"]
    with pytest.raises(
        DataError, match=r"entry 3: the conversation begins with the assistant .*; 1 of 4 entries is like"
    ):
        read(load, *rows, {"messages": [SAID]})
    with pytest.raises(DataError, match="entry 1: no field 'instruction'"):
        read(load, *rows, shape="instruction")


def test_a_shape_can_be_set(load: Load) -> None:
    row = {"instruction": "a", "output": "b", "messages": [ASKED, SAID], "conversations": SHAREGPT}
    assert read(load, row, shape="messages").shape == "OpenAI messages"
    assert read(load, row, shape="sharegpt").shape == "ShareGPT conversations"
    with pytest.raises(DataError, match=r"no field 'prompt' and no field 'completion'"):
        read(load, row, shape="prompt-completion")


def test_names_of_a_conversation_are_mapped(load: Load) -> None:
    row = {"talk": [{"who": "user", "says": "Hi."}, {"who": "assistant", "says": "Hello!"}]}
    dataset = read(load, row, fields={"messages": "talk", "role": "who", "content": "says"})
    assert texts(dataset) == [("", "Hi.", "", "Hello!")]
    with pytest.raises(DataError, match=r"no field 'messages' with a list of messages .*Available: 'talk'; name it"):
        read(load, row, shape="messages")


def test_a_prompt_and_a_completion_may_be_mapped_further(load: Load) -> None:
    row = {"prompt": "Add.", "completion": "2", "numbers": "1 1"}
    assert texts(read(load, row, fields={"input": "numbers"})) == [("", "Add.", "1 1", "2")]


def test_other_names_are_mapped(load: Load) -> None:
    row = {"question": "Why?", "answer": "So."}
    with pytest.raises(DataError, match=r"--set data\.fields\.instruction=question --set data\.fields\.output=answer"):
        read(load, row)
    assert texts(read(load, row, fields={"instruction": "question", "output": "answer"})) == [("", "Why?", "", "So.")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "Once upon a time."}, r"these entries have only text \('text'\), as for pretraining"),
        ({"text": "Once.", "meta": {"url": "x"}}, r"these entries have only text"),
        ({"prompt": "Hi.", "completion": "No.", "label": False}, r"these are rated answers .*data\.shape=prompt-com"),
        ({"turns": ["Hi.", "And?"], "id": 1}, r"these are questions without answers \('turns' is a list of 2 texts\)"),
    ],
)
def test_data_without_answers_to_learn_are_named_for_what_they_are(
    load: Load, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"^d\.json: {message}"):
        read(load, row)


@pytest.mark.parametrize(
    ("row", "settings", "expected"),
    [
        (
            {"prompt": "Hi.", "chosen": "Hello!", "rejected": "No."},
            "--set data.fields.instruction=prompt --set data.fields.output=chosen",
            {"instruction": "prompt", "output": "chosen"},
        ),
        (
            {"chosen": [ASKED, SAID], "rejected": [ASKED, {**SAID, "content": "No."}]},
            "--set data.fields.messages=chosen",
            {"messages": "chosen"},
        ),
    ],
)
def test_pairs_are_named_with_the_setting_that_reads_the_better_ones(
    load: Load, row: dict[str, Any], settings: str, expected: dict[str, str]
) -> None:
    with pytest.raises(DataError, match=r"pairs of a better and a worse answer") as caught:
        read(load, row)
    assert str(caught.value).endswith(f"read them with {settings}")
    assert texts(read(load, row, fields=expected)) == [("", "Hi.", "", "Hello!")]


def test_images_and_sounds_are_named(load: Load) -> None:
    rows = [{"messages": [ASKED, SAID], "images": ["a.jpg"]}, {"messages": [ASKED, SAID], "images": []}]
    with pytest.raises(DataError, match=r"entry 0: the entry has images \(field 'images'\), and only text .*1 of 2"):
        read(load, *rows)
    assert len(read(load, *rows, invalid="drop").examples) == 1
    part = {"type": "input_audio", "input_audio": {"data": ""}}
    with pytest.raises(
        DataError, match=r"messages\[0\]\.content\[0\] is a part of type 'input_audio', expected 'text'"
    ):
        read(load, {"messages": [{"role": "user", "content": [part]}, SAID]})


def test_a_text_in_a_column_called_image_is_a_column_that_is_not_read(load: Load) -> None:
    dataset = read(load, {"instruction": "a", "output": "b", "image": "a.jpg"})
    assert [column.name for column in dataset.unused_columns] == ["image"]


def test_a_run_that_was_begun_without_a_column_goes_on_without_it(load: Load) -> None:
    row = {"instruction": "a", "output": "b", "system": "Be brief.", "history": [["c", "d"]], "images": ["e.jpg"]}
    Path("d.json").write_text(json.dumps([row]))
    dataset = load_examples(DataConfig(source="d.json"), unread=("system", "history", "images"))
    assert dataset.examples == (Example(instruction="a", output="b", index=0),)
    assert [column.name for column in dataset.unused_columns] == ["system", "history", "images"]


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("SFTFRAME_TEST_DATA") or Path(__file__).parents[2] / "../shared/data"
    path = Path(folder) / "real"
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; SFTFRAME_TEST_DATA names the folder above it")
    return path


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [
        ("alpaca_en_demo.json", "instruction/input/output", (999, 0, 0)),
        ("identity.json", "instruction/input/output", (91, 0, 0)),
        ("instruction-examples.json", "instruction/input/output", (200, 0, 0)),
        ("instruction-examples-modified.json", "instruction/input/output", (200, 0, 0)),
        # 167 + 2 x 166 + 3 x 167 exchanges, of which the last of each is no earlier turn
        ("dummy_conversation.json", "ShareGPT conversations", (500, 500, 0)),
        ("glaive_toolcall_en_demo.json", "ShareGPT conversations with tools", (300, 657, 211)),
        ("v1_sft_demo.jsonl", "OpenAI messages", (500, 0, 0)),
    ],
)
def test_real_files_are_read_whole(real: Path, name: str, shape: str, counts: tuple[int, int, int]) -> None:
    dataset = load_examples(DataConfig(source=str(real / name)))
    examples = dataset.examples
    assert dataset.shape == shape
    assert not dataset.dropped
    exchanges = [exchange for one in examples for exchange in (*one.turns, one)]
    num_results = sum(exchange.speaker == "tool" for exchange in exchanges)
    assert (len(examples), sum(len(one.turns) for one in examples), num_results) == counts
    assert all(exchange.instruction and exchange.output for exchange in exchanges)


def test_a_null_instruction_is_told_and_can_be_dropped(real: Path) -> None:
    source = str(real / "instruction-data-llama3-7b.json")
    with pytest.raises(DataError, match=r"entry 2 \(line 10\): field 'instruction' is null, .*; 1 of 5 entries is"):
        load_examples(DataConfig(source=source))
    dataset = load_examples(DataConfig(source=source, invalid="drop"))
    assert [one.index for one in dataset.examples] == [0, 1, 3, 4]


def test_questions_alone_are_named(real: Path) -> None:
    with pytest.raises(DataError, match="these are questions without answers"):
        load_examples(DataConfig(source=str(real / "mt-bench-question.jsonl")))


def test_a_file_may_mix_openai_messages_and_sharegpt(load: Load) -> None:
    ours = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "system": "s"}
    theirs = {"conversations": [{"from": "human", "value": "c"}, {"from": "gpt", "value": "d", "mood": "e"}]}
    for rows, shape in (
        ([ours, theirs, ours], "OpenAI messages with system, others as ShareGPT conversations"),
        ([theirs, ours], "ShareGPT conversations with system, others as OpenAI messages"),
    ):
        dataset = load("d.jsonl", "\n".join(map(json.dumps, rows)))
        expected = [("a", "b", "s") if row is ours else ("c", "d", "") for row in rows]
        assert [(one.instruction, one.output, one.system) for one in dataset.examples] == expected
        assert dataset.shape == shape
        assert [column.name for column in dataset.unused_columns] == ["conversations[].mood"]


def test_a_file_with_two_kinds_of_conversations_still_names_an_entry_with_neither(load: Load) -> None:
    theirs = {"conversations": [{"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]}
    ours = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    with pytest.raises(DataError, match=r"entry 2: no field 'messages'\. It has: 'note'; 1 of 3 entries is like this"):
        load("d.json", json.dumps([ours, theirs, {"note": "x"}]))
    with pytest.raises(DataError, match=r"entry 1: no field 'conversations'"):
        load("d.json", json.dumps([theirs, ours]), shape="sharegpt")
