"""File formats: from a file's bytes to its entries.

The columns of a table are checked here, because only here they are known; the entries are checked in `rows`.
"""

from __future__ import annotations

import bisect
import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sftframe.data.cells import is_absent, kind
from sftframe.data.columns import (
    FieldNames,
    NoSuchGroupError,
    UnusedColumn,
    may_be_input,
    missing_fields,
    missing_group,
    missing_part,
)
from sftframe.data.parts import PartName
from sftframe.data.shapes import (
    COMPLETION,
    MOST_LOOKED_AT,
    PROMPT,
    SPEAKERS,
    USUAL_MESSAGES,
    missing_messages,
    recognised,
)
from sftframe.errors import DataError, brief
from sftframe.files import content_kind, wide_encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A line or row that is no entry, in the place of one."""

    message: str
    """With its line."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """One of several files of which the entries were joined."""

    label: str
    """Its name in messages."""
    start: int
    """Index of its first entry."""
    part: PartName | None = None
    """The part of the split that the file is, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The entries of a file, in its order, not checked yet."""

    values: Sequence[object]
    lines: Sequence[int | None] | None = None
    """The line on which each entry starts, if the format has lines."""
    unread: Sequence[UnusedColumn] = ()
    """Columns that are not read into the entries."""
    files: Sequence[FilePart] = ()
    """The files if there are several, in the order of their entries."""

    def line(self, index: int) -> int | None:
        """The line on which an entry starts."""
        return None if self.lines is None else self.lines[index]

    def file_of(self, index: int) -> FilePart | None:
        """The file of an entry, if there are several."""
        if not self.files:
            return None
        return self.files[bisect.bisect_right(self.files, index, key=lambda file: file.start) - 1]

    def where(self, index: int) -> str:
        """The entry's name in a message."""
        file, line = self.file_of(index), self.line(index)
        words = "" if line is None else f" (line {line})"
        return f"entry {index}{words}" if file is None else f"{file.label}: entry {index - file.start}{words}"


Reader = Callable[[bytes, str, FieldNames], Entries]


def read_json(data: bytes, label: str, names: FieldNames) -> Entries:
    """One list of objects; or one object per line, also in a file with this ending."""
    text = _text_of_lines(data, label)
    if _is_object_per_line(text):
        return _json_lines(text, label)
    return _json_list(text, label)


def read_json_lines(data: bytes, label: str, names: FieldNames) -> Entries:
    """One object per line, blank lines skipped; or one list of objects, also in a file with this ending."""
    text = _text_of_lines(data, label, is_named_so=True)
    if text.lstrip().startswith("[") and not _is_object_per_line(text):
        return _json_list(text, label)
    return _json_lines(text, label)


def _text_of_lines(data: bytes, label: str, *, is_named_so: bool = False) -> str:
    """The text of a file; in an object per line, each byte that is not UTF-8 is half a surrogate pair.

    Raises:
        DataError: as `decode`, if it is not an object per line.
    """
    try:
        return decode(data, label)
    except DataError:
        if content_kind(data) is not None:
            raise
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        if _is_object_per_line(text) or (is_named_so and text.lstrip().startswith("{")):
            return text
        raise


_NOT_UTF_8 = re.compile("[\udc80-\udcff]")


def _is_object_per_line(text: str) -> bool:
    """Whether the first line is an object and more lines follow; a list or a single object is one value.

    Lists on each line count too: the messages about them name their lines.

    A first line that is too much for the reader counts as an object if it is whole and an object follows.
    """
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith(("{", "[")) or not rest or rest.isspace():
        return False
    try:
        return isinstance(json.loads(first), dict) or rest.lstrip().startswith("[")
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):
        return first.rstrip().endswith(("}", "]")) and rest.lstrip().startswith("{")


def _json_lines(text: str, label: str) -> Entries:
    values: list[object] = []
    lines: list[int] = []
    first_error: DataError | None = None
    # not splitlines(): U+2028 and its like may stand inside a JSON string
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            try:
                values.append(_parse_line(line, label, number))
            except DataError as error:
                first_error = first_error or error
                what = "UTF-8" if _NOT_UTF_8.search(line) else "valid JSON"
                values.append(
                    Unreadable(message=str(error).removeprefix(f"{label}: "), reason=f"a line that is not {what}")
                )
            lines.append(number)
    if first_error is not None and all(isinstance(value, Unreadable) for value in values):
        raise first_error  # a file of another kind
    return Entries(values=values, lines=lines)


def _parse_line(text: str, label: str, line: int) -> Any:
    wrong = None if text.isascii() else _NOT_UTF_8.search(text)
    if wrong is not None:
        byte = ord(wrong[0]) - 0xDC00
        raise DataError(f"{label}: not UTF-8 at line {line}: byte 0x{byte:02x}; save the file as UTF-8")
    return _parse_json(text, label, line=line)


