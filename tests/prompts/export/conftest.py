"""Prompt styles of every layout, and texts that templates trip over."""

from collections.abc import Iterator

import pytest

from sftframe import Example, PromptStyle, Role, Segment, load_registry


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


STYLES = {
    "alpaca": {},
    "alpaca-stanford": {},
    "phi3": {},
    "phi3 short": {"end_tag": False},
    "vicuna": Vicuna,
    "input-first": InputFirst,
    "awkward": Awkward,
}


def make_style(name: str) -> PromptStyle:
    made = STYLES[name]
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
