"""One bad prompt style per promise of the contract, and the words that its author is told."""

import itertools

import pytest

from sftframe import PromptStyle, Role, Segment
from sftframe.testing.contract import ContractError
from sftframe.testing.prompt import check_prompt_style


class Good(PromptStyle):
    """Keeps every promise; the styles below spoil one each."""

    name = "specimen"
    summary = "a good style"

    def segments(self, example):
        yield Segment(Role.TEMPLATE, "Q: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, " " + example.output)


class Tagged(Good):
    """Good, with a closing tag."""

    stop_strings = ("</a>",)

    def segments(self, example):
        yield from super().segments(example)
        yield Segment(Role.END, "</a>")


def replaced(segments, role, text):
    """The same segments, those of one role with other text."""
    return [Segment(s.role, text(s.text)) if s.role is role else s for s in segments]


class PlainText(Good):
    says = "segments() gave 'Q: Name the capital of France. A: The capital of France is Paris.'; expected Segment"

    def segments(self, example):
        return [f"Q: {example.instruction} A: {example.output}"]


class NamedRole(Good):
    says = "has no role; expected one of Role"

    def segments(self, example):
        return [Segment("response", example.output)]


class TextOfAnotherType(Good):
    says = "has no text; expected a str"

    def segments(self, example):
        return [*super().segments(example), Segment(Role.END, None)]


class Counting(Good):
    says = "the same example was written as"
    counter = itertools.count()

    def segments(self, example):
        return [Segment(Role.TEMPLATE, f"{next(self.counter)}. "), *super().segments(example)]


class Numbered(Good):
    says = "depends on the example's index"

    def segments(self, example):
        return [Segment(Role.TEMPLATE, f"{example.index}. "), *super().segments(example)]


class TwoResponses(Good):
    says = "it gave 2 RESPONSE segments"

    def segments(self, example):
        return [*super().segments(example), Segment(Role.RESPONSE, "!")]


class NoResponse(Good):
    says = "it gave 0 RESPONSE segments"

    def segments(self, example):
        return [s for s in super().segments(example) if s.role is not Role.RESPONSE]


class UpperCased(Good):
    says = "The capital of France is Paris.'"

    def segments(self, example):
        return replaced(super().segments(example), Role.RESPONSE, str.upper)


class NothingBefore(Good):
    says = "nothing comes before the response"

    def segments(self, example):
        return [Segment(Role.RESPONSE, example.output)]


class EndsEarly(Good):
    says = "an END segment comes before the response"

    def segments(self, example):
        return [Segment(Role.END, "</s>"), *super().segments(example)]


class TemplateAfter(Good):
    says = "the model has to write it itself: make it END or drop it"

    def segments(self, example):
        return [*super().segments(example), Segment(Role.TEMPLATE, "\n---")]


class TellsTheLength(Good):
    says = "it tells the answer"

    def segments(self, example):
        return [Segment(Role.TEMPLATE, f"In {len(example.output)} letters. "), *super().segments(example)]


class Shortened(Good):
    says = "the prompt's INSTRUCTION is 'Name the c'; expected 'Name the capital of France.' unchanged"

    def segments(self, example):
        return replaced(super().segments(example), Role.INSTRUCTION, lambda text: text[:10])


class InputAsTemplate(Good):
    says = "the prompt's INPUT is ''; expected 'pear, apple, fig' unchanged"

    def segments(self, example):
        return [Segment(Role.TEMPLATE, s.text) if s.role is Role.INPUT else s for s in super().segments(example)]


class InputThatIsNotThere(Good):
    says = "the prompt's INPUT is 'none'; expected none, since the example has none"

    def segments(self, example):
        yield Segment(Role.INPUT, example.input or "none")
        yield from (s for s in super().segments(example) if s.role is not Role.INPUT)


class Formatted(Good):
    says = "raised an exception: "

    def segments(self, example):
        text = f"Q: {example.instruction}\nA:".format(instruction=example.instruction)
        return [*replaced(super().segments(example), Role.INSTRUCTION, lambda _: text)]


class SpaceAtTheBorder(Good):
    says = "the prompt ends in ' ', which a tokenizer joins with what follows"

    def segments(self, example):
        pieces = list(super().segments(example))
        return [*pieces[:-2], Segment(Role.TEMPLATE, "\nA: "), Segment(Role.RESPONSE, example.output)]


class TwoLineBreaksAtTheBorder(Good):
    says = r"the prompt ends in '\n\n'"

    def segments(self, example):
        pieces = list(super().segments(example))
        return [*pieces[:-2], Segment(Role.TEMPLATE, "\nA:\n\n"), Segment(Role.RESPONSE, example.output)]


class WhiteOnBothSides(Good):
    says = "the prompt ends in a line break and the RESPONSE begins with ' '"

    def segments(self, example):
        pieces = list(super().segments(example))
        return [*pieces[:-2], Segment(Role.TEMPLATE, "\nA:\n"), pieces[-1]]


class NothingBetween(Good):
    says = "the prompt ends in ':' and the RESPONSE may begin with '\"', which a tokenizer can join to one token"

    def segments(self, example):
        return [*list(super().segments(example))[:-1], Segment(Role.RESPONSE, example.output)]


class WordsWithoutABorder(Good):
    says = "the prompt ends in 'a' and the RESPONSE may begin with 'W'"

    def segments(self, example):
        pieces = list(super().segments(example))
        return [*pieces[:-2], Segment(Role.TEMPLATE, "\nla"), Segment(Role.RESPONSE, example.output)]


class OneStopString(Good):
    says = "stop_strings is '</a>'; expected a tuple"
    stop_strings = "</a>"


class EmptyStopString(Good):
    says = r"the stop string '\n' would end any answer"
    stop_strings = ("\n",)


class CuttingStopString(Good):
    says = "the stop string ['capital'] is in the ordinary answer"
    stop_strings = ("capital",)


class TagThatDoesNotStop(Tagged):
    says = "the closing tag '</a>' is trained but does not stop an answer; add it to stop_strings"
    stop_strings = ()


class KeepsTheTag(Tagged):
    says = "gave 'The capital of France is Paris.</a>'; expected the output 'The capital of France is Paris.'"

    def extract(self, text):
        return text.strip()


class FirstLineOnly(Good):
    says = "expected the output 'first line\\n\\nsecond line'"

    def extract(self, text):
        return text.strip().partition("\n")[0]


class EndOfText(Good):
    """Its turns end as in a chat template of a tokenizer that reads the name as one token."""

    says = "it writes '<|endoftext|>', which is trained as the ordinary tokens of its letters"

    def segments(self, example):
        yield Segment(Role.TEMPLATE, "Q: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "<|endoftext|>\nA:\n")
        yield Segment(Role.RESPONSE, example.output)


BROKEN = [
    PlainText,
    NamedRole,
    TextOfAnotherType,
    Counting,
    Numbered,
    TwoResponses,
    NoResponse,
    UpperCased,
    NothingBefore,
    EndsEarly,
    TemplateAfter,
    TellsTheLength,
    Shortened,
    InputAsTemplate,
    InputThatIsNotThere,
    Formatted,
    SpaceAtTheBorder,
    TwoLineBreaksAtTheBorder,
    WhiteOnBothSides,
    NothingBetween,
    WordsWithoutABorder,
    OneStopString,
    EmptyStopString,
    CuttingStopString,
    TagThatDoesNotStop,
    KeepsTheTag,
    FirstLineOnly,
    EndOfText,
]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("style", BROKEN)
def test_a_broken_style_is_caught_and_its_author_told_why(style):
    with pytest.raises(ContractError) as caught:
        check_prompt_style(style())
    message = str(caught.value)
    assert style.says in message
    assert message.startswith("specimen: ")
    assert "\n" not in message


@pytest.mark.parametrize("style", [Good, Tagged])
def test_a_style_that_keeps_its_promises_passes(style):
    check_prompt_style(style())
