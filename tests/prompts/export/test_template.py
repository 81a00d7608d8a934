"""From a prompt style to a template of fixed words."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from sftframe import Example, PluginError, PromptStyle, Role, Segment
from sftframe.prompts.export import Slot, derive_template


def test_alpacas_template_has_its_headings_between_the_slots(alpaca: PromptStyle) -> None:
    preamble = "Below is an instruction that describes a task. "
    preamble += "Write a response that appropriately completes the request.\n\n### Instruction:\n"
    template = derive_template(alpaca)
    assert template.without_input == (preamble, Slot.INSTRUCTION, "\n\n### Response:\n")
    assert template.with_input == (
        preamble,
        Slot.INSTRUCTION,
        "\n\n### Input:\n",
        Slot.INPUT,
        "\n\n### Response:\n",
    )
    assert (template.answer_start, template.answer_end, template.stop_strings) == ("", "", ())


def test_a_closing_tag_is_what_stands_behind_an_answer(phi3: PromptStyle) -> None:
    template = derive_template(phi3)
    assert (template.answer_start, template.answer_end, template.stop_strings) == ("", "<|end|>", ("<|end|>",))


def test_a_template_writes_what_its_style_writes(style: PromptStyle, examples: list[Example]) -> None:
    template = derive_template(style)
    for example in examples:
        assert template.render(example.instruction, example.input) == style.prompt_text(example)


class Around(PromptStyle):
    """A style made from a function of the example."""

    name = "around"
    summary = "for these tests"

    def words(self, example: Example) -> tuple[str, str]:
        """What stands for the instruction, and what comes behind it."""
        raise AssertionError("each test has its own")

    def segments(self, example: Example) -> Iterator[Segment]:
        instruction, behind = self.words(example)
        yield Segment(Role.INSTRUCTION, instruction)
        yield Segment(Role.TEMPLATE, "\n")
        if example.input:
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, behind)
        yield Segment(Role.RESPONSE, example.output)


class Shouting(Around):
    def words(self, example: Example) -> tuple[str, str]:
        return example.instruction.upper(), ":"


class Changing(Around):
    """A style made from a function of a text, applied to one field."""

    def __init__(self, field: str, change: Callable[[str], str]) -> None:
        super().__init__()
        self.field, self.change = field, change

    def segments(self, example: Example) -> Iterator[Segment]:
        changed = replace(example, **{self.field: self.change(getattr(example, self.field))})
        yield Segment(Role.INSTRUCTION, changed.instruction)
        yield Segment(Role.TEMPLATE, "\n")
        if changed.input:
            yield Segment(Role.INPUT, changed.input)
        yield Segment(Role.TEMPLATE, ":")
        yield Segment(Role.RESPONSE, changed.output)


CHANGES: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "lstrip": str.lstrip,
    "rstrip": str.rstrip,
    "cut at 300": lambda text: text[:300],
    "cut at 4000": lambda text: text[:4000],
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "CR LF to LF": lambda text: text.replace("\r\n", "\n"),
    "CR to LF": lambda text: text.replace("\r", "\n"),
    "blank dropped": lambda text: text if text.strip() else "",
    "spaces in a row": lambda text: re.sub(" +", " ", text),
    "blank lines": lambda text: re.sub("\n{3,}", "\n\n", text),
    "tabs": lambda text: text.expandtabs(4),
    "zero width": lambda text: text.replace("\u200b", ""),
    "NUL": lambda text: text.replace("\0", ""),
    "HTML": html.escape,
    "case": lambda text: text[:1].upper() + text[1:],
    "ten lines": lambda text: "\n".join(text.split("\n")[:100]),
}


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_style_that_changes_a_text_is_refused(field: str, change: str) -> None:
    with pytest.raises(PluginError, match="cannot be exported: "):
        derive_template(Changing(field, CHANGES[change]))


class Measuring(Around):
    def words(self, example: Example) -> tuple[str, str]:
        return example.instruction, f"\nIn {len(example.instruction)} words:"


class Punctuating(Around):
    def words(self, example: Example) -> tuple[str, str]:
        return example.instruction, "" if example.instruction.endswith(".") else "."


class Deaf(Around):
    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.TEMPLATE, "\n")
        yield Segment(Role.RESPONSE, example.output)


class Stripping(Around):
    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.INSTRUCTION, example.instruction + example.input)
        yield Segment(Role.RESPONSE, example.output.rstrip("!"))


@pytest.mark.parametrize(
    ("style", "reason"),
    [
        (Shouting(), "it does not write the instruction as it is given"),
        (Measuring(), "its own words depend on the example"),
        (Punctuating(), "its own words depend on the example"),
        (Deaf(), "it does not write the input as it is given"),
        (Stripping(), "it does not write the output as it is given"),
    ],
)
def test_a_style_that_does_more_than_fill_in_is_refused(style: PromptStyle, reason: str) -> None:
    with pytest.raises(PluginError, match=f"prompt style 'around' cannot be exported: {reason}"):
        derive_template(style)
