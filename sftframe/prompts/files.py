"""What the file of a prompt style holds: its name, its text, a list of segments, and the options of each kind."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from sftframe.errors import ConfigError, brief, suggestion
from sftframe.files import read_named_text
from sftframe.plugins import option
from sftframe.records import Example, Role, Segment

Kind = Literal["toml", "jinja", "hf"]

_SUFFIXES: dict[str, Kind] = {".toml": "toml", ".jinja": "jinja", ".jinja2": "jinja", ".j2": "jinja"}
_ORDINARY = ("tokenizer_config", "chat_template")
"""The same file names in every Hugging Face repository; there the folder's name is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """A file that is meant to be a prompt style."""

    kind: Kind
    path: Path

    @property
    def name(self) -> str:
        """The style's name in a run, its reports and its folder's configuration.

        >>> FileName(kind="toml", path=Path("styles/my style.toml")).name
        'toml:my-style'
        >>> FileName(kind="hf", path=Path("/models/qwen/tokenizer_config.json")).name
        'hf:qwen'
        """
        stem = self.path.stem if self.path.suffix in (*_SUFFIXES, ".json") else self.path.name
        stem = self.path.absolute().parent.name if stem in _ORDINARY else stem
        return f"{self.kind}:{re.sub(r'[^A-Za-z0-9._-]+', '-', stem).strip('-') or 'style'}"


def prompt_file(name: str) -> FileName | None:
    """The file that a name means, if it means one. The file need not exist.

    >>> prompt_file("alpaca"), prompt_file("./x.toml").kind, prompt_file("hf:./model").kind
    (None, 'toml', 'hf')
    """
    kind, colon, rest = name.partition(":")
    if colon and rest and kind in ("toml", "jinja", "hf"):
        return FileName(kind=cast("Kind", kind), path=Path(rest))
    path = Path(name)
    return FileName(kind=_SUFFIXES[path.suffix], path=path) if path.suffix in _SUFFIXES else None


def looks_like_a_file(name: str) -> bool:
    """Whether a name that is not a prompt file's was probably meant as one.

    >>> looks_like_a_file("./style.txt"), looks_like_a_file("tokenizer_config.json"), looks_like_a_file("alpaca")
    (True, True, False)
    """
    return "/" in name or "\\" in name or Path(name).suffix in (".json", ".txt", ".yaml", ".yml", ".j", ".tml")


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
        is_lost = role is Role.INPUT and not count
        why = ": an example's input would be lost (an empty one is left out anyway)" if is_lost else ""
        if count != 1:
            raise ConfigError(f"segments: {role.label!r} is there {count} times, expected once{why}")
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


T = TypeVar("T")

_CONTENT = "the file's text, as a run keeps it; if empty, the file is read"
_STOPS = "texts that end an answer, in addition to the closing tag"
_VARIABLES = "more names that the template knows, with their values"


class Layout(Protocol):
    """What a file's text says."""

    def segments(self, example: Example) -> Sequence[Segment]:
        """The example's pieces. Errors are SftframeErrors; the message begins with what is wrong."""

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Texts that end an answer, closing tags among them."""


@dataclass(frozen=True, kw_only=True)
class SegmentListOptions:
    """What can be set for a TOML file."""

    content: str = option("", _CONTENT)
    stop_strings: tuple[str, ...] = option((), _STOPS)


@dataclass(frozen=True, kw_only=True)
class JinjaOptions(SegmentListOptions):
    """What can be set for a Jinja file."""

    variables: dict[str, Any] = field(default_factory=dict, metadata={"description": _VARIABLES})


@dataclass(frozen=True, kw_only=True)
class ChatOptions(JinjaOptions):
    """What can be set for a chat template."""

    template: str = option("default", "which of the file's templates, where it has several")
    system: str = option("", "a system message before the question")
    input_separator: str = option("\n\n", "text between instruction and input in the user's message")


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    try:
        text = read_named_text(path)
    except FileNotFoundError as error:
        folder = path.parent
        siblings = [each.name for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []
        hint = suggestion(path.name, siblings).partition(" Available:")[0].rstrip(".") if siblings else ""
        raise ConfigError(f"no file {path} with a prompt style{hint}") from error
    except OSError as error:
        raise ConfigError(f"cannot read the prompt style {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the prompt style {path}: byte {error.start} is not UTF-8") from error
    if not text.strip():
        raise ConfigError(f"the prompt style {path} is an empty file")
    return text
