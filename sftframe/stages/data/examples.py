"""From a file's entries to examples: every entry must have its fields, and every field must be usable text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sftframe.errors import DataError
from sftframe.records import Example
from sftframe.stages.data.columns import check_required, missing_here
from sftframe.stages.data.fields import FieldNames
from sftframe.stages.data.formats import Entries, kind


def to_examples(entries: Entries, label: str, names: FieldNames) -> tuple[Example, ...]:
    """The entries as examples, `index` being the position among them.

    An input may be absent or null, which is an empty input; an output may be empty; other fields are not read.

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
    return Example(
        instruction=instruction,
        input=_text(entry, names.input) if has_input and names.input else "",
        output=_text(entry, names.output),
        index=index,
    )


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
