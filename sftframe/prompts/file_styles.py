"""Prompt styles without code: TOML files of segments, Jinja templates, chat templates."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sftframe.errors import ConfigError
from sftframe.plugins import PromptStyle
from sftframe.prompts.files import (
    OWN,
    ChatOptions,
    FileName,
    JinjaOptions,
    Layout,
    SegmentListOptions,
    T,
    read_text,
)
from sftframe.prompts.segment_lists import SegmentList, parse_segments
from sftframe.records import Example, Role, Segment, Turn

if TYPE_CHECKING:
    from sftframe.prompts.chat_templates import ChatLayout


class FilePromptStyle(PromptStyle):
    """A prompt style from a file. `file_style` makes its classes, one per file."""

    path: ClassVar[Path]

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._where = self.name if self.options.content else str(self.path)
        if not self.options.content:
            self.options = dataclasses.replace(self.options, content=self.read())
        self._layout = self._explained(self.layout)
        self._stops = tuple(
            dict.fromkeys((*self._explained(lambda: self._layout.stop_strings), *self.options.stop_strings))
        )
        for probe in _PROBES:
            self.segments(probe)

    @classmethod
    def read(cls) -> str:
        """The text that the option `content` keeps: the file's.

        Raises:
            ConfigError: there is no such file, or it cannot be read.
        """
        return read_text(cls.path)

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


_TALK = Example(
    index=0,
    turns=(Turn(instruction="Add.", input="2, 3", output="5"), Turn(instruction="Twice?", output="10")),
    instruction="And in words?",
    output="Ten.",
)
"""What every new style of conversations is tried with."""


_BLANKS_AROUND = Example(index=0, instruction=" Name. ", input=" a, b ", output="a")


class _SegmentList(FilePromptStyle):
    Options = SegmentListOptions

    def layout(self) -> Layout:
        return parse_segments(self.options.content)

    @property
    def can_converse(self) -> bool:
        return self._list.joins_turns

    def conversation(self, example: Example) -> Sequence[Segment]:
        """The exchanges one after the other, if the file says `joins_turns = true`."""
        return _with_clean_border(self._list.conversation(example))

    @property
    def _list(self) -> SegmentList:
        assert isinstance(self._layout, SegmentList)
        return self._layout


class _JinjaTemplate(FilePromptStyle):
    Options = JinjaOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        if self.can_converse:
            self.conversation(_TALK)

    def layout(self) -> Layout:
        from sftframe.prompts.jinja_styles import JinjaLayout

        return JinjaLayout(self.options.content, self.options.variables)

    @property
    def can_converse(self) -> bool:
        from sftframe.prompts.jinja_styles import JinjaLayout

        return isinstance(self._layout, JinjaLayout) and self._layout.has_turns

    def conversation(self, example: Example) -> Sequence[Segment]:
        """Rendered as a whole, by the loop over `turns`."""
        from sftframe.prompts.jinja_styles import JinjaLayout

        layout = self._layout
        assert isinstance(layout, JinjaLayout)
        return _with_clean_border(self._explained(lambda: layout.conversation(example)))


class _ChatTemplate(FilePromptStyle):
    Options = ChatOptions

    @classmethod
    def read(cls) -> str:
        from sftframe.prompts.chat_templates import read_tokenizer_files

        return read_tokenizer_files(cls.path)

    def layout(self) -> Layout:
        from sftframe.prompts.chat_templates import ChatLayout

        return ChatLayout(self.options)

    def conversation(self, example: Example) -> Sequence[Segment]:
        """Rendered as a whole."""
        return _with_clean_border(self._explained(lambda: self._chat.conversation(example)))

    @property
    def _chat(self) -> ChatLayout:
        from sftframe.prompts.chat_templates import ChatLayout

        assert isinstance(self._layout, ChatLayout)
        return self._layout


class OwnTemplate(_ChatTemplate):
    """The chat template of the model that is trained; its text comes in the option `content`.

    It writes what transformers' `apply_chat_template` writes: an answer is trimmed if the template trims it, and white
    space at the end of the prompt stays there.
    """

    name = OWN
    summary = "the model's own chat template"
    path = Path(OWN)

    @classmethod
    def read(cls) -> str:
        raise ConfigError("no model with a chat template of its own is chosen; choose another style with --prompt")

    @classmethod
    def text_in(cls, folder: Path) -> str | None:
        """What the option `content` keeps of a tokenizer's folder; None if it has no chat template."""
        from sftframe.prompts.chat_templates import has_chat_template, read_tokenizer_files

        return read_tokenizer_files(folder) if has_chat_template(folder) else None

    def layout(self) -> Layout:
        """Thinking is off if the template would otherwise ask for it and train answers without it."""
        from sftframe.prompts.chat_templates import ChatLayout

        layout = ChatLayout(self.options, is_exact=True)
        known = [name for name in _THINKING if name in layout.names and name not in self.options.variables]
        if not known or _is_usable(layout):
            return layout
        self.options = dataclasses.replace(
            self.options, variables={**self.options.variables, **dict.fromkeys(known, False)}
        )
        return ChatLayout(self.options, is_exact=True)

    def segments(self, example: Example) -> Sequence[Segment]:
        return self._explained(lambda: self._layout.segments(example))

    def conversation(self, example: Example) -> Sequence[Segment]:
        return self._explained(lambda: self._chat.conversation(example))

    @property
    def chat_template(self) -> str:
        return self._chat.source

    def _explained(self, work: Callable[[], T]) -> T:
        try:
            return super()._explained(work)
        except ConfigError as error:
            raise ConfigError(f"{error}; or choose another style with --prompt") from error


_THINKING = ("enable_thinking", "thinking")
"""Names by which public chat templates switch reasoning on and off."""


def _is_usable(layout: ChatLayout) -> bool:
    try:
        layout.segments(_PROBES[0])
    except ConfigError:
        return False
    return True


_BASES: dict[str, type[FilePromptStyle]] = {"toml": _SegmentList, "jinja": _JinjaTemplate, "hf": _ChatTemplate}


def file_style(file: FileName) -> type[FilePromptStyle]:
    """The class of the style that a file describes; the file is read when a style is made."""
    facts = {"name": file.name, "summary": f"prompt style from the file {file.path}", "path": file.path}
    return type("FileStyle", (_BASES[file.kind],), {**facts, "__module__": __name__})


def _with_clean_border(pieces: Iterable[Segment]) -> list[Segment]:
    """The same text; white space at the prompt's end belongs to the response, unless it is a single line break.

    A tokenizer joins a space, or one of several line breaks, with the answer's first word. A prompt that ends in white
    space then has tokens that the model has never seen. As the beginning of the response, the white space is learned.
    """
    joined = [
        Segment(role, "".join(piece.text for piece in run)) for role, run in groupby(pieces, lambda piece: piece.role)
    ]
    for border, response in enumerate(joined):
        if response.role is not Role.RESPONSE or not border or joined[border - 1].role is not Role.TEMPLATE:
            continue
        words = joined[border - 1].text
        end = words[len(words.rstrip()) :]
        if end != "\n":
            joined[border - 1] = Segment(Role.TEMPLATE, words.removesuffix(end))
            joined[border] = Segment(Role.RESPONSE, end + response.text)
    return joined
