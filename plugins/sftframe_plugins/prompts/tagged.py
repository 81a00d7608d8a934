"""Chats whose messages stand between a header, which names who speaks, and a closing tag.

The tags are plain text to GPT-2, several tokens each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from sftframe import Example, PromptStyle, Role, Segment

TOOLS = "Tools that can be called:\n"
"""Stands before the tools, which follow the system message. The published forms leave these words to the user."""


class TaggedTurns(PromptStyle):
    """What these styles have in common; each gives its tags.

    The closing tag of an answer is learned like the end token, and ends the answer. The text after the tag is written
    before the next message only: no model has to learn it.
    """

    joins_turns = True
    after_header: ClassVar[str] = "\n"
    """Between header and text of a message."""
    tool_speaker: ClassVar[str] = ""
    """Who speaks where a tool gives something back, and the sign that tools can be written at all."""

    @abstractmethod
    def header(self, speaker: str) -> str:
        """The words before a message of `system`, `user`, `assistant` or the tool's speaker."""

    @property
    @abstractmethod
    def closing_tag(self) -> str:
        """What ends a message; may be empty."""

    def segments(self, example: Example) -> Iterator[Segment]:
        closed = self.closing_tag + self.turn_separator
        yield from self._system(example, closed)
        is_tool = example.speaker == "tool" and self.tool_speaker
        yield Segment(Role.TEMPLATE, self.header(self.tool_speaker if is_tool else "user") + self.after_header)
        yield Segment(Role.TOOL if is_tool else Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        # a tokenizer joins several line breaks with what follows: they belong to the answer
        is_safe = self.after_header == "\n"
        yield Segment(Role.TEMPLATE, closed + self.header("assistant") + (self.after_header if is_safe else ""))
        yield Segment(Role.RESPONSE, ("" if is_safe else self.after_header) + example.output)
        yield Segment(Role.END, self.closing_tag)

    def _system(self, example: Example, closed: str) -> Iterator[Segment]:
        tools = example.tools if self.tool_speaker else ""
        if not (example.system or tools):
            return
        yield Segment(Role.TEMPLATE, self.header("system") + self.after_header)
        yield Segment(Role.SYSTEM, example.system)
        if tools:
            yield Segment(Role.TEMPLATE, ("\n\n" if example.system else "") + TOOLS)
            yield Segment(Role.SYSTEM, tools)
        yield Segment(Role.TEMPLATE, closed)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return (self.closing_tag,) if self.closing_tag else ()