def _json_list(text: str, label: str) -> Entries:
    entries = _list_at(text, 0)
    if entries is not None:
        return entries
    value = _parse_json(text, label)  # says what is wrong with a list
    if isinstance(value, list):
        return Entries(values=value)
    key = _only_list(value)
    if key is not None:
        place = re.search(rf"{re.escape(json.dumps(key))}\s*:", text)
        entries = _list_at(text, place.end()) if place is not None else None
        return entries if entries is not None and entries.values == value[key] else Entries(values=value[key])
    hint = _object_hint(value) if isinstance(value, dict) else ""
    raise DataError(f"{label}: the file contains {kind(value)}, expected a list of objects{hint}")


_BLANKS = re.compile(r"[ \t\n\r]*")


def _list_at(text: str, place: int) -> Entries | None:
    """The list that begins at a place in JSON, with the line of each entry unless all are on one.

    None if there is no list or an empty one, or if something is wrong with it.
    """

    def after_blanks(place: int) -> int:
        found = _BLANKS.match(text, place)
        assert found is not None
        return found.end()

    values: list[object] = []
    lines: list[int | None] = []
    start, line, counted_to = after_blanks(place), 1, 0
    if text[start : start + 1] != "[":
        return None
    decoder, place = json.JSONDecoder(), after_blanks(start + 1)
    try:
        while True:
            line, counted_to = line + text.count("\n", counted_to, place), place
            value, place = decoder.raw_decode(text, place)
            values.append(value)
            lines.append(line)
            place = after_blanks(place)
            if text[place] == "]":
                break
            if text[place] != ",":
                return None
            place = after_blanks(place + 1)
    except (ValueError, RecursionError, IndexError):
        return None
    is_whole_file = start == after_blanks(0)
    if is_whole_file and after_blanks(place + 1) < len(text):
        return None
    return Entries(values=values, lines=lines if lines[0] != lines[-1] else None)


def _only_list(value: object) -> str | None:
    """The key of the entries, of a file that is one object with one list of objects: `{"version": 1, "data": [...]}`.

    A table of pandas and a single conversation are none.
    """
    if not isinstance(value, dict) or _pandas_orient(value) is not None:
        return None
    lists = [key for key, one in value.items() if isinstance(one, list) and one]
    if len(lists) != 1 or not all(isinstance(row, dict) for row in value[lists[0]]):
        return None
    is_conversation = all({"role", "from", "value", "content"} & row.keys() for row in value[lists[0]])
    return None if is_conversation else lists[0]


def _object_hint(value: dict[str, Any]) -> str:
    """What to do with a file that is one object; tables from pandas are recognised by their form."""
    orient = _pandas_orient(value)
    if orient is not None:
        return (
            f"; it is a table from DataFrame.to_json(orient={orient!r}): "
            "write it with df.to_json(FILE, orient='records')"
        )
    lists = [f"{brief(k)} ({len(v)} entries)" for k, v in value.items() if isinstance(v, list)]
    return f"; a list is under its key {', '.join(lists[:5])}: save only that list" if lists else "; put it in [ ]"


def _pandas_orient(value: dict[str, Any]) -> str | None:
    """The `orient` of the `DataFrame.to_json` call that wrote an object."""
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return "tight" if "column_names" in value else "split"
    if isinstance(value.get("schema"), dict) and isinstance(value.get("data"), list):
        return "table"
    parts = list(value.values())
    if not parts or not all(isinstance(part, dict) and part for part in parts):
        return None
    keys = [set(part) for part in parts]
    if any(keys[0] != other for other in keys[1:]):
        return None
    # rows have numbers: with `columns` they are the inner keys, with `index` the outer ones
    return "columns" if all(key.lstrip("-").isdecimal() for key in keys[0]) else "index"


def read_csv(data: bytes, label: str, names: FieldNames) -> Entries:
    """Comma-separated values, the first row naming the columns; blank lines are skipped."""
    return _read_table(data, label, names, ",")


def read_tsv(data: bytes, label: str, names: FieldNames) -> Entries:
    """As `read_csv`, with tabs between the values."""
    return _read_table(data, label, names, "\t")


