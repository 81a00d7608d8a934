"""What the file of a prompt style holds: its name, its text, a list of segments, and the options of each kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from sftframe.errors import ConfigError, suggestion
from sftframe.files import read_named_text
from sftframe.plugins import option
from sftframe.records import Example, Segment

Kind = Literal["toml", "jinja", "hf"]

_SUFFIXES: dict[str, Kind] = {".toml": "toml", ".jinja": "jinja", ".jinja2": "jinja", ".j2": "jinja"}
_ORDINARY = ("tokenizer_config", "chat_template")
"""The same file names in every Hugging Face repository; there the folder's name is used."""


OWN = "own"
"""The prompt style that is the chat template of the model itself."""


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
    date: str = option("", "the day, YYYY-MM-DD, that a template gets which asks for today's; the same in every prompt")


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
