"""A prompt style as a template of fixed words with slots, found by rendering placeholders.

Other programs cannot call a `PromptStyle`; what they can fill in is such a template. A style that does more than to put
words around instruction and input has none, and is refused. Takes a style, gives a `PromptTemplate`; knows nothing of
the languages that templates are written in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from sftframe.errors import PluginError
from sftframe.interfaces import PromptStyle
from sftframe.records import Example


class Slot(Enum):
    """A place in a template that an example fills."""

    INSTRUCTION = "instruction"
    INPUT = "input"


Piece: TypeAlias = str | Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """What a prompt style writes, as texts and slots in their order."""

    style: str
    """The style's name."""
    without_input: tuple[Piece, ...]
    """The prompt of an example that has no input."""
    with_input: tuple[Piece, ...]
    answer_start: str
    """What the style writes between the prompt and an answer, for instance a space."""
    answer_end: str
    """What it writes behind an answer, before the end token, for instance a closing tag."""
    stop_strings: tuple[str, ...]

    def render(self, instruction: str, input: str = "") -> str:
        """The prompt, as the style would write it."""
        filled = {Slot.INSTRUCTION: instruction, Slot.INPUT: input}
        pieces = self.with_input if input else self.without_input
        return "".join(filled[piece] if isinstance(piece, Slot) else piece for piece in pieces)


PROBES = (
    Example(index=0, instruction="placeholder for instruction", input="placeholder for input", output="answer holder"),
    Example(index=7, instruction='Line 1: "a" {b}?\n\n- Two.', input="x, y;\n\tz = {{3}}.", output="First.\n\nSecond!"),
)
"""Texts that no style writes of its own; they differ in all that a style might look at."""


def derive_template(style: PromptStyle) -> PromptTemplate:
    """The template that writes what the style writes.

    Raises:
        PluginError: there is none: the style changes what it is given, leaves it out, or lets other words depend on it.
    """
    first, *others = (_template(style, probe) for probe in PROBES)
    if any(other != first for other in others):
        raise _no_template(style, "its own words depend on the example")
    return first


def _template(style: PromptStyle, probe: Example) -> PromptTemplate:
    """What one rendered example says of the template."""
    plain = Example(index=probe.index, instruction=probe.instruction, output=probe.output)
    start, end = _around_answer(style, probe)
    return PromptTemplate(
        style=style.name,
        without_input=_pieces(style, plain),
        with_input=_pieces(style, probe),
        answer_start=start,
        answer_end=end,
        stop_strings=style.stop_strings,
    )


def _pieces(style: PromptStyle, probe: Example) -> tuple[Piece, ...]:
    slots = {text: slot for slot in Slot if (text := getattr(probe, slot.value))}
    cut = re.split("(" + "|".join(map(re.escape, slots)) + ")", style.prompt_text(probe))
    for text, slot in slots.items():
        if text not in cut:
            raise _no_template(style, f"it does not write the {slot.value} as it is given")
    return tuple(slots.get(text, text) for text in cut if text)


def _around_answer(style: PromptStyle, probe: Example) -> tuple[str, str]:
    answer = "".join(segment.text for segment in style.render(probe)[1])
    start, found, end = answer.partition(probe.output)
    if not found:
        raise _no_template(style, "it does not write the output as it is given")
    return start, end


def _no_template(style: PromptStyle, reason: str) -> PluginError:
    return PluginError(
        f"prompt style {style.name!r} cannot be exported: {reason}, so that no template of fixed words equals it; "
        "`sftframe chat` and `sftframe generate` call the style itself"
    )
