import csv
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftframe.data import Dataset
from sftframe.data.columns import FieldNames
from sftframe.data.formats import READERS
from sftframe.data.rows import read_rows
from sftframe.errors import DataError

Load = Callable[..., Dataset]


def texts(dataset: Dataset) -> list[tuple[str, str, str]]:
    return [(example.instruction, example.input, example.output) for example in dataset.examples]


def test_json_is_a_list_of_objects(load: Load) -> None:
    assert texts(load("d.json", '[{"instruction": "a", "output": "b"}]')) == [("a", "", "b")]


@pytest.mark.parametrize("name", ["d.jsonl", "d.ndjson", "D.JSONL"])
def test_json_lines_have_an_object_per_line_and_blank_lines_are_skipped(load: Load, name: str) -> None:
    content = '{"instruction": "a", "output": "b"}\r\n\n  \n{"instruction": "c", "output": "d"}'
    assert texts(load(name, content)) == [("a", "", "b"), ("c", "", "d")]


def test_json_lines_may_hold_line_separators_of_unicode(load: Load) -> None:
    content = '{"instruction": "a\u2028\x85b", "output": "c"}\n'
    assert texts(load("d.jsonl", content)) == [("a\u2028\x85b", "", "c")]


def test_csv_has_a_header_and_may_have_other_columns_in_any_order(load: Load) -> None:
    assert texts(load("d.csv", "output,id,instruction\nb,1,a\n")) == [("a", "", "b")]


def test_csv_fields_in_quotes_may_hold_commas_quotes_line_breaks_and_nul(load: Load) -> None:
    content = 'instruction,input,output\n"a, ""b""\r\nc",\0,d\n\nx,,y\n'
    assert texts(load("d.csv", content)) == [('a, "b"\r\nc', "\0", "d"), ("x", "", "y")]


def test_a_csv_field_may_be_longer_than_the_modules_limit_which_is_left_as_it_was(load: Load) -> None:
    before = csv.field_size_limit()
    long = "x" * 200_000
    assert len(long) > before
    assert texts(load("d.csv", f"instruction,output\na,{long}\n")) == [("a", "", long)]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [("d.json", '[{"instruction": "ä", "output": "b"}]'), ("d.csv", "instruction,output\nä,b\n")],
)
def test_a_byte_order_mark_is_skipped(load: Load, name: str, content: str) -> None:
    assert texts(load(name, b"\xef\xbb\xbf" + content.encode())) == [("ä", "", "b")]


def parquet(**columns: Any) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    made = io.BytesIO()
    pq.write_table(pyarrow.table(columns), made)
    return made.getvalue()


def test_parquet_is_read_by_column(load: Load) -> None:
    content = parquet(vector=[[1.0], [2.0]], output=["b", "d"], instruction=["a", "c"], input=[None, "x"])
    assert texts(load("d.parquet", content)) == [("a", "", "b"), ("c", "x", "d")]


def test_parquet_columns_of_categories_are_text(load: Load) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    content = parquet(instruction=pyarrow.array(["a", "a"]).dictionary_encode(), output=["b", "c"])
    assert texts(load("d.parquet", content)) == [("a", "", "b"), ("a", "", "c")]


def test_parquet_numbers_are_no_text(load: Load) -> None:
    with pytest.raises(
        DataError, match=r"^d\.parquet: entry 0: field 'output' is a number, expected a string; 1 of 1 "
    ):
        load("d.parquet", parquet(instruction=["a"], output=[1]))


def test_a_parquet_column_that_is_missing_is_told_without_the_entries(load: Load) -> None:
    with pytest.raises(
        DataError,
        match=r"^d\.parquet: no field 'instruction' and no field 'output'; did you mean 'question' and 'answer'\?",
    ):
        load("d.parquet", parquet(question=["a"], answer=["b"]))


def test_a_damaged_parquet_file_is_refused(load: Load) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"^d\.parquet: not a readable Parquet file: [^\n]+$"):
        load("d.parquet", b"PAR1 and no more")


def test_a_parquet_table_without_rows_is_refused(load: Load) -> None:
    with pytest.raises(DataError, match=r"^d\.parquet has no entries: expected at least one entry with 'instruction'"):
        load("d.parquet", parquet(instruction=[], output=[]))


def test_parquet_without_pyarrow_says_what_to_install(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        DataError, match=r"^d\.parquet: reading Parquet needs pyarrow: pip install 'sftframe\[parquet\]'$"
    ):
        load("d.parquet", b"PAR1")


