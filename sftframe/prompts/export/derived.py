"""The template that a prompt style follows: its constant words, with slots for the texts of an example.

It is found by rendering examples with known texts, and checked on many others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple, TypeAlias

from sftframe.errors import PluginError, SftframeError
from sftframe.plugins import PromptStyle, Tokenizer
from sftframe.records import Example, Turn


class Slot(Enum):
    """A place in a template that an example fills."""

    INSTRUCTION = "instruction"
    INPUT = "input"
    SYSTEM = "system"
    TOOLS = "tools"


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
    conversation: ConversationTemplate | None = None
    """None: it writes single questions only, without system message and tools."""
    left_out: tuple[str, ...] = ()
    """What the style writes and this template does not, with the reason; a sentence each."""

    def render(self, instruction: str, input: str = "") -> str:
        """The prompt, as the style would write it."""
        prompts = Prompts(without_input=self.without_input, with_input=self.with_input)
        return prompts.render(Example(index=0, instruction=instruction, input=input, output=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The prompt of an exchange."""

    without_input: tuple[Piece, ...]
    with_input: tuple[Piece, ...]

    def render(self, example: Example) -> str:
        """The prompt of an example's one exchange."""
        pieces = self.with_input if example.input else self.without_input
        return "".join(getattr(example, piece.value) if isinstance(piece, Slot) else piece for piece in pieces)


class Opening(NamedTuple):
    """What stands before the first question."""

    has_system: bool
    has_tools: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTemplate:
    """What a prompt style writes besides single questions."""

    openings: Mapping[Opening, Prompts]
    """The prompt of the first exchange, by what stands before the question."""
    later: Prompts | None
    """The prompt of every other exchange; None: there is one exchange only."""
    result: tuple[Piece, ...] | None
    """The prompt of an exchange in which a tool gives something back; None: tools give back nothing."""
    is_open: bool
    """The tokenizer's end token closes every answer; else only the last one."""

    def prompts(self, example: Example) -> Iterator[str]:
        """The prompt of every exchange; of what the template does not write there is none."""
        for number, exchange in enumerate(example.exchanges):
            opening = Opening(bool(exchange.system), bool(exchange.tools))
            prompts = self.later if number else self.openings.get(opening)
            if exchange.speaker == "tool":
                prompts = None if self.result is None else Prompts(without_input=self.result, with_input=self.result)
            if prompts is not None:
                yield prompts.render(exchange)


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
    return _with_conversation(style, first)


def _with_conversation(style: PromptStyle, template: PromptTemplate) -> PromptTemplate:
    """The template with all that can be written in fixed words besides single questions."""
    from sftframe.prompts.tokens import writes  # imports numpy, which listing must not

    plain = Prompts(without_input=template.without_input, with_input=template.with_input)
    found = ConversationTemplate(
        openings={Opening(False, False): plain}, later=None, result=None, is_open=not template.answer_end
    )
    left_out = []
    for what, probe, trials in (
        ("several turns", _talk(*_TEXTS[0]), [_talk(*texts) for texts in _TEXTS]),
        ("system messages", replace(_SINGLE, system=_SYSTEM), [replace(_SINGLE, system=text) for text in _SYSTEMS]),
        ("tools", replace(_SINGLE, tools=_TOOLS), [replace(_SINGLE, tools=text) for text in _TOOL_LISTS]),
        ("system messages with tools", _OPENED, [replace(_OPENED, system=_SYSTEMS[0], tools=_TOOL_LISTS[0])]),
        ("what tools give back", _talk_with_tool(*_TEXTS[0]), [_talk_with_tool(*texts) for texts in _TEXTS]),
    ):
        if not writes(style, probe):
            continue
        more = _extended(style, found, probe)
        # a template may write the beginning of a conversation in another way if more follows
        openings = [Opening(bool(trial.system), bool(trial.tools)) for trial in trials]
        talks = [_talk(*_TEXTS[1], system=t.system, tools=t.tools) for t in trials if more.later and any(openings[0])]
        if all(_is_written(style, template, more, trial) for trial in (*trials, *talks)):
            found = more
        else:
            left_out.append(
                f"{what}: prompt style {style.name!r} does not write them as fixed words around unchanged texts"
            )
    if found.openings.keys() >= {Opening(True, False), Opening(False, True)} and _BOTH not in found.openings:
        found = replace(found, openings={key: one for key, one in found.openings.items() if not key.has_tools})
    has_more = found.later or found.result or len(found.openings) > 1
    return replace(template, conversation=found if has_more else None, left_out=tuple(left_out))


def _extended(style: PromptStyle, found: ConversationTemplate, probe: Example) -> ConversationTemplate:
    """The template with what a probe shows for the first time."""
    if any(exchange.speaker == "tool" for exchange in probe.exchanges):
        return replace(found, result=_prompts(style, probe, 1).without_input)
    if probe.turns:
        return replace(found, later=_prompts(style, probe, 1))
    opening = Opening(bool(probe.system), bool(probe.tools))
    return replace(found, openings={**found.openings, opening: _prompts(style, probe, 0)})


