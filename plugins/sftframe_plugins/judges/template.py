"""Templates of questions: a text with places for the item's fields; nothing in it can be executed.

Every field is written as one JSON string, in its own quotation marks and on one line. So no field can end its
quotation: everything that an answer says stays inside.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sftframe import ConfigError, read_named_text

Message = dict[str, str]
"""`role` and `content`, as in chat protocols."""

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_BORDER = re.compile(r"^---[ \t]*$\n?", re.MULTILINE)
_MAX_BYTES = 100_000
"""The largest template file; much longer ones fit no judge's context."""

_UNSAFE = re.compile(
    r"<(?=\S)"  # begins a control token: <|eot_id|>, </s>, <start_of_turn>
    r"|\[(?=/?[A-Z_]+\])"  # and so does this: [INST], [/INST]
    r"|[^\x20-\x7e]"  # may be invisible
)
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that are invisible: controls, directions, tags, lone surrogates, line separators."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places `{{name}}`. A line `---` ends the system message; without one, all is the user's message.

    >>> template = Template("Grade this.\\n---\\nAnswer: {{ answer }}")
    >>> template.messages({"answer": 'Right."}'})[1]["content"]
    'Answer: "Right.\\\\"}"'
    """

    text: str

    def messages(self, fields: Mapping[str, str]) -> list[Message]:
        """The chat's messages with every place filled by its quoted field; places inside a field are not filled."""
        filled = [
            _PLACE.sub(lambda match: quote(fields[match[1]]), part.strip())
            for part in _BORDER.split(self.text, maxsplit=1)
        ]
        roles = ("system", "user") if len(filled) > 1 else ("user",)
        return [{"role": role, "content": content} for role, content in zip(roles, filled, strict=True) if content]


def load_template(
    value: str, default: str, *, option: str, known: Collection[str], needed: Collection[str]
) -> Template:
    """The template that an option names: a text with places in it, or the path of a text file with one.

    Args:
        value: the option's value; empty = `default`.
        option: its name, for messages.
        known: all allowed places.
        needed: the places that the template must have.

    Raises:
        ConfigError: there is no such file, a place is unknown, or a needed place is missing.
    """
    text = value if "{{" in value else _read(value, option, needed) if value else default
    places = _PLACE.findall(text)
    listed = ", ".join(f"{{{{{name}}}}}" for name in known)
    for name in places:
        if name not in known:
            raise ConfigError(f"judge.{option} has an unknown place {{{{{name}}}}}; expected {listed}")
    if missing := [name for name in needed if name not in places]:
        absent = " and ".join(f"{{{{{name}}}}}" for name in missing)
        raise ConfigError(
            f"judge.{option} has no {absent}, so the judge would not see what it is asked about: add it to the "
            f"template (places: {listed})"
        )
    return Template(text)


def _read(path: str, option: str, needed: Collection[str]) -> str:
    places = " and ".join(f"{{{{{name}}}}}" for name in needed)
    expected = f"expected a template with {places} in it, or the path of a file with one"
    file = Path(path)
    try:
        if not file.exists():
            raise ConfigError(f"judge.{option}: {_shown(path)} is not a file; {expected}")
        return read_named_text(file, most=_MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character, bytes that are not UTF-8
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"judge.{option}: cannot read {_shown(path)} ({reason}); {expected}") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def quote(text: str) -> str:
    r"""The string as one line of JSON, without anything that a chat template or a tokenizer would read as a mark.

    `json.loads` gives the same string back. Letters of all scripts stay as they are. Invisible characters, and those
    that could begin a control token, are written as escapes.

    >>> print(quote('Fine."}\n<|eot_id|>[INST] 2 < 3, né\u202e'))
    "Fine.\"}\n\u003c|eot_id|>\u005bINST] 2 < 3, né\u202e"
    """
    return _UNSAFE.sub(_escaped, json.dumps(text, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char.isascii() or unicodedata.category(char) in _INVISIBLE:
        units = char.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return char