EXPECTED = r"expected at least one entry with 'instruction' and 'output'$"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.json", "", rf"^d\.json is empty: {EXPECTED}"),
        ("d.jsonl", " \n\n", rf"^d\.jsonl is empty: {EXPECTED}"),
        ("d.csv", "", rf"^d\.csv is empty: {EXPECTED}"),
        ("d.parquet", "", rf"^d\.parquet is empty: {EXPECTED}"),
        ("d.json", "[]", rf"^d\.json has no entries: {EXPECTED}"),
        ("d.csv", "instruction,output\n", rf"^d\.csv has no entries: {EXPECTED}"),
    ],
)
def test_a_file_without_entries_is_refused(load: Load, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(name, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"instruction": "a",\n "output" "b"}]', r"not valid JSON at line 2, column 11: Expecting ':' delimiter$"),
        ('[{"instruction": "a"}', r"not valid JSON at line 1, column 22: Expecting ',' delimiter$"),
        ('{\n"a": 1}\n{"a": 2}', r"line 3, column 1: Extra data; expected one list: put all objects in \[ \]"),
        (
            '{"data": [1, 2, 3]}',
            r"contains an object, expected a list of objects; a list is under its key 'data' \(3 entr",
        ),
        ('{"instruction": "a", "output": "b"}', r"contains an object, expected a list of objects; put it in \[ \]$"),
        ('"text"', r"contains a string, expected a list of objects$"),
        ("3", r"contains a number, expected a list of objects$"),
        (
            "[" * 100_000,
            r"^d\.json: JSON that cannot be read: it is nested too deeply, expected texts ",
        ),
        ("[" + "9" * 5000 + "]", r"^d\.json: JSON that cannot be read: .*4300 digits"),
    ],
)
def test_wrong_json_is_told_by_line_and_column(load: Load, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("d.json", content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"instruction": "a", "output": "b"}\n\n{"instruction": ',
            r"line 3, column 17: Expecting value; 1 of 2 entries is li",
        ),
        ("[\n", r"line 2, column 1: Expecting value$"),
        ("[1, 2]\n", r"^d\.jsonl: entry 0: expected an object .*, found a number; 2 of 2 entries are like this$"),
        ("{\n", r"line 1, column 2: .*; expected a whole object on every line, or one list of objects in \[ \]$"),
        ("a,b\nc,d\n", r"line 1, column 1: .*; it looks like a table of comma-separated values: name the file \.csv$"),
        ("9" * 5000, r"^d\.jsonl: JSON that cannot be read at line 1: "),
    ],
)
def test_a_bad_line_is_told_by_its_number(load: Load, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("d.jsonl", content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b,c\n",
            r"^d\.csv: line 1: no field 'instruction' and .*Available: 'a', 'b', 'c'; .*; the first line must name ",
        ),
        ("instruction;output\na;b\n", r"line 1: no field 'instruction'.*; columns must be separated by commas$"),
        ("instruction,output,output\na,b,c\n", r"line 1: 2 columns are named 'output', expected one"),
        (
            "instruction,output\na,b\n\nc,d, e\n",
            r"line 4 has 3 fields, expected 2 as in the header: .* in \"quotes\"; 1 of 2 entr",
        ),
        ('instruction,output\n"a\nb",c\nd\n', r"^d\.csv: line 4 has 1 field, expected 2"),
        ('instruction,output\na,"b\n', r"^d\.csv: not a valid table at line 2: a quotation mark opens a field and no "),
        (
            'instruction,output\na,"b\nc,d\n',
            r"^d\.csv: not a valid table at the row that begins at line 2: a quotation",
        ),
        ('instruction,output\n"a"b,c\n', r"^d\.csv: not a valid table at line 2: text follows the quotation mark that"),
        ('instruction,"output\n', r"^d\.csv: not a valid table at line 1: a quotation mark opens a field"),
    ],
)
def test_a_wrong_csv_is_told_by_its_line(load: Load, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("d.csv", content)


def test_a_bad_csv_row_is_named_by_the_line_that_it_starts_on(load: Load) -> None:
    with pytest.raises(DataError, match=r"^d\.csv: entry 1 \(line 4\): field 'instruction' is blank"):
        load("d.csv", 'instruction,output\n"a\nb",c\n"",d\n')


def test_text_that_is_not_utf8_is_told_by_its_offset(load: Load) -> None:
    with pytest.raises(
        DataError, match=r"^d\.csv: not UTF-8 at offset 22 \(line 2\): byte 0xe9; save the file as UTF-8$"
    ):
        load("d.csv", "instruction,output\ncafé,b\n".encode("latin-1"))


PANDAS = {
    "columns": {"instruction": {"0": "a", "1": "c"}, "output": {"0": "b", "1": "d"}},
    "index": {"0": {"instruction": "a", "output": "b"}, "1": {"instruction": "c", "output": "d"}},
    "split": {"columns": ["instruction", "output"], "index": [0, 1], "data": [["a", "b"], ["c", "d"]]},
    "table": {"schema": {"fields": []}, "data": [{"index": 0, "instruction": "a", "output": "b"}]},
}


@pytest.mark.parametrize("orient", PANDAS)
def test_a_table_as_pandas_writes_it_is_told_by_its_orient(load: Load, orient: str) -> None:
    with pytest.raises(DataError) as caught:
        load("d.json", json.dumps(PANDAS[orient]))
    assert f"DataFrame.to_json(orient={orient!r})" in str(caught.value)
    assert str(caught.value).endswith("write it with df.to_json(FILE, orient='records')")


@pytest.mark.parametrize("name", ["d.json", "d.jsonl"])
def test_the_form_of_json_is_known_by_the_content_and_not_by_the_name(load: Load, name: str) -> None:
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"}]
    for content in (json.dumps(rows), json.dumps(rows, indent=1), "\n".join(map(json.dumps, rows)) + "\n"):
        assert texts(load(name, content)) == [("a", "", "b"), ("c", "", "d")]


def test_parquet_is_known_by_its_content(load: Load) -> None:
    assert texts(load("d.csv", parquet(instruction=["a"], output=["b"]))) == [("a", "", "b")]


def test_an_empty_cell_of_pandas_is_no_input_and_no_number(load: Load) -> None:
    assert texts(load("d.json", '[{"instruction": "a", "input": NaN, "output": "b"}]')) == [("a", "", "b")]
    with pytest.raises(
        DataError, match=r"field 'output' is NaN, which is how pandas writes an empty cell, expected a st"
    ):
        load("d.json", '[{"instruction": "a", "output": NaN}]')


def test_json_in_a_csv_is_told(load: Load) -> None:
    with pytest.raises(DataError, match=r"^d\.csv: it looks like JSON, expected a table of .*: name it \.json$"):
        load("d.csv", '[{"instruction": "a",\n"output": "b"}]')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.json", '[{"instruction": "ä😀", "output": "b"}]'),
        ("d.jsonl", '\ufeff{"instruction": "ä😀", "output": "b"}\r\n'),
        ("d.csv", "instruction,output\r\nä😀,b\r\n"),
    ],
)
def test_utf16_is_read_with_and_without_its_mark(load: Load, name: str, content: str, encoding: str) -> None:
    assert texts(load(name, content.encode(encoding))) == [("ä😀", "", "b")]


