"""Records read back from files, with their types checked.

A run's folder may come from anywhere, and a file in it may have been edited. A wrong value is reported when the file is
read, not later when it is used.
"""

from __future__ import annotations

import reprlib
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from sftframe.errors import ConfigError
from sftframe.files import decoded, read_json_lines

Record = TypeVar("Record")


def read_record(kind: type[Record], value: object, where: object) -> Record:
    """The record of a class in a JSON object; keys that the class does not have are ignored.

    Args:
        kind: a dataclass of plain types.
        where: the file, with the line if it has lines, for messages.

    Raises:
        ConfigError: it is no object, a key is missing, or a value has the wrong type.
    """
    from pydantic import ValidationError

    from sftframe.config import expectation

    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{where}: expected a JSON object with a {kind.__name__}, found {reprlib.repr(value)}; {_MEND}"
        )
    absurd = next((key for key, found in value.items() if type(found) is int and abs(found) >= 2**63), None)
    if absurd is not None:
        raise ConfigError(f"{where}: {absurd}: expected a number of at most 64 bits, found a larger one; {_MEND}")
    try:
        record: Record = _adapter(cast("Hashable", kind)).validate_python(value)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in finding["loc"])
        is_missing = finding["type"] == "missing"
        found = "none" if is_missing else reprlib.repr(finding["input"])
        raise ConfigError(f"{where}: {name}: expected {expectation(finding)}, found {found}; {_MEND}") from error
    return record


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        ConfigError: the file cannot be read, or is no JSON with finite numbers.
    """
    try:
        return decoded(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}; {_MEND}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises as `read_json`, and if the value is not an object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object, found {reprlib.repr(value)}; {_MEND}")
    return value


def read_records(kind: type[Record], path: Path) -> list[Record]:
    """The records of a JSON Lines file, one per line.

    Raises:
        ConfigError: a line is no such record; the message has the line number.
    """
    lines = enumerate(read_json_lines(path), start=1)
    return [read_record(kind, line, f"{path}, line {number}") for number, line in lines]


_MEND = "the file was changed, is damaged, or is from another version of sftframe"


@cache
def _adapter(kind: Hashable) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cast("Any", kind))
