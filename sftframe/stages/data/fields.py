"""Which field of a file is the instruction, which the input, which the output, and which a model's response.

Takes what `data.fields` maps; gives the names to look for, and the words for a name that is not there. Does not read
files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from textwrap import shorten
from typing import Literal

from sftframe.errors import ConfigError, suggestion

Field = Literal["instruction", "input", "output", "response"]
FIELDS: tuple[Field, ...] = ("instruction", "input", "output")
RESPONSE = "model_response"
"""What a model's answer is called unless told otherwise, as in the chapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """The file's own names of the fields."""

    instruction: str
    input: str | None
    """None: the file has no such field, all inputs are empty."""
    output: str
    response: str | None = None
    """A model's answer to judge; None: the file is data to learn from and need not have one."""
    is_input_mapped: bool = False
    """The user named the input; then at least one entry has to have it."""

    @classmethod
    def of(cls, mapped: Mapping[Field, str], *, has_response: bool = False) -> FieldNames:
        """The names under a mapping; a field that is not mapped is called what it is, a response `model_response`.

        >>> FieldNames.of({"instruction": "question", "output": "answer"}).input
        'input'

        A file whose `input` is mapped to be the instruction has no other input:

        >>> FieldNames.of({"instruction": "input"}).input is None
        True

        Raises:
            ConfigError: two fields would be read from the same name.
        """
        names: dict[Field, str | None] = {field: mapped.get(field, field) for field in FIELDS}
        names["response"] = mapped.get("response", RESPONSE) if has_response else None
        if "input" not in mapped and names["input"] in mapped.values():
            names["input"] = None
        for field, other in combinations(names, 2):
            if names[field] == names[other] and names[field] is not None:
                raise ConfigError(
                    f"data.fields: {field} and {other} are both read from {names[field]!r}; "
                    f"set data.fields.{field} and data.fields.{other} to different fields of the file"
                )
        assert names["instruction"] is not None
        assert names["output"] is not None
        return cls(
            instruction=names["instruction"],
            input=names["input"],
            output=names["output"],
            response=names["response"],
            is_input_mapped="input" in mapped,
        )

    @property
    def wanted(self) -> dict[Field, str]:
        """Field to the file's name, without an input that the file does not have."""
        names: dict[Field, str | None] = {
            "instruction": self.instruction,
            "input": self.input,
            "output": self.output,
            "response": self.response,
        }
        return {field: name for field, name in names.items() if name is not None}

    @property
    def required(self) -> dict[Field, str]:
        """What must be there: all that is wanted, except an input that nobody named."""
        return {field: name for field, name in self.wanted.items() if field != "input" or self.is_input_mapped}


def missing(field: Field, name: str, available: Collection[str]) -> str:
    """What to say of a field that is not there."""
    # a CSV without a header shows whole sentences as names
    shown = [shorten(other, 40, placeholder="...") for other in available]
    return f"no field {name!r}{suggestion(name, shown)}; name the {field} with --set data.fields.{field}=NAME"
