"""Which character of a rendered conversation has which role: a template is rendered with marks around every text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sftframe.errors import ConfigError, brief
from sftframe.prompts.marks import NONCHARACTERS, lead_of
from sftframe.records import Example, Role, Segment

_SINGLE = "--set data.turns=last (or first, each) uses single exchanges"

Wrap = Callable[[Role, str], str]
"""A text of a role with marks around it; `TEMPLATE` stands for a text within the tools, which are data too."""


Request = Callable[[Wrap, str | None], Mapping[str, Any]]
"""The names that a template is rendered with: the texts wrapped, and the last answer; None = the question alone."""


def attribute_conversation(
    example: Example,
    request: Request,
    render: Callable[[Sequence[Mapping[str, Any]]], list[str]],
    *,
    has_prompt: bool,
    eos: str = "",
    is_exact: bool = False,
) -> list[Segment]:
    """The segments of a template's text of a whole conversation, with the closing tag of each answer as `END`.

    Args:
        render: one text per request.
        has_prompt: the template renders the prompt itself; else the prompt is what comes before the last answer, and
            white space after an answer or its tag stands between exchanges.
        eos: what the template may write after the last answer's tag alone.
        is_exact: as in `attribute`, for the last answer; and white space that the prompt at inference leaves out before
            it is part of the earlier answers too.

    Raises:
        ConfigError: a character's role is not certain, or an earlier answer is not closed like the last one.
    """
    marks = ConversationMarks.foreign_to(example)
    shown = example.output if example.output.strip() else marks.answer
    requests = [request(lambda _, text: text, shown)]
    for wrap in marks.variants(example):
        requests += [request(wrap, marks.answer), *([request(wrap, None)] if has_prompt else [])]
    plain, *texts = render(requests)
    size = 2 if has_prompt else 1
    for whole, *asked in (texts[start : start + size] for start in range(0, len(texts), size)):
        if whole.count(marks.answer) != 1:
            continue
        for answer in dict.fromkeys((shown, shown.strip())):
            if marks.without(whole).replace(marks.answer, answer) == plain:
                is_trimmed = is_exact and answer != shown
                text = example.output.strip() if is_trimmed else example.output
                pieces, lead = _attributed(marks, example, whole, asked, eos, text)
                return _led(pieces, lead) if is_exact else pieces
    raise ConfigError(
        f"the template changes a text of the conversation in example {example.index}, or leaves one out, so the roles "
        f"of the characters are not certain; {_SINGLE}"
    )


def _attributed(
    marks: ConversationMarks, example: Example, whole: str, asked: Sequence[str], eos: str, answer: str
) -> tuple[list[Segment], str]:
    """The pieces, and what stands before the last answer and not in the prompt at inference."""
    before, _, after = whole.partition(marks.answer)
    if after != marks.without(after):
        raise ConfigError(f"the template writes a text of example {example.index} after its last answer")
    after = after if asked else after.rstrip()
    lead = lead_of(marks.without(before), marks.without(asked[0])) if asked else ""
    pieces = list(marks.pieces(before[: len(before) - len(lead)], example))
    marks.check(list(marks.pieces(marks.without_tools(before), example)), example)
    tags = [tag for tag in dict.fromkeys((after, after.removesuffix(eos), after.strip())) if tag]
    closed = list(_closed(pieces, tags, example))
    end = [Segment(Role.END, after)] if after else []
    return [*closed, Segment(Role.RESPONSE, lead + answer), *end], lead


def _led(pieces: Sequence[Segment], lead: str) -> list[Segment]:
    """The pieces in which the lead belongs to the earlier answers too, and not to the words before them."""
    found = list(pieces)
    last = max(place for place, piece in enumerate(pieces) if piece.role is Role.RESPONSE)
    for place, (before, piece) in enumerate(pairwise(pieces[:last])):
        if piece.role is Role.RESPONSE and before.role is Role.TEMPLATE and lead and before.text.endswith(lead):
            found[place] = Segment(Role.TEMPLATE, before.text.removesuffix(lead))
            found[place + 1] = Segment(Role.RESPONSE, lead + piece.text)
    return found


_MARKED = (Role.SYSTEM, Role.INSTRUCTION, Role.INPUT, Role.TOOL, Role.RESPONSE, Role.TEMPLATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationMarks:
    """Characters that the conversation does not contain: one opens the texts of each role, one closes them."""

    opening: Mapping[Role, str]
    close: str
    answer: str

    @classmethod
    def foreign_to(cls, example: Example) -> ConversationMarks:
        """Marks for an example.

        Raises:
            ConfigError: it contains nearly all noncharacters.
        """
        texts = "".join([_unescaped(example.tools), *(text for _, text in _texts(example)), example.output])
        free = [each for each in NONCHARACTERS if each not in texts]
        if len(free) < len(_MARKED) + 2:
            raise ConfigError(f"example {example.index} contains 25 or more Unicode noncharacters: they are not text")
        close, answer, *opening = free
        return cls(opening=dict(zip(_MARKED, opening, strict=False)), close=close, answer=answer)

    def variants(self, example: Example) -> Iterator[Wrap]:
        """Marks around the whole texts of each role, and around the texts without outer white space."""
        loose = sorted({role for role, text in _texts(example) if text != text.strip()})
        for number in range(2 ** len(loose)):
            trimmed = {role for place, role in enumerate(loose) if number >> place & 1}
            yield lambda role, text, trimmed=trimmed: self._around(role, text, is_trimmed=role in trimmed)  # type: ignore[misc]

    def _around(self, role: Role, text: str, *, is_trimmed: bool) -> str:
        core = text.strip() if is_trimmed else text
        if not core:
            return text
        start, _, end = text.partition(core)
        return f"{start}{self.opening[role]}{core}{self.close}{end}"

    def without(self, text: str) -> str:
        """The text without the marks around it; the answer's mark stays."""
        return re.sub(f"[{''.join(self.opening.values())}{self.close}]", "", text)

    def without_tools(self, text: str) -> str:
        """The text without the marks around texts within the tools."""
        return re.sub(f"{self.opening[Role.TEMPLATE]}([^{self.close}]*){self.close}", r"\1", text)

    def pieces(self, text: str, example: Example) -> Iterator[Segment]:
        """The text in pieces, each with its role; texts within the tools are `SYSTEM`."""
        roles = {mark: Role.SYSTEM if role is Role.TEMPLATE else role for role, mark in self.opening.items()}
        role = Role.TEMPLATE
        for part in re.split(f"([{''.join(roles)}{self.close}])", text):
            if part in roles and role is Role.TEMPLATE:
                role = roles[part]
            elif part == self.close and role is not Role.TEMPLATE:
                role = Role.TEMPLATE
            elif part in roles or part == self.close:
                raise ConfigError(
                    f"the template cuts a text of the conversation in example {example.index} into pieces, as one "
                    f"that rewrites earlier turns; {_SINGLE}"
                )
            elif part:
                yield Segment(role, part)

    def check(self, pieces: Sequence[Segment], example: Example) -> None:
        """Check that every text is there once, in order, unchanged except for white space around it.

        Whether a system message, tools or what a tool gave back are missing is not checked here: the core does, for
        every style.
        """
        texts = ((piece.role, piece.text.strip()) for piece in pieces if piece.role is not Role.TEMPLATE)
        found = [(role, text) for role, text in texts if text]
        before = [(Role.SYSTEM, text.strip()) for text in (example.system, example.tools)]
        while found and found[0] in before:
            before.remove(found.pop(0))
        for role, text in ((role, text.strip()) for role, text in _texts(example) if text.strip()):
            if found[:1] == [(role, text)]:
                found.pop(0)
            elif role not in (Role.SYSTEM, Role.TOOL):
                raise ConfigError(
                    f"the template leaves out or moves the {role.label} {brief(text)} of example {example.index}"
                )
        if found:
            raise ConfigError(f"the template writes a text of example {example.index} twice")


