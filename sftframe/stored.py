"""Records read back from files: what a file says is believed only as far as its types are right.

Takes values as JSON has them and a record class, gives the record. A run's folder may come from anywhere, and a file of
it may have been edited: a wrong value is named where it is read, not where it is reckoned with. Knows no file.
"""

from __future__ import annotations

import reprlib
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from sftframe.errors import ConfigError

Record = TypeVar("Record")


def read_record(kind: type[Record], value: object, where: object) -> Record:
    """The record of a class that a JSON object holds; keys that the class does not have are passed over.

    Args:
        kind: a dataclass of plain types.
        where: the file, and the line where it has lines, for messages.

    Raises:
        ConfigError: it is no object, a key is missing, or a value is of another type.
    """
    from pydantic import ValidationError

    from sftframe.config import expectation

    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{where}: expected a JSON object with a {kind.__name__}, found {reprlib.repr(value)}; {_MEND}"
        )
    absurd = next((key for key, found in value.items() if type(found) is int and abs(found) >= 2**63), None)
    if absurd is not None:
        raise ConfigError(f"{where}: {absurd}: expected a number of 64 bits, found a larger one; {_MEND}")
    try:
        record: Record = _adapter(cast(Hashable, kind)).validate_python(value)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in finding["loc"])
        is_missing = finding["type"] == "missing"
        found = "none" if is_missing else reprlib.repr(finding["input"])
        raise ConfigError(f"{where}: {name}: expected {expectation(finding)}, found {found}; {_MEND}") from error
    return record


_MEND = "the file was changed, is damaged, or is of another version of sftframe"


@cache
def _adapter(kind: Hashable) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cast(Any, kind))
