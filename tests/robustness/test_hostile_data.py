"""Data files that are cut, forged or absurd give their rows, or one line that says what is wrong and where."""

from __future__ import annotations

import io
import json
import re
import struct
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sftframe import DataError
from sftframe.data.columns import FieldNames
from sftframe.data.formats import READERS
from sftframe.data.rows import read_rows

FEW = settings(max_examples=60, deadline=None, derandomize=True, database=None)

NAMES = FieldNames.of({})
ROWS = [{"instruction": "Say é.", "input": "x", "output": "é\n"}, {"instruction": "Say b.", "input": "", "output": ""}]
DEEP = "[" * 100_000
DIGITS = "9" * 5000
"""More than Python makes an integer of."""


def parquet_bytes(**columns: Any) -> bytes:
    """A table as a file."""
    target = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), target)
    return target.getvalue()


FILES = {
    ".json": b"\xef\xbb\xbf" + json.dumps(ROWS, ensure_ascii=False).encode(),
    ".jsonl": b"\r\n".join(json.dumps(row).encode() for row in ROWS),
    ".csv": 'instruction,input,output\r\nSay é.,x,"é\n"\r\nSay b.,,\r\n'.encode(),
    ".parquet": parquet_bytes(**{name: [row[name] for row in ROWS] for name in ROWS[0]}),
}


def load(suffix: str, content: bytes) -> list[dict[str, str]]:
    """What the loader makes of a file's bytes; its message has to be one line that names the file."""
    try:
        found = read_rows(READERS[suffix](content, "the file", NAMES), "the file", NAMES).examples
    except DataError as error:
        if not str(error).startswith("the file") or "\n" in str(error):
            raise AssertionError(f"no line that names the file: {error}") from error
        raise
    return [{"instruction": one.instruction, "input": one.input, "output": one.output} for one in found]


@pytest.mark.parametrize("suffix", FILES)
def test_the_files_that_are_damaged_here_are_sound(suffix: str) -> None:
    assert load(suffix, FILES[suffix]) == ROWS


@pytest.mark.parametrize("suffix", FILES)
def test_a_file_cut_at_any_byte_gives_its_first_rows_or_an_error(suffix: str) -> None:
    for length in range(len(FILES[suffix])):
        try:
            found = load(suffix, FILES[suffix][:length])
        except DataError:
            continue
        # CSV and JSON Lines may be cut between rows, and CSV within the last field
        assert suffix in (".csv", ".jsonl")
        assert len(found) < 2 or suffix == ".csv" or found == ROWS
        assert all(row["instruction"] in ("Say é.", "Say b.") for row in found)


@pytest.mark.parametrize("suffix", FILES)
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3)), min_size=1, max_size=4)
)
@FEW
def test_a_file_with_changed_bytes_gives_rows_or_an_error(suffix: str, changes: list[tuple[float, bytes]]) -> None:
    content = bytearray(FILES[suffix])
    for where, new in changes:
        start = int(where * len(content))
        content[start : start + len(new)] = new
    try:
        found = load(suffix, bytes(content))
    except DataError:
        return
    assert all(isinstance(text, str) for row in found for text in row.values())


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        (".json", DEEP, "cannot be read"),
        (".jsonl", '{"a":' * 100_000, "cannot be read at line 1"),
        (".json", f'[{{"instruction": "a", "output": "b", "n": {DIGITS}}}]', "cannot be read"),
        (".json", '[{"instruction": NaN, "output": "b"}]', "entry 0: field 'instruction' is NaN"),
        (".json", '[{"instruction": "a", "output": "b"},]', "line 1, column 3"),
        (".json", '[{"instruction": "a\x00", "output": "b"}]', "line 1, column 20"),
        (".json", json.dumps([{f"k{i}": 1 for i in range(50_000)}]), "… (50000 in all)"),
        (".json", json.dumps([{"k" * 100_000: 1}]), "no field 'instruction'"),
        (".json", json.dumps({f"k{i}": [] for i in range(10_000)}), "expected a list of objects"),
        (".json", '[{"\\u001b]0;x\\u0007": "a"}]', r"'\x1b]0;x\x07'"),
        (".csv", "instruction\na\n", "no field 'output'"),
        (".csv", "instruction,output\na\n", "line 2 has 1 field, expected 2"),
        (".csv", 'instruction,output\n"a,b\n', "not a valid table at line 2"),
        (".csv", "instruction,instruction,output\na,b,c\n", "2 columns are named 'instruction'"),
        (".csv", ",".join(f"c{i}" for i in range(50_000)) + "\n", "… (50000 in all)"),
        (".csv", "x" * 10**6 + "\n", "no field 'instruction'"),
    ],
)
def test_what_is_wrong_is_said_in_few_words(suffix: str, content: str, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        load(suffix, content.encode())
    assert len(str(caught.value)) < 1000


def test_of_a_key_that_is_there_twice_the_last_value_counts() -> None:
    content = b'[{"instruction": "a", "instruction": "z", "output": "b"}]'
    assert load(".json", content) == [{"instruction": "z", "input": "", "output": "b"}]


def test_a_nul_in_csv_is_a_character() -> None:
    assert load(".csv", b"instruction,output\na\x00,b\n")[0]["instruction"] == "a\x00"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([b"\xff"], "a value of type bytes"),
        ([["a"]], "a list"),
        ([{"a": "b"}], "an object"),
        ([None], "null"),
        ([1.5], "a number"),
    ],
)
def test_a_parquet_column_that_is_no_text_is_named(column: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=f"entry 0: field 'instruction' is {words}, expected a string"):
        load(".parquet", parquet_bytes(instruction=column, output=["b"]))


def test_parquet_text_that_is_not_utf8_is_refused() -> None:
    broken = pyarrow.StringArray.from_buffers(
        1, pyarrow.py_buffer(struct.pack("<2i", 0, 2)), pyarrow.py_buffer(b"\xff.")
    )
    with pytest.raises(DataError, match=r"not a readable Parquet file: .*utf-8"):
        load(".parquet", parquet_bytes(instruction=broken, output=["b"]))


def test_a_small_parquet_file_does_not_grow_without_end() -> None:
    """50 MB of text in a few kilobytes: a dictionary of one word and runs of its number."""
    again = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 100_000, pyarrow.int32()), ["a" * 500])
    content = parquet_bytes(instruction=again.cast(pyarrow.string()), output=again.cast(pyarrow.string()))
    assert len(content) < 50_000
    with pytest.raises(DataError, match=r"bytes of Parquet contain more than .* remove the repeated rows"):
        load(".parquet", content)
