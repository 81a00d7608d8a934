"""Prompt styles from TOML files: a list of segments, each with its role."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sftframe.errors import ConfigError, brief, suggestion
from sftframe.records import Example, Role, Segment

_KEYS = ("segments", "stop_strings", "joins_turns", "turn_separator")
_CONDITIONS: Mapping[str, Callable[[Example], bool]] = {
    "input": lambda example: bool(example.input),
    "no input": lambda example: not example.input,
    "system": lambda example: bool(example.system),
    "no system": lambda example: not example.system,
    "tools": lambda example: bool(example.tools),
    "no tools": lambda example: not example.tools,
    "user": lambda example: example.speaker == "user",
    "tool": lambda example: example.speaker == "tool",
}
"""Conditions of an entry; also `first` and `later`, by the exchange's place in the conversation."""
_PLACES = ("first", "later")
_FIELDS = {
    "instruction": (Role.INSTRUCTION, "instruction", ""),
    "input": (Role.INPUT, "input", "input"),
    "response": (Role.RESPONSE, "output", ""),
    "system": (Role.SYSTEM, "system", "system"),
    "tools": (Role.SYSTEM, "tools", "tools"),
    "tool": (Role.TOOL, "instruction", "tool"),
}
"""Entries without a text: by name the role, the example's field and the condition."""
_WORDED = ("template", "response", "end")
"""Entries with a text: the template's words, a text before the answer, a closing tag."""
_EXPECTED = 'expected "instruction", "input", "response" or a table such as { template = "Answer:" }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the list."""

    name: str
    role: Role
    text: str = ""
    field: str = ""
    """The example's text that follows; empty = none."""
    when: str = ""
    """Empty = always."""

    def applies_to(self, example: Example, *, is_first: bool) -> bool:
        """Whether an exchange has this piece."""
        if self.when in _PLACES:
            return is_first == (self.when == "first")
        return not self.when or _CONDITIONS[self.when](example)

    def segment(self, example: Example) -> Segment:
        """The piece of an exchange."""
        return Segment(self.role, self.text + (getattr(example, self.field) if self.field else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentList:
    """What a TOML file says."""

    entries: tuple[Entry, ...]
    stops: tuple[str, ...]
    joins_turns: bool = False
    turn_separator: str = ""

    def segments(self, example: Example, *, is_first: bool = True) -> Sequence[Segment]:
        """The pieces of one exchange."""
        return [entry.segment(example) for entry in self.entries if entry.applies_to(example, is_first=is_first)]

    def conversation(self, example: Example) -> Iterator[Segment]:
        """The pieces of all exchanges, one after the other."""
        for number, exchange in enumerate(example.exchanges):
            if number:
                yield Segment(Role.TEMPLATE, self.turn_separator)
            yield from self.segments(exchange, is_first=not number)

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
    if any(entry.role is Role.TOOL for entry in entries):
        entries = tuple(replace(one, when="user") if one.name == "instruction" else one for one in entries)
    joins_turns, separator = _of_turns(document, entries)
    return SegmentList(
        entries=entries,
        stops=tuple(_stop_strings(document.get("stop_strings", []))),
        joins_turns=joins_turns,
        turn_separator=separator,
    )


def _of_turns(document: Mapping[str, Any], entries: Sequence[Entry]) -> tuple[bool, str]:
    """What the file says about conversations."""
    joins_turns, separator = document.get("joins_turns", False), document.get("turn_separator", "")
    if not isinstance(joins_turns, bool):
        raise ConfigError(f"joins_turns: expected true or false, found {brief(joins_turns)}")
    if not isinstance(separator, str):
        raise ConfigError(f"turn_separator: expected a text, found {brief(separator)}")
    place = next((entry.when for entry in entries if entry.when in _PLACES), "")
    if (separator or place) and not joins_turns:
        what = "turn_separator" if separator else f"when = {place!r}"
        raise ConfigError(f"{what} is about conversations, which this file does not write: add joins_turns = true")
    return joins_turns, separator


def _entry(value: Any, where: str) -> Entry:
    if isinstance(value, str) and value in _FIELDS:
        role, field, when = _FIELDS[value]
        return Entry(name=value, role=role, field=field, when=when)
    if isinstance(value, str):
        near = suggestion(value, _FIELDS).partition(".")[0].partition(" Available")[0]
        known = "" if value in _WORDED else near
        raise ConfigError(f"{where}: {brief(value)} needs a text or is not a role{known}; {_EXPECTED}")
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {_EXPECTED}, found {brief(value)}")
    roles = [key for key in value if key != "when"]
    if len(roles) != 1:
        raise ConfigError(f"{where}: expected one role and its text, found {len(roles)} in {brief(dict(value))}")
    (role,) = roles
    if role not in _WORDED:
        raise ConfigError(f"{where}: {role!r} takes no text{suggestion(role, _WORDED)}")
    text, when = value[role], value.get("when", "")
    if not isinstance(text, str) or (not text and role != "response"):
        raise ConfigError(f"{where}.{role}: expected a text, found {brief(text)}")
    if "when" in value and (when not in ("always", *_CONDITIONS, *_PLACES) or role != "template"):
        *listed, last = (f'"{one}"' for one in (*_CONDITIONS, *_PLACES))
        expected = f"{', '.join(listed)} or {last}, at a template only"
        raise ConfigError(f"{where}.when: expected {expected}, found {brief(when)} at {role!r}")
    when = "" if when == "always" else when
    return Entry(name=role, role=Role[role.upper()], text=text, field="output" if role == "response" else "", when=when)


def _check_order(entries: Sequence[Entry]) -> None:
    for role in (Role.INSTRUCTION, Role.INPUT, Role.RESPONSE):
        count = sum(entry.role is role for entry in entries)
        is_lost = role is Role.INPUT and not count
        why = ": an example's input would be lost (an empty one is left out anyway)" if is_lost else ""
        if count != 1:
            raise ConfigError(f"segments: {role.label!r} is there {count} times, expected once{why}")
    for name in ("system", "tools", "tool"):
        count = sum(entry.name == name for entry in entries)
        if count > 1:
            raise ConfigError(f"segments: {name!r} is there {count} times, expected once or never")
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


def _stop_strings(listed: Any) -> Iterator[str]:
    if not isinstance(listed, list):
        raise ConfigError(f"stop_strings: expected a list of texts, found {brief(listed)}")
    for number, stop in enumerate(listed):
        if not isinstance(stop, str) or not stop.strip():
            raise ConfigError(f"stop_strings[{number}]: expected a text that no good answer has, found {brief(stop)}")
        yield stop
