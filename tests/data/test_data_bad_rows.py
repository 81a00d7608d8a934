"""Rows that cannot be used: counted in the error, or left out, counted and listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, load_answered
from sftframe.data.rows import DroppedRow
from sftframe.errors import DataError

Load = Callable[..., Dataset]
GOOD = {"instruction": "Add.", "input": "1 1", "output": "2"}
BAD = [GOOD, {**GOOD, "output": None}, {**GOOD, "instruction": " "}, GOOD, {**GOOD, "output": None}, 7]


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def test_the_first_error_says_how_many_are_like_it_and_how_many_are_not(load: Load) -> None:
    with pytest.raises(DataError) as caught:
        load("d.jsonl", lines(*BAD))
    assert str(caught.value) == (
        "d.jsonl: entry 1 (line 2): field 'output' is null, expected a string; 2 of 6 entries are like this, 2 more "
        "have other faults; --set data.invalid=drop leaves all 4 out"
    )


def test_dropped_rows_are_counted_and_the_others_keep_their_place(load: Load) -> None:
    dataset = load("d.jsonl", lines(*BAD), invalid="drop")
    assert [example.index for example in dataset.examples] == [0, 3]
    assert dataset.num_rows == 6
    null, message = "field 'output' is null, expected a string", "expected an object with 'instruction' and 'output'"
    assert dataset.dropped == (
        DroppedRow(file="d.jsonl", entry=1, line=2, reason=null, message=null),
        DroppedRow(
            file="d.jsonl",
            entry=2,
            line=3,
            reason="field 'instruction' is blank",
            message="field 'instruction' is blank, expected an instruction: remove the entry or fill it in",
        ),
        DroppedRow(file="d.jsonl", entry=4, line=5, reason=null, message=null),
        DroppedRow(file="d.jsonl", entry=5, line=6, reason="a number, no object", message=f"{message}, found a number"),
    )


def test_lines_that_are_no_json_are_rows_too(load: Load) -> None:
    content = lines(GOOD, '{"instruction": "cut', GOOD)
    with pytest.raises(DataError, match=r"^d\.jsonl: not valid JSON at line 2, column 17: .*; 1 of 3 entries is like "):
        load("d.jsonl", content)
    dataset = load("d.jsonl", content, invalid="drop")
    assert [example.index for example in dataset.examples] == [0, 2]
    assert (dataset.dropped[0].line, dataset.dropped[0].reason) == (2, "a line that is not valid JSON")


def test_csv_rows_of_another_length_are_rows_too(load: Load) -> None:
    content = "instruction,output\na,b\nc,d,e\nf,g\n"
    with pytest.raises(DataError, match=r"^d\.csv: line 3 has 3 fields, expected 2 .*; 1 of 3 entries is like this"):
        load("d.csv", content)
    dataset = load("d.csv", content, invalid="drop")
    assert [example.instruction for example in dataset.examples] == ["a", "f"]
    assert [(row.entry, row.line) for row in dataset.dropped] == [(1, 3)]


def test_a_file_of_another_kind_is_not_dropped_row_by_row(load: Load) -> None:
    with pytest.raises(DataError, match=r"it looks like a table of comma-separated values: name the file \.csv$"):
        load("d.jsonl", "a,b\nc,d\n", invalid="drop")


def test_if_nothing_is_left_there_is_an_error(load: Load) -> None:
    with pytest.raises(DataError, match=r"; 2 of 2 entries are like this; no entry is left with data\.invalid=drop$"):
        load("d.json", json.dumps([{**GOOD, "output": None}] * 2), invalid="drop")


def test_dropping_is_not_offered_if_nothing_would_be_left(load: Load) -> None:
    with pytest.raises(DataError, match=r"; 2 of 2 entries are like this$"):
        load("d.json", json.dumps([{**GOOD, "output": None}] * 2))


def test_a_limit_counts_rows_before_they_are_dropped(load: Load) -> None:
    dataset = load("d.jsonl", lines(*BAD), invalid="drop", limit=3)
    assert (len(dataset.examples), dataset.num_rows, len(dataset.dropped)) == (1, 3, 2)


def test_answers_stay_with_their_questions(tmp_path: Path) -> None:
    rows = [{**GOOD, "model_response": str(n)} for n in range(4)]
    rows[1]["output"] = None  # type: ignore[assignment]
    del rows[2]["model_response"]
    path = tmp_path / "d.json"
    path.write_text(json.dumps(rows))
    found = load_answered(DataConfig(source=str(path), invalid="drop"))
    assert [(one.index, answer) for one, answer in zip(found.dataset.examples, found.answers, strict=True)] == [
        (0, "0"),
        (3, "3"),
    ]


@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_line_that_is_not_utf_8_is_a_row_too(load: Load, name: str, place: int) -> None:
    rows = [json.dumps(GOOD).encode()] * 3
    rows[place] = b'{"instruction": "Say caf\xe8.", "output": "x"}'
    with pytest.raises(DataError) as caught:
        load(name, b"\n".join(rows))
    assert str(caught.value) == (
        f"{name}: not UTF-8 at line {place + 1}: byte 0xe8; save the file as UTF-8; 1 of 3 entries is like this; "
        "--set data.invalid=drop leaves it out"
    )
    dataset = load(name, b"\n".join(rows), invalid="drop")
    assert [(row.line, row.reason) for row in dataset.dropped] == [(place + 1, "a line that is not UTF-8")]
    assert [example.index for example in dataset.examples] == [one for one in range(3) if one != place]


def test_json_lines_may_begin_with_a_line_that_is_cut(load: Load) -> None:
    content = b'{"instruction": "cut\n{"instruction": "\xfc", "output": "x"}\n' + json.dumps(GOOD).encode()
    dataset = load("d.jsonl", content, invalid="drop")
    assert [row.reason for row in dataset.dropped] == ["a line that is not valid JSON", "a line that is not UTF-8"]


def test_a_list_that_is_not_utf_8_is_no_lines(load: Load) -> None:
    content = b'[{"instruction": "a", "output": "b"},\n{"instruction": "\xe8", "output": "b"}]'
    for name in ("d.json", "d.jsonl"):
        with pytest.raises(DataError, match=rf"^{name}: not UTF-8 at offset 55 \(line 2\): byte 0xe8; save the file "):
            load(name, content, invalid="drop")


_DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
@pytest.mark.parametrize("first", [_DEEP, f'{{"instruction": "a", "output": {_DEEP}}}'])
def test_a_first_line_that_is_nested_too_deeply_is_a_row_too(load: Load, name: str, first: str) -> None:
    content = lines(first, GOOD, GOOD)
    with pytest.raises(DataError) as caught:
        load(name, content)
    assert str(caught.value) == (
        f"{name}: JSON that cannot be read at line 1: it is nested too deeply, expected texts and lists of messages: "
        "shorten or remove the entry; 1 of 3 entries is like this; --set data.invalid=drop leaves it out"
    )
    dataset = load(name, content, invalid="drop")
    assert [(row.line, row.reason) for row in dataset.dropped] == [(1, "a line that is not valid JSON")]
    assert [example.index for example in dataset.examples] == [1, 2]
