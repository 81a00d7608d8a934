"""Named sources and files of examples, checked row by row; also files with answers."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sftframe.data.columns import (
    FieldNames,
    UnusedColumn,
    check_required,
    lost_inputs,
    missing_group,
    missing_here,
    unused_columns,
)
from sftframe.data.formats import READERS, Entries, kind, read_parquet
from sftframe.errors import DataError, suggestion
from sftframe.files import check_plain, content_kind, path_hint, read_named_file
from sftframe.network import downloads
from sftframe.records import Example

if TYPE_CHECKING:
    from sftframe.config import DataConfig


def to_examples(entries: Entries, label: str, names: FieldNames) -> tuple[Example, ...]:
    """The entries as examples, `index` being the position among them.

    An input may be absent or null, which is an empty input; an output may be empty, or a list of outputs of which each
    is right; other fields are not read.

    Raises:
        DataError: no entry has a required field; or the first entry that cannot be used, with its index and the reason.
    """
    try:
        check_required(entries.values, names)
    except DataError as error:
        raise DataError(f"{label}: {error}") from None
    examples = []
    for index, entry in enumerate(entries.values):
        try:
            examples.append(_example(entry, index, names))
        except DataError as error:
            raise DataError(f"{label}: {entries.where(index)}: {error}") from None
    return tuple(examples)


def to_answers(entries: Entries, label: str, names: FieldNames) -> tuple[str, ...]:
    """The model's answer in every entry; the entries are checked already. An answer may be empty.

    Raises:
        DataError: the first entry without one.
    """
    assert names.response is not None
    answers = []
    for index, entry in enumerate(entries.values):
        assert isinstance(entry, dict)
        try:
            answers.append(_text(entry, names.response))
        except DataError as error:
            raise DataError(f"{label}: {entries.where(index)}: {error}") from None
    return tuple(answers)


def _example(entry: object, index: int, names: FieldNames) -> Example:
    if not isinstance(entry, dict):
        raise DataError(f"expected an object with {names.listed()}, found {kind(entry)}")
    instruction = _text(entry, names.instruction)
    if not instruction or instruction.isspace():
        raise DataError(
            f"field {names.instruction!r} is blank, expected an instruction: remove the entry or fill it in"
        )
    given = None if names.input is None else entry.get(names.input)
    is_empty_cell = isinstance(given, float) and math.isnan(given)  # as pandas writes one
    has_input = given is not None and not is_empty_cell
    output, *references = accepted_outputs(entry, names.output)
    return Example(
        instruction=instruction,
        input=_text(entry, names.input) if has_input and names.input else "",
        output=output,
        index=index,
        references=tuple(references),
        group=_group(entry, names.group) if names.group is not None else "",
    )


def accepted_outputs(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The outputs of an entry: its one text, or the different texts of a list, of which each is right.

    The first one is trained; judges accept all.

    Raises:
        DataError: there is none, or one of them is no text that can be written.

    >>> accepted_outputs({"output": "Rome"}, "output"), accepted_outputs({"output": ["1/2", "half"]}, "output")
    (('Rome',), ('1/2', 'half'))
    """
    found = entry.get(name)
    if not isinstance(found, list):
        return (_text(entry, name),)
    if not found:
        raise DataError(f"field {name!r} is an empty list, expected a string or a list of accepted strings")
    return tuple(
        dict.fromkeys(_text({f"{name}[{place}]": text}, f"{name}[{place}]") for place, text in enumerate(found))
    )


def _group(entry: Mapping[str, Any], name: str) -> str:
    """The entry's group; empty if it has none, and is a unit of its own."""
    value = entry.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not isinstance(value, str):
        raise DataError(f"field {name!r} (data.group) is {kind(value)}, expected a string or a number")
    return _text(entry, name).strip()


def _text(entry: Mapping[str, Any], name: str) -> str:
    text = entry.get(name)
    if not isinstance(text, str):
        if name not in entry:
            raise DataError(missing_here(name, entry))
        raise DataError(f"field {name!r} is {kind(text)}, expected a string")
    if not text.isascii():
        _check_encodable(text, name)
    return text


