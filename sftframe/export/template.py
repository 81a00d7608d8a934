"""Finds the template of a prompt style (fixed words with slots) by rendering placeholders.

Other programs cannot call a `PromptStyle`; they need such a template. A style that does more than put words around
instruction and input has no template and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from sftframe.errors import PluginError
from sftframe.interfaces import PromptStyle, Tokenizer
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
    """What it writes after an answer, before the end token, for instance a closing tag."""
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
"""Texts that no style writes itself; they differ in everything that a style might look at."""


_LONG = "A sentence that a style might cut short. " * 250
_TRIALS: tuple[tuple[str, str], ...] = (
    ("white space around it", " \t  padded on both sides \n\n "),
    ("a long text", _LONG.strip()),
    ("many lines", "\n".join(f"{number}. line" for number in range(120))),
    ("Windows line breaks", "one\r\ntwo\rthree\r\n\r\nfour"),
    ("letters with separate accents", "nai\u0308ve cafe\u0301 A\u030a \u1112\u1161\u11ab"),
    ("letters of width and ligatures", "\ufb01ne \uff21\uff22 \u2460 \u00b2 \u212b"),
    ("spaces and tabs in a row", "a  b\t\tc   d \n \n e"),
    ("blank lines in a row", "a\n\n\n\nb"),
    ("signs that cannot be seen", "a\u200bb\ufeffc\u00add\u202ee\u00a0f\u3000g\x00h\x1bi"),
    ("signs of HTML and quotation marks", "<b>&amp; 'x' \"y\" \u201cz\u201d \u2026 \u2013"),
    ("capital letters", "SHOUTING and IJ \u0130 \u00df"),
    ("numbers", "1,000.50 007 -3 \u00bd"),
    ("template words", "{{ x }} {% y %} {0} %s $z ### Response: <|user|>"),
    ("a full stop at the end", "Do it."),
    ("a question", "Is it?"),
    ("no full stop", "do it"),
    ("one letter", "x"),
    ("white space alone", "  "),
    ("a line break alone", "\n"),
)
"""Texts that a style might change, drop or look at, with their names."""


def derive_template(style: PromptStyle) -> PromptTemplate:
    """The template that writes what the style writes.

    Raises:
        PluginError: there is none: the style changes or drops the given texts, or other words depend on them.
    """
    first, *others = (_template(style, probe) for probe in PROBES)
    if any(other != first for other in others):
        raise _no_template(style, "its own words depend on the example")
    for what, example in _trials():
        _check(style, first, what, example)
    return first


def _trials() -> Iterator[tuple[str, Example]]:
    """Examples with every kind of text in each field; the other fields are plain."""
    for number, (what, text) in enumerate(_TRIALS):
        plain = Example(index=1000 + number, instruction="Say it", output="So be it")
        yield f"an instruction with {what}", replace(plain, instruction=text)
        yield f"an instruction with {what}", replace(plain, instruction=text, input="of this")
        yield f"an input with {what}", replace(plain, input=text)
        yield f"an output with {what}", replace(plain, output=text)
        yield f"an output with {what}", replace(plain, input="of this", output=text)


def _check(style: PromptStyle, template: PromptTemplate, what: str, example: Example) -> None:
    """Check that the template writes the same as the style."""
    prompt, answer = ("".join(piece.text for piece in part) for part in style.render(example))
    if prompt != template.render(example.instruction, example.input):
        raise _no_template(style, f"with {what} its prompt is not its own words around the unchanged texts")
    if answer != template.answer_start + example.output + template.answer_end:
        raise _no_template(style, f"with {what} it does not write the output as it is given")


def control_tokens_in(style: PromptStyle, tokenizer: Tokenizer) -> list[str]:
    """Names of the tokenizer's control tokens among the style's own words.

    sftframe trains such a word as ordinary tokens, by its letters. Other programs read one control token there, which
    was never trained.
    """
    examples = [each for probe in PROBES for each in (probe, replace(probe, input=""))]
    texts = ["".join(piece.text for part in style.render(each) for piece in part) for each in examples]
    return sorted(name for name in tokenizer.control_tokens if any(name in text for text in texts))


def _template(style: PromptStyle, probe: Example) -> PromptTemplate:
    """The template as one rendered example shows it."""
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
        f"prompt style {style.name!r} cannot be exported: {reason}, so no template of fixed words writes the same; "
        "`sftframe chat` and `sftframe generate` call the style itself"
    )
