"""Prompt styles of every layout, texts that templates trip over, and conversations as other programs are given them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sftframe import Example, PromptStyle, Role, Segment, Turn, load_registry


class Vicuna(PromptStyle):
    """Roles on one line; the answer begins with a space that the prompt does not have."""

    name = "vicuna"
    summary = "USER and ASSISTANT on one line"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, "USER: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, " ASSISTANT:")
        yield Segment(Role.RESPONSE, " " + example.output)


class InputFirst(PromptStyle):
    """The input before the instruction, and nothing around them in the shorter prompt."""

    name = "input-first"
    summary = "text, then what to do with it"

    def segments(self, example: Example) -> Iterator[Segment]:
        if example.input:
            yield Segment(Role.INPUT, example.input)
            yield Segment(Role.TEMPLATE, " => ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.RESPONSE, "\n" + example.output)


class Awkward(PromptStyle):
    """Words that mean something in Jinja, in Go's templates, in a Modelfile, or cannot be printed."""

    name = "awkward"
    summary = "every character that needs care"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, '"""{{ x }} {% y %} \\n \\"\u3000\u200b{')
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "{# '")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, '}\r\n\t-}} é""')
        yield Segment(Role.RESPONSE, example.output)
        yield Segment(Role.END, '"bye"\n')

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return ('"bye"\n', " a ", "<|b|>")


class Joined(PromptStyle):
    """Without closing tags and without a system message: the tokenizer's end token closes every answer."""

    name = "joined"
    summary = "for tests"
    joins_turns = True
    turn_separator = "\n"

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, "Q: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, " / ")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, " " + example.output)


STYLES = {
    "alpaca": {},
    "alpaca-stanford": {},
    "phi3": {},
    "phi3 short": {"end_tag": False},
    "vicuna": Vicuna,
    "input-first": InputFirst,
    "awkward": Awkward,
}
CONVERSING = {"phi3": {}, "chatml": {}, "llama3": {}, "phi3 short": {"end_tag": False}, "joined": Joined}


def make_style(name: str) -> PromptStyle:
    made = (STYLES | CONVERSING)[name]
    return made() if isinstance(made, type) else load_registry().prompt_style(name.partition(" ")[0], made)


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> PromptStyle:
    """Each of the styles."""
    return make_style(request.param)


@pytest.fixture
def alpaca() -> PromptStyle:
    return make_style("alpaca")


@pytest.fixture
def stanford() -> PromptStyle:
    return make_style("alpaca-stanford")


@pytest.fixture
def phi3() -> PromptStyle:
    return make_style("phi3")


@pytest.fixture
def awkward() -> PromptStyle:
    return make_style("awkward")


def _examples() -> list[Example]:
    texts = (
        "Name a colour.",
        'Quote "this" and {{ that }}.\n\n### Response:\n',
        "  naïve 東京 👋🏽 {% if x %}\\n ",
        "\tx\r\n<|endoftex|> </s>",
    )
    plain = [Example(index=i, instruction=text, output="Red.") for i, text in enumerate(texts)]
    paired = [Example(index=9, instruction=text, input=texts[i - 1], output="So: x") for i, text in enumerate(texts)]
    return plain + paired


@pytest.fixture
def examples() -> list[Example]:
    """With and without input; with quotation marks, braces, line breaks and other scripts in both."""
    return _examples()


TALK = Example(
    index=0,
    turns=(
        Turn(instruction="Hi {{ x }}.", output="« Hello »\n\nyou!"),
        Turn(instruction="Add:\n", input="2, 3", output="5"),
        Turn(instruction="And?", output=" Twice "),
    ),
    instruction="In words?",
    output="Ten.",
)
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "weather", "parameters": {"city": {"type": "string"}}}},
    {"type": "function", "function": {"name": "heure", "description": "L'<heure> d'été."}},
]
CALL = {"name": "weather", "arguments": {"city": "Málaga", "days": [1, 2.5], "now": True}}
TWO_CALLS = [{"name": "heure", "arguments": {}}, CALL]
"""Of one answer; their results stand in one message of the data, with a line each."""
TOOL_TALK = Example(
    index=1,
    turns=(
        Turn(instruction="Weather?", output=json.dumps(CALL, ensure_ascii=False), is_call=True),
        Turn(instruction='{"t": 20}', speaker="tool", output="Wait.\n" + json.dumps(TWO_CALLS, ensure_ascii=False)),
        Turn(instruction="12:00\n{}", speaker="tool", output="20 degrees at noon."),
    ),
    instruction="Thanks, and",
    input="tomorrow?",
    output="Bye.",
)


def _messages(example: Example) -> list[dict[str, Any]]:
    """A conversation without tools as OpenAI messages; the input as a key of its own."""
    said = [{"role": "system", "content": example.system}] if example.system else []
    for exchange in example.exchanges:
        asked = {"role": "user", "content": exchange.instruction}
        said.append({**asked, "input": exchange.input} if exchange.input else asked)
        said.append({"role": "assistant", "content": exchange.output})
    return said


def _tool_messages(system: str) -> list[dict[str, Any]]:
    """`TOOL_TALK` as OpenAI messages, written by hand."""
    first = [{"role": "system", "content": system}] if system else []
    two = [{"type": "function", "function": call} for call in TWO_CALLS]
    return [
        *first,
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": CALL}]},
        {"role": "tool", "tool_call_id": "1", "content": '{"t": 20}'},
        {"role": "assistant", "content": "Wait.", "tool_calls": two},
        {"role": "tool", "content": "12:00"},
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": "20 degrees at noon."},
        {"role": "user", "content": "Thanks, and", "input": "tomorrow?"},
        {"role": "assistant", "content": "Bye."},
    ]


@pytest.fixture(params=CONVERSING)
def conversing(request: pytest.FixtureRequest) -> PromptStyle:
    """Each of the styles that write conversations."""
    return make_style(request.param)


@pytest.fixture
def joined() -> PromptStyle:
    return Joined()


@pytest.fixture
def chatml() -> PromptStyle:
    return make_style("chatml")


@pytest.fixture
def talk() -> Example:
    """Four exchanges, one with an input."""
    return TALK


@pytest.fixture
def messages() -> Callable[[Example], list[dict[str, Any]]]:
    """`messages(example)`: a conversation without tools as OpenAI messages."""
    return _messages


@pytest.fixture
def tool_talk() -> Example:
    """Four exchanges, two of which are a tool's; without the list of tools."""
    return TOOL_TALK


@pytest.fixture
def tools() -> list[dict[str, Any]]:
    """The tools of that conversation."""
    return TOOLS


@pytest.fixture
def tool_messages() -> Callable[[str], list[dict[str, Any]]]:
    """`tool_messages(system)`: the conversation with tools as OpenAI messages."""
    return _tool_messages
