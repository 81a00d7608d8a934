"""Which character of a template's text has which role, for single questions.

A template gives one text. Which part of it is instruction, input, response or template is found by rendering it with
marked values.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sftframe.errors import ConfigError, brief
from sftframe.records import Example, Role, Segment


@dataclass(frozen=True, slots=True)
class Asked:
    """What a template is rendered with."""

    instruction: str
    input: str
    answer: str
    is_prompt: bool = False
    """True: the question alone, as at inference; else the whole conversation."""


Render = Callable[[Sequence[Asked]], list[str]]
"""One text for each; all in one call, since every call is a message to another process."""

NONCHARACTERS = tuple(map(chr, range(0xFDD0, 0xFDF0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A rendering with marks in it, and what it shows."""

    text: str
    marks: Marks

    @property
    def unmarked(self) -> str:
        """The text without the marks around instruction and input; the answer's mark stays."""
        return re.sub(f"[{self.marks.instruction}{self.marks.input}{self.marks.close}]", "", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Four characters that the example does not contain."""

    instruction: str
    input: str
    close: str
    answer: str

    @classmethod
    def foreign_to(cls, example: Example) -> Marks:
        """Marks for an example.

        Raises:
            ConfigError: it contains nearly all noncharacters.
        """
        texts = example.instruction + example.input + example.output
        free = [each for each in NONCHARACTERS if each not in texts][:4]
        if len(free) < 4:
            raise ConfigError(f"example {example.index} contains 29 or more Unicode noncharacters: they are not text")
        return cls(instruction=free[0], input=free[1], close=free[2], answer=free[3])

    def variants(self, example: Example) -> Iterator[tuple[str, str]]:
        """Instruction and input with marks around the whole text, then around the text without outer white space."""
        instructions = self._around(self.instruction, example.instruction)
        return itertools.product(instructions, self._around(self.input, example.input))

    def _around(self, mark: str, text: str) -> list[str]:
        if not text:
            return [text]
        core = text.strip()
        start, _, end = text.partition(core) if core else (text, "", "")
        trimmed = f"{start}{mark}{core}{self.close}{end}" if core else text
        return list(dict.fromkeys((f"{mark}{text}{self.close}", trimmed)))


def attribute(example: Example, render: Render, *, has_prompt: bool = False, is_exact: bool = False) -> list[Segment]:
    """The segments of a template's text.

    Args:
        has_prompt: the template renders the prompt itself; else the prompt is what comes before the answer.
        is_exact: the text is exactly the template's, so that an answer which it trims is trimmed; else the answer stays
            as it is given.

    Raises:
        ConfigError: a character's role is not certain.
    """
    marks = Marks.foreign_to(example)
    # a template may treat an empty answer as none: the mark replaces it
    shown = example.output if example.output.strip() else marks.answer
    variants = list(marks.variants(example))
    whole = [Asked(*given, marks.answer) for given in variants]
    prompts = [Asked(*given, marks.answer, is_prompt=True) for given in variants] if has_prompt else []
    plain, *texts = render([Asked(example.instruction, example.input, shown), *whole, *prompts])
    for number, text in enumerate(texts[: len(whole)]):
        marked = Marked(text=text, marks=marks)
        _check_answer(marked)
        for answer in dict.fromkeys((shown, shown.strip())):
            if marked.unmarked.replace(marks.answer, answer) == plain:
                asked = texts[len(whole) + number] if has_prompt else None
                is_trimmed = is_exact and answer != shown
                return _segments(marked, example, asked, example.output.strip() if is_trimmed else example.output)
    raise ConfigError(
        "the template changes its texts, so the roles of the characters are not certain: write all texts unchanged "
        f"(found with instruction {brief(example.instruction)}, input {brief(example.input)} and response "
        f"{brief(example.output)})"
    )


def _check_answer(marked: Marked) -> None:
    count = marked.text.count(marked.marks.answer)
    if count != 1:
        raise ConfigError(f"the template writes the response {count} times; expected once, after the whole prompt")


def _segments(marked: Marked, example: Example, asked: str | None, answer: str) -> list[Segment]:
    marks = marked.marks
    before, _, after = marked.text.partition(marks.answer)
    if after.strip(marks.close) != after or marks.instruction in after or marks.input in after:
        raise ConfigError("the template writes instruction or input after the response; expected a closing tag at most")
    lead = "" if asked is None else lead_of(before, asked)
    pieces = list(_pieces(before[: len(before) - len(lead)], marks))
    _check_fields(pieces, example)
    return [*pieces, Segment(Role.RESPONSE, lead + answer), *([Segment(Role.END, after)] if after else [])]


def lead_of(before: str, asked: str) -> str:
    """What the template writes between the prompt and the answer; only white space is allowed."""
    lead = before.removeprefix(asked)
    if not before.startswith(asked):
        raise ConfigError(
            f"the prompt (add_generation_prompt) ends in {brief(asked[-60:])}, but the whole conversation has "
            f"{brief(before[-60:])} before the answer: the model would be trained on one prompt and asked with another"
        )
    if lead.strip():
        raise ConfigError(
            f"between the prompt (add_generation_prompt) and the answer the template writes {brief(lead)}, which would "
            "be trained but does not belong to the answer"
        )
    return lead


def _pieces(text: str, marks: Marks) -> Iterator[Segment]:
    role, opened = Role.TEMPLATE, {marks.instruction: Role.INSTRUCTION, marks.input: Role.INPUT}
    for part in re.split(f"([{marks.instruction}{marks.input}{marks.close}])", text):
        if part in opened and role is Role.TEMPLATE:
            role = opened[part]
        elif part == marks.close and role is not Role.TEMPLATE:
            role = Role.TEMPLATE
        elif part in opened or part == marks.close:
            raise ConfigError("the template cuts instruction or input into pieces; write them whole")
        elif part:
            yield Segment(role, part)


def _check_fields(pieces: Sequence[Segment], example: Example) -> None:
    """Check that instruction and input are there, unchanged except for white space around them."""
    for role, text in ((Role.INSTRUCTION, example.instruction), (Role.INPUT, example.input)):
        found = [piece.text for piece in pieces if piece.role is role]
        if text.strip() and not found:
            raise ConfigError(f"the template leaves out the {role.label} {brief(text)}; write {{{{ {role.label} }}}}")
        changed = next((each for each in found if each not in (text, text.strip())), None)
        if changed is not None:
            raise ConfigError(f"the template changes the {role.label} {brief(text)} to {brief(changed)}")


def closing_tag(pieces: Sequence[Segment]) -> tuple[str, ...]:
    """The text after the answer, as a stop string; nothing if it is white space."""
    tag = "".join(piece.text for piece in pieces if piece.role is Role.END).strip()
    return (tag,) if tag else ()
