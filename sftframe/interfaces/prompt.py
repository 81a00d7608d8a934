"""The base class of prompt styles: from an example to text with roles, and from a model's text back to an answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import final

from sftframe.interfaces.component import Component
from sftframe.records import Example, Role, Segment


class PromptStyle(Component):
    """How an example is written out for the model; training, generation, chat and judging all use the same object.

    A complete style:

        class Vicuna(PromptStyle):
            name = "vicuna"
            summary = "USER and ASSISTANT on one line, as in Vicuna 1.1"

            def segments(self, example):
                yield Segment(Role.TEMPLATE, "USER: ")
                yield Segment(Role.INSTRUCTION, example.instruction)
                if example.input:
                    yield Segment(Role.TEMPLATE, "\\n")
                    yield Segment(Role.INPUT, example.input)
                yield Segment(Role.TEMPLATE, " ASSISTANT:")
                yield Segment(Role.RESPONSE, " " + example.output)

    The *prompt* is all that comes before the first `RESPONSE` segment. It must not depend on `example.output`. The
    tokenizer's end token is appended by the core; a style adds an `END` segment only for its own closing tag.
    """

    @abstractmethod
    def segments(self, example: Example) -> Iterable[Segment]:
        """The example's text in order, each piece with its role; exactly one of them is the `RESPONSE`."""

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Texts that end an answer besides the end token; by default the style's own closing tags."""
        return ()

    @property
    def is_trimming(self) -> bool:
        """Whether the style drops white space around instruction and input on purpose; all other characters stay."""
        return False

    def extract(self, text: str) -> str:
        """The answer in what the model wrote: everything before the first stop string, white space stripped."""
        for stop in self.stop_strings:
            text = text.partition(stop)[0]
        return text.strip()

    @final
    def render(self, example: Example) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """Prompt segments and answer segments; empty pieces left out, except that an answer always has its response."""
        pieces = tuple(self.segments(example))
        border = next((i for i, piece in enumerate(pieces) if piece.role == Role.RESPONSE), len(pieces))
        answer = tuple(p for p in pieces[border:] if p.text or p.role == Role.RESPONSE)
        return tuple(p for p in pieces[:border] if p.text), answer

    @final
    def prompt_text(self, example: Example) -> str:
        """The text that the model is given at inference."""
        return "".join(piece.text for piece in self.render(example)[0])
