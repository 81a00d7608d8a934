"""Makes the prompt style that a file describes; the text of the file is one of its options.

`segment_list`, `jinja_template` and `chat_template` read the text.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from sftframe.errors import ConfigError, suggestion
from sftframe.files import read_named_text
from sftframe.interfaces import PromptStyle, option
from sftframe.prompt_files.names import FileName
from sftframe.records import Example, Role, Segment

T = TypeVar("T")

_CONTENT = "the file's text, as a run keeps it; if empty, the file is read"
_STOPS = "texts that end an answer, besides the closing tag"
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
class JinjaOptions:
    """What can be set for a Jinja file."""

    content: str = option("", _CONTENT)
    stop_strings: tuple[str, ...] = option((), _STOPS)
    variables: dict[str, Any] = field(default_factory=dict, metadata={"description": _VARIABLES})


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """What can be set for a chat template."""

    content: str = option("", _CONTENT)
    stop_strings: tuple[str, ...] = option((), _STOPS)
    variables: dict[str, Any] = field(default_factory=dict, metadata={"description": _VARIABLES})
    template: str = option("default", "which of the file's templates, where it has several")
    system: str = option("", "a system message before the question")
    input_separator: str = option("\n\n", "text between instruction and input in the user's message")


class FilePromptStyle(PromptStyle):
    """A prompt style from a file. `file_style` makes its classes, one per file."""

    path: ClassVar[Path]

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._where = self.name if self.options.content else str(self.path)
        if not self.options.content:
            self.options = dataclasses.replace(self.options, content=self.read())
        self._layout = self._explained(self.layout)
        self._stops = tuple(dict.fromkeys((*self._explained(self._own_stops), *self.options.stop_strings)))
        for probe in _PROBES:
            self.segments(probe)

    @classmethod
    @abstractmethod
    def read(cls) -> str:
        """The text that the option `content` keeps.

        Raises:
            ConfigError: there is no such file, or it cannot be read.
        """

    @abstractmethod
    def layout(self) -> Layout:
        """The layout that `options.content` describes."""

    def segments(self, example: Example) -> Sequence[Segment]:
        return _with_clean_border(self._explained(lambda: self._layout.segments(example)))

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return self._stops

    @cached_property
    def is_trimming(self) -> bool:
        """Whether the file's template trims its texts, as many chat templates do."""
        pieces = self.segments(_BLANKS_AROUND)
        texts = ((Role.INSTRUCTION, _BLANKS_AROUND.instruction), (Role.INPUT, _BLANKS_AROUND.input))
        return any(text not in "".join(p.text for p in pieces if p.role is role) for role, text in texts)

    def _own_stops(self) -> tuple[str, ...]:
        return self._layout.stop_strings

    def _explained(self, work: Callable[[], T]) -> T:
        """Add the file's name to an error."""
        try:
            return work()
        except ConfigError as error:
            raise ConfigError(f"{self._where}: {error}") from error


_PROBES = (
    Example(index=0, instruction="Name a colour.", output="Red."),
    Example(index=0, instruction="Translate into French.", input="good morning", output="bonjour"),
)
"""Examples that every new style is tried with: without and with an input."""


_BLANKS_AROUND = Example(index=0, instruction=" Name. ", input=" a, b ", output="a")


class _SegmentList(FilePromptStyle):
    Options = SegmentListOptions

    @classmethod
    def read(cls) -> str:
        return read_text(cls.path)

    def layout(self) -> Layout:
        from sftframe.prompt_files.segment_list import parse_segments

        return parse_segments(self.options.content)


class _JinjaTemplate(FilePromptStyle):
    Options = JinjaOptions

    @classmethod
    def read(cls) -> str:
        return read_text(cls.path)

    def layout(self) -> Layout:
        from sftframe.prompt_files.jinja_template import JinjaLayout

        return JinjaLayout(self.options.content, self.options.variables)


class _ChatTemplate(FilePromptStyle):
    Options = ChatOptions

    @classmethod
    def read(cls) -> str:
        from sftframe.prompt_files.tokenizer_files import read_tokenizer_files

        return read_tokenizer_files(cls.path)

    def layout(self) -> Layout:
        from sftframe.prompt_files.chat_template import ChatLayout

        return ChatLayout(self.options)


_BASES: dict[str, type[FilePromptStyle]] = {"toml": _SegmentList, "jinja": _JinjaTemplate, "hf": _ChatTemplate}


def file_style(file: FileName) -> type[FilePromptStyle]:
    """The class of the style that a file describes; the file is read when a style is made."""
    facts = {"name": file.name, "summary": f"prompt style from the file {file.path}", "path": file.path}
    return type("FileStyle", (_BASES[file.kind],), {**facts, "__module__": __name__})


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    try:
        text = read_named_text(path)
    except FileNotFoundError as error:
        folder = path.parent
        beside = [each.name for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []
        hint = suggestion(path.name, beside).partition(" Available:")[0].rstrip(".") if beside else ""
        raise ConfigError(f"no file {path} with a prompt style{hint}") from error
    except OSError as error:
        raise ConfigError(f"cannot read the prompt style {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the prompt style {path}: byte {error.start} is not UTF-8") from error
    if not text.strip():
        raise ConfigError(f"the prompt style {path} is an empty file")
    return text


def _with_clean_border(pieces: Iterable[Segment]) -> list[Segment]:
    """The same text; white space at the prompt's end belongs to the response, unless it is a single line break.

    A tokenizer joins a space, or one of several line breaks, with the answer's first word. A prompt that ends in white
    space then has tokens that the model has never seen. As the beginning of the response, the white space is learned.
    """
    joined = [
        Segment(role, "".join(piece.text for piece in run)) for role, run in groupby(pieces, lambda piece: piece.role)
    ]
    border = next(i for i, piece in enumerate(joined) if piece.role is Role.RESPONSE)
    if not border or joined[border - 1].role is not Role.TEMPLATE:
        return joined
    words, response = joined[border - 1].text, joined[border].text
    end = words[len(words.rstrip()) :]
    if end == "\n":
        return joined
    joined[border - 1 : border + 1] = [
        Segment(Role.TEMPLATE, words.removesuffix(end)),
        Segment(Role.RESPONSE, end + response),
    ]
    return joined