def _read_table(data: bytes, label: str, names: FieldNames, delimiter: str) -> Entries:
    rows = csv.reader(io.StringIO(decode(data, label), newline=""), strict=True, delimiter=delimiter)
    values: list[object] = []
    lines: list[int] = []
    line = 1
    with _long_fields():
        try:
            header = next(rows, [])
        except csv.Error as error:
            raise _csv_fault(error, label, line, rows.line_num) from None
        if header and re.match(r'\s*(\[\s*)?\{\s*"?$|\s*\[?\s*\{\s*"', header[0]):
            raise DataError(f"{label}: it looks like JSON, expected a table of comma-separated values: name it .json")
        line = rows.line_num + 1
        try:
            for row in rows:
                if row:
                    values.append(_row(row, header, line))
                    lines.append(line)
                line = rows.line_num + 1
        except csv.Error as error:
            raise _csv_fault(error, label, line, rows.line_num) from None
        finally:  # what is wrong with the header is told before what is wrong with a row
            hint = _header_hint(header, delimiter)
            check_columns(header, f"{label}: line 1", names, hint=hint, entries=values)
    return Entries(values=values, lines=lines)


def _row(row: Sequence[str], header: Sequence[str], line: int) -> object:
    if len(row) == len(header):
        return dict(zip(header, row, strict=True))
    return Unreadable(
        message=f"line {line} has {len(row)} field{'s' * (len(row) != 1)}, expected {len(header)} as in the header: "
        'put a field with a comma or a line break in "quotes"',
        reason=f"another number of fields than in the header ({len(header)})",
    )


def read_parquet(data: bytes, label: str, names: FieldNames) -> Entries:
    """A Parquet table; only the columns that may be needed are read."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(f"{label}: reading Parquet needs pyarrow: pip install 'sftframe[parquet]'") from error
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(data))
        columns = list(file.schema_arrow.names)
        types = {field.name: field.type for field in file.schema_arrow}
        looked_at = _parquet_rows(file, without_bytes(types), label, num_bytes=len(data), at_once=MOST_LOOKED_AT)
        names = check_columns(columns, label, names, entries=list(islice(looked_at, MOST_LOOKED_AT)))
        values, read = rows_of_table(
            types, names, lambda wanted: list(_parquet_rows(file, wanted, label, num_bytes=len(data)))
        )
        unread = [_parquet_column(file, name) for name in columns if name not in read]
        return Entries(
            values=values,
            unread=[column for column in unread if column.num_filled],
        )
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
        what = content_kind(data)
        if what is not None:
            raise DataError(f"{label} is {what}") from error
        raise DataError(f"{label}: not a readable Parquet file: {' '.join(str(error).split())}") from error


READERS: dict[str, Reader] = {
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}
"""Readers by the file name's ending, in lower case."""


MOST_EXPANDED = 1000
"""Largest ratio of a Parquet file's text to its bytes: real text has 3 to 30; above it a small file fills the
memory."""


def _parquet_rows(
    file: Any, columns: Sequence[str], label: str, *, num_bytes: int, at_once: int = 4096
) -> Iterator[object]:
    num_left = MOST_EXPANDED * num_bytes
    for batch in file.iter_batches(batch_size=at_once, columns=list(columns)):
        num_left -= batch.nbytes
        if num_left < 0:
            raise DataError(
                f"{label}: {num_bytes} bytes of Parquet contain more than {MOST_EXPANDED * num_bytes} bytes of text, "
                "which only much repetition can do: remove the repeated rows"
            )
        yield from batch.to_pylist()


def _parquet_column(file: Any, name: str) -> UnusedColumn:
    """A column, from the file's own statistics."""
    metadata, num_null = file.metadata, 0
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            column = metadata.row_group(group).column(position)
            if column.path_in_schema == name and column.statistics is not None and column.statistics.has_null_count:
                num_null += column.statistics.null_count
    return UnusedColumn(
        name=name, num_filled=metadata.num_rows - num_null, has_text=has_text(file.schema_arrow.field(name).type)
    )


def decode(data: bytes, label: str) -> str:
    """The file's text, without a byte order mark. UTF-16 is recognised by its mark or its zero bytes.

    Raises:
        DataError: it is no text, or neither UTF-8 nor UTF-16.
    """
    what = content_kind(data)
    wide = wide_encoding(data) if what is not None and what.startswith("UTF-16") else None
    if wide is not None:
        try:
            return data.decode(wide).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise DataError(f"{label}: not {wide.upper()} at offset {error.start}: save the file as UTF-8") from None
    if what is not None:
        raise DataError(f"{label} is {what}")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{label}: not UTF-8 at offset {error.start} (line {line}): byte 0x{data[error.start]:02x}; save the file "
            "as UTF-8"
        ) from None