_BOTH = Opening(True, True)
_TEXTS = (("Say one.", "Say two."), ("Line 1:\n- a?", "{{ x }}"), (" b ", "« é »"))
_SYSTEM = "placeholder for system"
_SYSTEMS = ("Be brief.", "é:\n\n{0}")
_TOOLS = '[{"name": "placeholder for tools"}]'
_TOOL_LISTS = ('[{"name": "x", "description": "« é » {{ x }}", "parameters": {}}]', '[{"name": "a"}, {"name": "b"}]')
_SINGLE = Example(index=0, instruction="Say it", output="So be it")
_OPENED = replace(_SINGLE, system=_SYSTEM, tools=_TOOLS)


def _talk(text: str, other: str, *, system: str = "", tools: str = "") -> Example:
    """Five exchanges, with and without input."""
    inputs = ("", "an input", "", "", "another input")
    turns = [
        Turn(instruction=f"{text} {number}", input=given and f"{given} {other}", output=f"{other} answer {number}")
        for number, given in enumerate(inputs)
    ]
    return _example(turns, system=system, tools=tools)


def _talk_with_tool(text: str, other: str) -> Example:
    """A call, its result and another call, an answer, a question."""
    turns = [Turn(instruction=f"{text} {number}", output=f"{other} answer {number}") for number in range(4)]
    turns[0] = replace(turns[0], is_call=True)
    turns[1] = replace(turns[1], speaker="tool", is_call=True)
    turns[2] = replace(turns[2], speaker="tool")
    return _example(turns)


def _example(turns: Sequence[Turn], *, system: str = "", tools: str = "") -> Example:
    *earlier, last = turns
    return Example(
        index=0,
        turns=tuple(earlier),
        instruction=last.instruction,
        input=last.input,
        output=last.output,
        system=system,
        tools=tools,
    )


def _prompts(style: PromptStyle, probe: Example, number: int) -> Prompts:
    """The prompt of an exchange, with the input of that exchange taken out and put in."""
    exchange = probe.exchanges[number]

    def written(given: str) -> tuple[Piece, ...]:
        turns = tuple(replace(turn, input=given) if n == number else turn for n, turn in enumerate(probe.turns))
        changed = replace(probe, turns=turns, input=probe.input if probe.turns else given)
        text = "".join(piece.text for piece in style.render_turns(changed)[number][0])
        texts = {
            exchange.instruction: Slot.INSTRUCTION,
            given: Slot.INPUT,
            exchange.system: Slot.SYSTEM,
            exchange.tools: Slot.TOOLS,
        }
        return _cut(text, {value: slot for value, slot in texts.items() if value})

    return Prompts(without_input=written(""), with_input=written("placeholder for input"))


def _is_written(
    style: PromptStyle, template: PromptTemplate, conversation: ConversationTemplate, example: Example
) -> bool:
    """Whether the template writes a conversation as the style does."""
    try:
        turns = style.render_turns(example)
    except SftframeError:
        return False
    written = [tuple("".join(piece.text for piece in part) for part in turn) for turn in turns]
    answers = (template.answer_start + one.output + template.answer_end for one in example.exchanges)
    return written == list(zip(conversation.prompts(example), answers, strict=False))


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
    """Names of control tokens among the style's own words that the tokenizer does not read as such.

    sftframe trains such a word as ordinary tokens, by its letters. Other programs read one control token there, which
    was never trained.
    """
    return [] if tokenizer.reads_control_names else written_control_tokens(style, tokenizer)


def written_control_tokens(style: PromptStyle, tokenizer: Tokenizer) -> list[str]:
    """Names of control tokens among the style's own words, sorted."""
    from sftframe.prompts.tokens import writes  # imports numpy, which listing must not

    examples = [each for probe in PROBES for each in (probe, replace(probe, input=""))]
    more = (_talk(*_TEXTS[0]), _talk_with_tool(*_TEXTS[0]), replace(_SINGLE, system=_SYSTEM), _OPENED)
    examples += [each for each in more if writes(style, each)]
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
    slots = {text: slot for slot in (Slot.INSTRUCTION, Slot.INPUT) if (text := getattr(probe, slot.value))}
    pieces = _cut(style.prompt_text(probe), slots)
    for slot in slots.values():
        if slot not in pieces:
            raise _no_template(style, f"it does not write the {slot.value} as it is given")
    return pieces


def _cut(text: str, slots: Mapping[str, Slot]) -> tuple[Piece, ...]:
    """The text with slots in place of their texts."""
    parts = re.split("(" + "|".join(map(re.escape, slots)) + ")", text)
    return tuple(slots.get(part, part) for part in parts if part)


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
