"""Reads a prompt style from a TOML list of segments, each named by its role.

    segments = [
        { template = "Question: " },
        "instruction",
        { template = "\\nContext: ", when = "input" },
        "input",
        { template = "\\nAnswer:" },
        { response = " " },
        { end = "</answer>" },
    ]
    stop_strings = ["\\nQuestion:"]

Errors name the wrong entry and say what it should be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sftframe.errors import ConfigError, brief, suggestion
from sftframe.records import Example, Role, Segment

When = Literal["always", "input", "no input"]

_KEYS = ("segments", "stop_strings")
_CONDITIONS: tuple[When, ...] = ("always", "input", "no input")
_BARE = ("instruction", "input", "response")
"""Roles that need no text."""
_WORDED = ("template", "response", "end")
"""Roles with a text: the template's words, a text before the answer, a closing tag."""
_EXPECTED = 'expected "instruction", "input", "response" or a table such as { template = "Answer:" }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the list."""

    role: Role
    text: str = ""
    when: When = "always"

    def applies_to(self, example: Example) -> bool:
        """Whether an example with or without an input has this piece."""
        if self.role is Role.INPUT or self.when == "input":
            return bool(example.input)
        return self.when == "always" or not example.input

    def segment(self, example: Example) -> Segment:
        """The piece of an example."""
        filled = {Role.INSTRUCTION: example.instruction, Role.INPUT: example.input, Role.RESPONSE: example.output}
        return Segment(self.role, self.text + filled.get(self.role, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentList:
    """What a TOML file says."""

    entries: tuple[Entry, ...]
    stops: tuple[str, ...]

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces."""
        return [entry.segment(example) for entry in self.entries if entry.applies_to(example)]

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The closing tag, and the file's own stop strings."""
        tag = "".join(entry.text for entry in self.entries if entry.role is Role.END).strip()
        return (*([tag] if tag else []), *self.stops)


def parse_segments(content: str) -> SegmentList:
    """The list in a TOML file's text.

    Raises:
        ConfigError: it is not TOML, or an entry is wrong.
    """
    try:
        document = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not valid TOML: {error}") from error
    unknown = next((key for key in document if key not in _KEYS), None)
    if unknown is not None:
        raise ConfigError(f"no key {unknown!r}{suggestion(unknown, _KEYS)}")
    listed = document.get("segments")
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"segments: expected a list of segments, found {brief(listed)}")
    entries = tuple(_entry(value, f"segments[{number}]") for number, value in enumerate(listed))
    _check_order(entries)
    return SegmentList(entries=entries, stops=tuple(_stop_strings(document.get("stop_strings", []))))


def _entry(value: Any, where: str) -> Entry:
    if isinstance(value, str) and value in _BARE:
        return Entry(role=Role[value.upper()])
    if isinstance(value, str):
        known = "" if value in _WORDED else suggestion(value, _BARE).partition(".")[0].partition(" Available")[0]
        raise ConfigError(f"{where}: {brief(value)} needs a text or is not a role{known}; {_EXPECTED}")
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {_EXPECTED}, found {brief(value)}")
    roles = [key for key in value if key != "when"]
    if len(roles) != 1:
        raise ConfigError(f"{where}: expected one role and its text, found {len(roles)} in {brief(dict(value))}")
    (role,) = roles
    if role not in _WORDED:
        raise ConfigError(f"{where}: {role!r} takes no text{suggestion(role, _WORDED)}")
    text, when = value[role], value.get("when", "always")
    if not isinstance(text, str) or (not text and role != "response"):
        raise ConfigError(f"{where}.{role}: expected a text, found {brief(text)}")
    if when not in _CONDITIONS or (role != "template" and "when" in value):
        raise ConfigError(
            f'{where}.when: expected "input" or "no input", at a template only, found {brief(when)} at {role!r}'
        )
    return Entry(role=Role[role.upper()], text=text, when=when)


def _check_order(entries: Sequence[Entry]) -> None:
    for role in (Role.INSTRUCTION, Role.INPUT, Role.RESPONSE):
        count = sum(entry.role is role for entry in entries)
        if count != 1:
            raise ConfigError(f"segments: {role.label!r} is there {count} times, expected once{_why(role, count)}")
    border = next(i for i, entry in enumerate(entries) if entry.role is Role.RESPONSE)
    for number, entry in enumerate(entries):
        if number > border and entry.role is not Role.END:
            raise ConfigError(
                f"segments[{number}]: {entry.role.label} after the response, which the model would have to write "
                'itself; expected { end = "…" } or nothing'
            )
        if number < border and entry.role is Role.END:
            raise ConfigError(
                f'segments[{number}]: end before the response; in the prompt a tag is {{ template = "…" }}'
            )


def _why(role: Role, count: int) -> str:
    if role is Role.INPUT and not count:
        return ": an example's input would be lost (an empty one is left out anyway)"
    return ""


def _stop_strings(listed: Any) -> Iterator[str]:
    if not isinstance(listed, list):
        raise ConfigError(f"stop_strings: expected a list of texts, found {brief(listed)}")
    for number, stop in enumerate(listed):
        if not isinstance(stop, str) or not stop.strip():
            raise ConfigError(f"stop_strings[{number}]: expected a text that no good answer has, found {brief(stop)}")
        yield stop