def _parse_json(text: str, label: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise DataError(f"{label}: not valid JSON at {where}: {error.msg}{_json_hint(text, line, error)}") from None
    except RecursionError:
        where = "" if line is None else f" at line {line}"
        raise DataError(
            f"{label}: JSON that cannot be read{where}: it is nested too deeply, expected texts and lists of messages: "
            "shorten or remove the entry"
        ) from None
    except ValueError as error:
        where = "" if line is None else f" at line {line}"
        raise DataError(f"{label}: JSON that cannot be read{where}: {error}") from None


def _json_hint(text: str, line: int | None, error: json.JSONDecodeError) -> str:
    if line is None and error.msg == "Extra data":
        return "; expected one list: put all objects in [ ] with commas between them, or write one object per line"
    if line is not None and text.strip() == "{":
        return "; expected a whole object on every line, or one list of objects in [ ]"
    first = text.lstrip()[:200].partition("\n")[0]
    if error.pos == len(text) - len(text.lstrip()) and not first.startswith(("{", "[")) and "," in first:
        return "; it looks like a table of comma-separated values: name the file .csv"
    return ""


def rows_of_table(
    types: Mapping[str, Any], names: FieldNames, rows: Callable[[Sequence[str]], Sequence[object]]
) -> tuple[Sequence[object], Sequence[str]]:
    """The rows of an Arrow table, and the columns that were read: those of the fields, and those with nearly the name
    of the input. If some rows lack what the shape needs, also those of other shapes, which these rows may have.

    Args:
        types: the Arrow type by column.
        names: with the shape of the table.
        rows: reads these columns.
    """
    wanted = {*names.read, *names.media}
    read = [name for name in types if name in wanted or (may_be_input(name) and not names.is_input_named)]
    values = rows(read)
    others = [name for name, kind in types.items() if name not in read and _may_be_another(name, kind, names)]
    if others and any(isinstance(value, dict) and is_absent(value.get(names.needed)) for value in values):
        read = [*read, *others]
        values = rows(read)
    return values, read


def _may_be_another(name: str, kind: Any, names: FieldNames) -> bool:
    import pyarrow

    if name in (*USUAL_MESSAGES, PROMPT, COMPLETION):
        return has_text(kind)
    if not (pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)):
        return False
    part = kind.value_type
    keys = {part.field(place).name for place in range(part.num_fields)} if pyarrow.types.is_struct(part) else set()
    return bool({*SPEAKERS, names.role} & keys)


def without_bytes(types: Mapping[str, Any]) -> list[str]:
    """The columns of a table without images and sounds, of which a few rows can be large.

    Args:
        types: the Arrow type by column.
    """
    return [name for name, kind in types.items() if "binary" not in str(kind)]


def has_text(kind: Any) -> bool:
    """Whether a column of this Arrow type contains more than numbers."""
    import pyarrow

    return not (pyarrow.types.is_primitive(kind) or pyarrow.types.is_null(kind))


def check_columns(
    columns: Sequence[str], where: str, names: FieldNames, hint: str = "", entries: Sequence[object] = ()
) -> FieldNames:
    """The names with the shape that the columns have.

    Raises:
        DataError: a required column is missing, or there twice.
    """
    try:
        names = recognised(names, columns, entries)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    for name, times in Counter(columns).items():
        if times > 1 and name in names.read:
            raise DataError(f"{where}: {times} columns are named {name!r}, expected one: rename the others")
    absent = [field for field, name in names.required.items() if name not in columns]
    if absent:
        raise DataError(f"{where}: {missing_fields(names, columns, absent, hint)}")
    if names.group is not None and names.group not in columns:
        raise NoSuchGroupError(f"{where}: {missing_group(names.group, columns)}")
    if names.part is not None and names.part not in columns:
        raise DataError(f"{where}: {missing_part(names.part, columns)}")
    if names.messages is not None and names.messages not in columns:
        raise DataError(f"{where}: {missing_messages(names, columns)}")
    return names


def _header_hint(header: Sequence[str], delimiter: str) -> str:
    if len(header) == 1 and delimiter == "," and "\t" in header[0]:
        return "; columns are separated by tabs: name the file .tsv"
    if len(header) == 1 and any(sign in header[0] for sign in ";,\t"):
        return f"; columns must be separated by {'commas' if delimiter == ',' else 'tabs'}"
    return "; the first line must name the columns"


@contextmanager
def _long_fields() -> Iterator[None]:
    """Raise the csv module's limit of 128 KiB per field; the limit is one for the whole process."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _csv_fault(error: csv.Error, label: str, start: int, line: int) -> DataError:
    """The error for a row that cannot be read as a table's row.

    Args:
        start: the line on which the row begins.
        line: the line that was read last.
    """
    where = f"line {start}" if start == line else f"the row that begins at line {start}"
    if "unexpected end" in str(error):
        why = "a quotation mark opens a field and no other one closes it"
    elif "expected after" in str(error):
        why = "text follows the quotation mark that closes a field"
    else:
        why = str(error)
    return DataError(
        f"{label}: not a valid table at {where}: {why}. A field that begins with a quotation mark ends with one, and "
        'marks inside it are doubled: """Hi,"" she said."'
    )
