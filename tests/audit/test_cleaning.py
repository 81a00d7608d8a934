"""A cleaned file: what is kept, what goes and why."""

import json
from dataclasses import replace

import pytest

from sftframe.audit import audit, check_target, clean, kinds_to_drop, settings_for, write_clean
from sftframe.audit.cleaning import entry
from sftframe.config import DataConfig
from sftframe.data import Dataset, load_examples
from sftframe.errors import ConfigError
from sftframe.records import Example, Turn

ROWS = [
    Example(instruction="Name a fruit.", output="A pear.", index=0),
    Example(instruction="Name a fruit.", output="A pear.", index=1),
    Example(instruction="Name a tree.", output="", index=2),
    Example(instruction="Name a tool.", output="I am sorry, I cannot do it.", index=3, group="tools"),
    Example(instruction="Name a fruit.", output="A plum.", index=4),
]
PARTS = {"train": [0, 1, 2, 3], "test": [4]}


def cleaned(drop=(), keep=()):
    found = audit(Dataset(source="x", sha256="", examples=tuple(ROWS)), parts=PARTS)
    return clean(ROWS, found, kinds_to_drop(drop, keep))


def indices(examples) -> list[int]:
    return [example.index for example in examples]


def test_copies_and_empty_answers_go_without_being_asked():
    result = cleaned()
    assert indices(result.kept) == [0, 3, 4]
    assert [(example.index, reasons) for example, reasons in result.dropped] == [
        (1, ("duplicate",)),
        (2, ("empty-output",)),
    ]
    assert result.reasons() == {"empty-output": 1, "duplicate": 1}


def test_other_kinds_go_or_stay_on_request():
    assert indices(cleaned(drop=["refusal"], keep=["empty-output"]).kept) == [0, 2, 4]


def test_a_leak_takes_the_copies_out_of_the_training_part():
    result = cleaned(drop=["leak"])
    assert indices(result.kept) == [3, 4]
    assert settings_for(result) == ("data.part=part", "data.group=group")
    assert {example.index: reasons for example, reasons in result.dropped}[1] == ("duplicate", "leak")
    assert sum(result.reasons().values()) == len(result.dropped) == 3


def test_a_kind_cannot_be_dropped_and_kept():
    with pytest.raises(ConfigError, match="'duplicate' is both"):
        kinds_to_drop(["duplicate"], ["duplicate"])


def test_both_files_are_written_and_nothing_is_replaced(tmp_path):
    path = tmp_path / "clean.jsonl"
    check_target(path)
    write_clean(path, cleaned())
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[1] == {
        "instruction": "Name a tool.",
        "input": "",
        "output": "I am sorry, I cannot do it.",
        "group": "tools",
        "part": "train",
    }
    assert lines[-1]["part"] == "test"
    left_out = (tmp_path / "clean.dropped.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(left_out[0])["reasons"] == ["duplicate"]
    assert json.loads(left_out[1])["index"] == 2
    with pytest.raises(ConfigError, match="exists already"):
        check_target(path)


@pytest.mark.parametrize("name", ["clean.json", "clean", "clean.csv"])
def test_another_ending_is_refused_before_any_work(tmp_path, name):
    with pytest.raises(ConfigError, match=r"ends in \.jsonl"):
        check_target(tmp_path / name)


def test_a_conversation_with_a_weight_is_written_as_messages():
    example = Example(
        instruction="And 3?",
        output="No.",
        weight=0.5,
        system="Be brief.",
        turns=(Turn(instruction="Is 2 prime?", input="Think.", output="Yes."),),
        index=0,
    )
    assert entry(example) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Is 2 prime?\n\nThink."},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "And 3?"},
            {"role": "assistant", "content": "No.", "weight": 0.5},
        ]
    }


def test_a_plain_conversation_keeps_its_accepted_answers():
    example = Example(
        instruction="And 3?",
        output="It is.",
        references=("Yes.",),
        system="Be brief.",
        turns=(Turn(instruction="Is 2 prime?", output="Yes."),),
        index=0,
    )
    assert entry(example) == {
        "instruction": "And 3?",
        "input": "",
        "output": ["It is.", "Yes."],
        "system": "Be brief.",
        "history": [["Is 2 prime?", "Yes."]],
    }


def test_a_copy_in_the_test_part_stays_and_leaves_the_training_part_when_leaks_do():
    rows = [replace(ROWS[0], index=index) for index in range(4)]
    found = audit(
        Dataset(source="x", sha256="", examples=tuple(rows)), parts={"train": [0, 1], "test": [2], "validation": [3]}
    )
    assert indices(clean(rows, found, kinds_to_drop([], [])).kept) == [0, 2, 3]
    assert indices(clean(rows, found, kinds_to_drop(["leak"], [])).kept) == [2, 3]


def test_accepted_answers_stay_a_list():
    assert entry(Example(instruction="7?", output="seven", references=("VII",), index=0))["output"] == ["seven", "VII"]


CONVERSATIONS = [
    {"instruction": "Two?", "output": ["2", "two"], "system": "Be brief.", "history": [["One?", "1"], ["And?", "3"]]},
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "weight": 0.25}]},
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": "Two?"},
            {"role": "assistant", "content": "2"},
        ]
    },
    {
        "conversations": [
            {"from": "human", "value": "Rain?"},
            {"from": "function_call", "value": '{"name": "rain", "arguments": {}}'},
            {"from": "observation", "value": "[]"},
            {"from": "gpt", "value": "None."},
        ],
        "tools": '[{"name": "rain"}]',
    },
]


@pytest.mark.parametrize("row", CONVERSATIONS)
def test_a_conversation_that_was_written_is_read_as_it_was(tmp_path, row):
    def read(name: str, rows: list[object]) -> tuple[Example, ...]:
        path = tmp_path / name
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return load_examples(DataConfig(source=str(path))).examples

    examples = read("rows.jsonl", [row])
    assert read("again.jsonl", [entry(example) for example in examples]) == examples