def test_utf16_that_is_cut_is_told(load: Load) -> None:
    with pytest.raises(DataError, match=r"^d\.json: not UTF-16 at offset \d+: save the file as UTF-8$"):
        load("d.json", '[{"instruction": "a", "output": "b"}]'.encode("utf-16")[:-1])


def test_tsv_has_tabs_between_its_values(load: Load) -> None:
    assert texts(load("d.tsv", 'output\tinstruction\r\nb\t"a, ""c"""\r\n')) == [('a, "c"', "", "b")]
    with pytest.raises(DataError, match=r"columns are separated by tabs: name the file \.tsv$"):
        load("d.csv", "instruction\toutput\na\tb\n")
    with pytest.raises(DataError, match=r"columns must be separated by tabs$"):
        load("d.tsv", "instruction,output\na,b\n")


def test_an_object_that_holds_one_list_is_read(load: Load) -> None:
    rows = [{"instruction": "a", "output": "b"}]
    assert texts(load("d.json", json.dumps({"version": "1.0", "tags": [], "data": rows}))) == [("a", "", "b")]
    with pytest.raises(DataError, match=r"a list is under its key 'train' \(1 entries\), 'test' \(1 entries\): save"):
        load("d.json", json.dumps({"train": rows, "test": rows}))
    with pytest.raises(DataError, match=r"contains an object, expected a list of objects; a list is under its key"):
        load("d.json", json.dumps({"messages": [{"role": "user", "content": "a"}]}))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(st.tuples(TEXT.map(lambda text: f"a{text}"), TEXT, TEXT), min_size=1, max_size=5)
COLUMNS = ("instruction", "input", "output")


def as_json(rows: list[tuple[str, str, str]]) -> bytes:
    return json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows]).encode()


def as_json_lines(rows: list[tuple[str, str, str]]) -> bytes:
    objects = (dict(zip(COLUMNS, row, strict=True)) for row in rows)
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in objects).encode()


def as_csv(rows: list[tuple[str, str, str]]) -> bytes:
    made = io.StringIO(newline="")
    csv.writer(made).writerows([COLUMNS, *rows])
    return made.getvalue().encode()


def as_parquet(rows: list[tuple[str, str, str]]) -> bytes:
    return parquet(**dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))


@pytest.mark.parametrize(
    ("suffix", "write"),
    [(".json", as_json), (".jsonl", as_json_lines), (".csv", as_csv), (".parquet", as_parquet)],
)
@given(rows=ROWS)
@settings(max_examples=25, deadline=None)
def test_any_text_comes_back_as_it_was_written(
    suffix: str, write: Callable[[list[tuple[str, str, str]]], bytes], rows: list[tuple[str, str, str]]
) -> None:
    names = FieldNames.of({})
    examples = read_rows(READERS[suffix](write(rows), "d", names), "d", names).examples
    assert [(example.instruction, example.input, example.output) for example in examples] == rows
