"""Microsoft's layout for Phi-3 (Abdin et al. 2024): the turns of a chat between tags.

The tags are plain text to GPT-2, several tokens each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sftframe import Example, PromptStyle, Role, Segment, option

END_TAG = "<|end|>"


@dataclass(frozen=True, kw_only=True)
class Phi3Options:
    """What can be set for `phi3`."""

    end_tag: bool = option(True, "close each turn with <|end|>; false gives the shorter form of the chapter")


class Phi3(PromptStyle):
    """The user's and the assistant's turn; the closing tag is learned like the end token, and ends the answer."""

    name = "phi3"
    summary = "chat turns between <|user|>, <|assistant|> and <|end|>, as in Phi-3"
    Options = Phi3Options

    def segments(self, example: Example) -> Iterator[Segment]:
        end_tag = END_TAG if self.options.end_tag else ""
        yield Segment(Role.TEMPLATE, "<|user|>\n")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, f"{end_tag}\n<|assistant|>\n")
        yield Segment(Role.RESPONSE, example.output)
        if end_tag:
            yield Segment(Role.END, end_tag)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return (END_TAG,) if self.options.end_tag else ()