def _check_encodable(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"field {name!r} has a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}, which is "
            "half a character and cannot be written as UTF-8: remove it"
        ) from None


CH07_URL = (
    "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/instruction-data.json"
)
"""The 1,100 entries of the chapter; `SFTFRAME_CH07_URL` names a mirror."""
CH07_SHA256 = "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
_MOST_BYTES = 16_000_000
"""The file has 0.2 MB; a much longer one is another file, and is not read to its end."""

Report = Callable[[str], None]
OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Checked examples and their source."""

    source: str
    """`starter`, `ch07`, or the file's path as it was given."""
    sha256: str
    """Of the file's bytes, hexadecimal."""
    examples: tuple[Example, ...]
    """In the file's order; never empty."""
    unused_columns: tuple[UnusedColumn, ...] = ()
    """Columns of the file that are not read."""


def load_examples(
    config: DataConfig,
    *,
    cache_dir: Path | None = None,
    report: Report | None = None,
    on_bytes: OnBytes | None = None,
    on_lost_inputs: Report | None = None,
) -> Dataset:
    """The examples of a configuration's source, all of them checked.

    Args:
        cache_dir: where downloads are kept; by default `downloads.cache_dir()`.
        report: gets a line about slow work and other useful facts.
        on_bytes: gets the bytes of a download so far, and their total if it is known.
        on_lost_inputs: gets the line that would be an error, if a run was already started with these data.

    Raises:
        DataError: there is no such source or file, it cannot be read, an entry in it cannot be used, or inputs
            would be lost because their column has another name.
        ConfigError: `data.fields` gives two fields the same name in the file.
    """
    is_starter = config.source == "starter"
    names = FieldNames.of(config.fields, group=None if is_starter else config.group)
    say = report or (lambda line: None)
    if is_starter:
        suffix, data = ".jsonl", (files("sftframe") / "datasets" / "starter.jsonl").read_bytes()
    elif config.source == "ch07":
        suffix, data = ".json", _chapter_data(cache_dir or downloads.cache_dir(), say, on_bytes)
    else:
        suffix, data = read_source(config.source)
    entries = first_entries(parse_entries(data, suffix, config.source, names), config.limit)
    dataset = make_dataset(data, entries, config.source, names, on_lost_inputs=on_lost_inputs)
    if is_starter:
        dataset = _with_families(dataset, config.group)
    num_empty = sum(not example.output or example.output.isspace() for example in dataset.examples)
    if num_empty:
        say(f"{config.source}: {num_empty} of {len(dataset.examples)} entries have an empty output")
    return dataset


STARTER_GROUP = "family"
"""What the groups of the bundled data are called, as a value of `data.group`."""


def _with_families(dataset: Dataset, group: str | Literal[False] | None) -> Dataset:
    """The bundled data with the families of its questions as groups.

    They are in a file of their own, so that the data file keeps its bytes and its SHA-256.
    """
    if group is False:
        return dataset
    if group not in (None, STARTER_GROUP):
        raise missing_group(str(group), [STARTER_GROUP])
    families = (files("sftframe") / "datasets" / "starter-families.txt").read_text(encoding="utf-8").split("\n")
    examples = zip(dataset.examples, families, strict=False)  # `data.limit` leaves examples out
    return replace(dataset, examples=tuple(replace(example, group=family) for example, family in examples))


def make_dataset(
    data: bytes, entries: Entries, source: str, names: FieldNames, *, on_lost_inputs: Report | None = None
) -> Dataset:
    """The examples of a file's entries, and the file's unused columns.

    Args:
        data: the file's bytes.
        on_lost_inputs: gets the line about lost inputs; without it, lost inputs are an error.

    Raises:
        DataError: an entry cannot be used, or inputs would be lost because their column has another name.
    """
    examples = to_examples(entries, source, names)
    unused = unused_columns(entries.values, names)
    lost = lost_inputs(entries.values, unused, names)
    if lost is not None:
        if on_lost_inputs is None:
            raise DataError(f"{source}: {lost}")
        on_lost_inputs(f"{source}: {lost}")
    return Dataset(
        source=source,
        sha256=hashlib.sha256(data).hexdigest(),
        examples=examples,
        unused_columns=(*unused, *entries.unread),
    )