def _unescaped(tools: str) -> str:
    """The tools with all characters that escapes in their JSON stand for."""
    try:
        return json.dumps(json.loads(tools), ensure_ascii=False)
    except ValueError:
        return tools


def _texts(example: Example) -> Iterator[tuple[Role, str]]:
    """Every text before the last answer, in order, with its role."""
    yield Role.SYSTEM, example.system
    for number, exchange in enumerate(example.exchanges):
        yield (Role.TOOL if exchange.speaker == "tool" else Role.INSTRUCTION), exchange.instruction
        yield Role.INPUT, exchange.input
        if number < len(example.turns):
            yield Role.RESPONSE, exchange.output


def _closed(pieces: Sequence[Segment], tags: Sequence[str], example: Example) -> Iterator[Segment]:
    """The pieces with the closing tag of each earlier answer as `END`."""
    is_answered = False
    for piece in pieces:
        tag = next((tag for tag in tags if piece.text.startswith(tag)), None)
        if is_answered and tags:
            if tag is None or piece.role is not Role.TEMPLATE:
                raise ConfigError(
                    f"the template closes the last answer with {brief(tags[0])}, and an earlier one of example "
                    f"{example.index} with {brief(piece.text[:40])}: the model would not learn where it ends"
                )
            yield Segment(Role.END, tag)
            piece = Segment(Role.TEMPLATE, piece.text.removeprefix(tag))
        is_answered = piece.role is Role.RESPONSE
        if piece.text:
            yield piece
