"""What one cell of a row may hold: texts, lists, groups; and the error for a row that cannot be used."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from sftframe.data.columns import missing_here
from sftframe.errors import DataError


class RowError(DataError):
    """A row that cannot be used."""

    def __init__(self, message: str, reason: str | None = None, *, remedy: str = "", is_placed: bool = False) -> None:
        super().__init__(message)
        self.remedy = remedy
        """The setting that helps, in words; empty if there is none but leaving the row out."""
        self.reason = reason or message
        """The fault without what only this row has: rows with the same reason are counted together."""
        self.is_placed = is_placed
        """The message says itself where the row is."""


def kind(value: object) -> str:
    """The name of a value's kind in messages, in JSON's words.

    >>> kind(3), kind(None), kind({})
    ('a number', 'null', 'an object')
    >>> kind(float("nan"))
    'NaN, which is how pandas writes an empty cell'
    """
    if is_nan(value):
        return "NaN, which is how pandas writes an empty cell"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    words = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return words.get(type(value), f"a value of type {type(value).__name__}")


def is_nan(value: object) -> bool:
    """Whether a value is the number NaN."""
    return isinstance(value, float) and math.isnan(value)


def text_of(entry: Mapping[str, Any], name: str, remedy: str = "") -> str:
    """The text in an entry's field.

    Args:
        remedy: the setting that helps if it is no text.

    Raises:
        RowError: there is no such field, it is no text, or the text cannot be written as UTF-8.
    """
    text = entry.get(name)
    if not isinstance(text, str):
        if name not in entry:
            raise RowError(missing_here(name, entry), f"no field {name!r}")
        raise RowError(f"field {name!r} is {kind(text)}, expected a string", remedy=remedy)
    if not text.isascii():
        check_encodable(text, f"field {name!r}")
    return text


def optional_text(entry: Mapping[str, Any], name: str | None, remedy: str = "") -> str:
    """As `text_of`; empty if the field is absent, null, or an empty cell as pandas writes it."""
    value = None if name is None else entry.get(name)
    if name is None or value is None or is_nan(value):
        return ""
    return text_of(entry, name, remedy)


def check_encodable(text: str, what: str) -> None:
    """Check that a text can be written as UTF-8.

    Args:
        what: the text's name in the message.

    Raises:
        RowError: it has half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(
            f"{what} has a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}, which is "
            "half a character and cannot be written as UTF-8: remove it",
            f"{what} has a lone surrogate",
        ) from None


def is_absent(value: object) -> bool:
    """Whether a cell has nothing in it; an empty text is how a table writes it."""
    return value is None or value == "" or is_nan(value)


def list_in(value: object) -> list[Any] | None:
    """The list in a cell: a list, or the text of one as JSON or as Python prints it; None for anything else.

    Tables have lists as texts; pandas writes them into CSV as Python prints them. Older tables of `datasets` have a
    list of objects as an object of lists.

    >>> list_in([1]), list_in('[{"role": "user"}]'), list_in("[{'role': 'user'}]"), list_in("[1")
    ([1], [{'role': 'user'}], [{'role': 'user'}], None)
    >>> list_in({"role": ["user", "assistant"], "content": ["Hi.", "Hello!"]})
    [{'role': 'user', 'content': 'Hi.'}, {'role': 'assistant', 'content': 'Hello!'}]
    """
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        columns = [column for column in value.values() if isinstance(column, list)]
        is_table = bool(columns) and len(columns) == len(value) and len({len(column) for column in columns}) == 1
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)] if is_table else None
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = _printed_by_python(value.strip())
    return found if isinstance(found, list) else None


_TEXTS = re.compile(r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\"""", re.DOTALL)
_PLAIN = re.compile(r"(?:[\[\]{}:,\s]|None|True|False|\d+(?:\.\d+)?|''(?!\s*''))*")
"""Without signs, since a long chain of them takes much memory, and without two texts side by side, which are one."""


def _printed_by_python(text: str) -> object:
    """The value of a text of brackets, texts, numbers and None, True or False; None if there is anything else in it."""
    if not _PLAIN.fullmatch(_TEXTS.sub("''", text)):
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def why_no_list(value: object) -> str:
    """What a message says of a cell that should have a list, to go on in the same sentence."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return ""
    try:
        json.loads(value)
    except json.JSONDecodeError as error:
        return f" as JSON: the text is no JSON at character {error.pos}: {error.msg}"
    except (ValueError, RecursionError) as error:
        return f" as JSON: {error}"
    return ""


def accepted_outputs(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The outputs of an entry: its one text, or the different texts of a list, of which each is right.

    The first one is trained; judges accept all.

    Raises:
        RowError: there is none, or one of them is no text that can be written.

    >>> accepted_outputs({"output": "Rome"}, "output"), accepted_outputs({"output": ["1/2", "half"]}, "output")
    (('Rome',), ('1/2', 'half'))
    """
    found = entry.get(name)
    if not isinstance(found, list):
        return (text_of(entry, name),)
    if not found:
        raise RowError(f"field {name!r} is an empty list, expected a string or a list of accepted strings")
    return tuple(
        dict.fromkeys(text_of({f"{name}[{place}]": text}, f"{name}[{place}]") for place, text in enumerate(found))
    )


def group_of(entry: Mapping[str, Any], name: str) -> str:
    """The entry's group; empty if it has none, and is a unit of its own.

    Raises:
        RowError: it is neither a text nor a number.
    """
    value = entry.get(name)
    if value is None or is_nan(value):
        return ""
    if isinstance(value, bool | int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not isinstance(value, str):
        raise RowError(f"field {name!r} (data.group) is {kind(value)}, expected a string or a number")
    return text_of(entry, name).strip()


def tools_of(entry: Mapping[str, Any], name: str | None) -> str:
    """The tools of a conversation as JSON; empty if there are none.

    Raises:
        RowError: they are neither a text nor JSON.
    """
    value = None if name is None else entry.get(name)
    if isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False) if value else ""
        check_encodable(text, f"field {name!r}")
        return text
    text = optional_text(entry, name, "--set data.fields.tools=false leaves it out").strip()
    return "" if text in _NO_TOOLS else text


_NO_TOOLS = ("[]", "{}", "null")