def _chapter_data(cache_dir: Path, say: Report, on_bytes: OnBytes | None) -> bytes:
    target = cache_dir / "ch07" / "instruction-data.json"
    url = os.environ.get("SFTFRAME_CH07_URL") or CH07_URL
    if not target.exists():
        say(f"ch07: downloading {url}")
    try:
        return downloads.fetch(url, target, sha256=CH07_SHA256, max_bytes=_MOST_BYTES, on_bytes=on_bytes).read_bytes()
    except downloads.DownloadError as error:
        raise DataError(
            f"cannot get the data 'ch07': {error}; if you have the file, put it at {target} or pass it with --data FILE"
        ) from error


def read_source(source: str) -> tuple[str, bytes]:
    """A file's ending in lower case, and its bytes.

    Raises:
        DataError: there is none, it cannot be read, or its ending is unknown.
    """
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            raise DataError(f"data: {source} is a folder, expected a file: {', '.join(READERS)}")
        if path.suffix.lower() not in READERS:
            raise _unknown(source, path)
        return path.suffix.lower(), read_named_file(path, most=_most_bytes())
    except FileNotFoundError:
        shown = source if source.isprintable() else repr(source)
        raise DataError(f"data: no file {shown} (looked in {Path.cwd()}){path_hint(source)}") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"data: cannot read {source}: {reason}") from error


def _most_bytes() -> int:
    """A quarter of this machine's memory: entries take about four times the size of their text."""
    import psutil

    return max(2**30, int(psutil.virtual_memory().total) // 4)


def _unknown(source: str, path: Path) -> DataError:
    formats = ", ".join(READERS)
    if path.exists():
        check_plain(path)
        with path.open("rb") as file:
            what = content_kind(file.read(2**20))
        ending = repr(path.suffix) if path.suffix else "no ending"
        found = f"is {what}; then" if what else f"has {ending},"
        return DataError(f"data: {source} {found} expected one of {formats}")
    near = suggestion(source, ["starter", "ch07"])
    return DataError(f"no data source or file {source!r}{near}, or a file: {formats}{path_hint(source)}")


def parse_entries(data: bytes, suffix: str, label: str, names: FieldNames) -> Entries:
    """The entries of a file.

    Raises:
        DataError: the file is empty, or cannot be read.
    """
    expected = "expected at least one entry with " + " and ".join(repr(name) for name in names.required.values())
    if not data or data.isspace():
        raise DataError(f"{label} is empty: {expected}")
    reader = read_parquet if data.startswith(b"PAR1") else READERS[suffix]
    entries = reader(data, label, names)
    if not entries.values:
        raise DataError(f"{label} has no entries: {expected}")
    return entries


def first_entries(entries: Entries, limit: int | None) -> Entries:
    """As many of the first entries; None = all."""
    lines = None if entries.lines is None else entries.lines[:limit]
    return Entries(values=entries.values[:limit], lines=lines, unread=entries.unread)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredDataset:
    """Examples with an answer each."""

    dataset: Dataset
    answers: tuple[str, ...]
    """One per example, in their order."""


def load_answered(config: DataConfig) -> AnsweredDataset:
    """The answered examples in the file `data.source`, all of them checked.

    The answer is the field `model_response`, or the one that `data.fields.response` names; it may be empty.

    Raises:
        DataError: no such file, a file that cannot be read, or an entry that cannot be used; names entry and field.
        ConfigError: `data.fields` gives two fields the same name in the file.
    """
    names = FieldNames.of(config.fields, has_response=True, group=config.group)
    suffix, data = read_source(config.source)
    entries = first_entries(parse_entries(data, suffix, config.source, names), config.limit)
    dataset = make_dataset(data, entries, config.source, names)
    return AnsweredDataset(dataset=dataset, answers=to_answers(entries, config.source, names))
