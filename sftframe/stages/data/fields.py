"""The fields of a file that are read as instruction, input, output and a model's response."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import tomli_w

from sftframe.errors import ConfigError

Field = Literal["instruction", "input", "output", "response"]
FIELDS: tuple[Field, ...] = ("instruction", "input", "output")
RESPONSE = "model_response"
"""Default name of the field with a model's answer, as in the chapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """The names of the fields in the file."""

    instruction: str
    input: str | None
    """None: the file has no such field, all inputs are empty."""
    output: str
    response: str | None = None
    """A model's answer to judge; None: the file is training data and need not have one."""
    is_input_mapped: bool = False
    """The user named the input; then at least one entry must have it."""
    is_input_named: bool = False
    """The user named the input, or said that there is none."""

    @classmethod
    def of(cls, mapped: Mapping[Field, str | Literal[False]], *, has_response: bool = False) -> FieldNames:
        """The names with a mapping; a field without a mapping keeps its own name, a response is `model_response`.

        >>> FieldNames.of({"instruction": "question", "output": "answer"}).input
        'input'

        If `input` is read as the instruction, there is no other input:

        >>> FieldNames.of({"instruction": "input"}).input is None
        True

        `False` means that no input is read, even if the file has one:

        >>> FieldNames.of({"input": False}).input is None
        True

        Raises:
            ConfigError: two fields have the same name in the file, or a field other than the input is left out.
        """
        left_out = next((field for field, name in mapped.items() if name is False and field != "input"), None)
        if left_out is not None:
            raise ConfigError(f"data.fields.{left_out}: only the input can be left out; expected a field of the file")
        names: dict[Field, str | None] = {field: mapped.get(field, field) or None for field in FIELDS}
        names["response"] = mapped.get("response", RESPONSE) or None if has_response else None
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
            is_input_mapped=bool(mapped.get("input")),
            is_input_named="input" in mapped,
        )

    @property
    def wanted(self) -> dict[Field, str]:
        """Name in the file by field, without an input that the file does not have."""
        names: dict[Field, str | None] = {
            "instruction": self.instruction,
            "input": self.input,
            "output": self.output,
            "response": self.response,
        }
        return {field: name for field, name in names.items() if name is not None}

    @property
    def required(self) -> dict[Field, str]:
        """The required fields: all, except an input that the user did not name."""
        return {field: name for field, name in self.wanted.items() if field != "input" or self.is_input_mapped}

    def listed(self) -> str:
        """The required names as a message lists them."""
        return " and ".join(repr(name) for name in self.required.values())


def setting_for(field: Field, name: str) -> str:
    r"""The words of the command line that read a field from this name, quoted for the shell.

    >>> print(setting_for("input", "context"))
    --set data.fields.input=context
    >>> print(setting_for("output", " out put"))
    --set 'data.fields.output=" out put"'
    """
    is_plain = re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII) and name not in ("true", "false", "inf", "nan")
    value = name if is_plain else tomli_w.dumps({"x": name}).partition("= ")[2].strip()
    return f"--set {shlex.quote(f'data.fields.{field}={value}')}"


def quoted(names: Collection[str]) -> str:
    """Names as a message lists them: quoted, so that spaces are visible; long names and long lists are cut."""
    # a CSV without a header shows whole sentences as names
    shown = [repr(name if len(name) <= 40 else f"{name[:37]}...") for name in sorted(names)[:_MOST_SHOWN]]
    return ", ".join(shown) + (f", … ({len(names)} in all)" if len(names) > _MOST_SHOWN else "")


_MOST_SHOWN = 40
