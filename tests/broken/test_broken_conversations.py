"""Prompt styles that break a promise about conversations, and the words that their authors are told."""

import dataclasses

import pytest

from sftframe import PromptStyle, Role, Segment
from sftframe.testing.prompt import check_prompt_style


class Good(PromptStyle):
    """Keeps every promise; the styles below spoil one each."""

    name = "specimen"
    summary = "a good style"
    joins_turns = True
    turn_separator = "\n"

    def segments(self, example):
        if example.system:
            yield Segment(Role.SYSTEM, example.system)
            yield Segment(Role.TEMPLATE, "\n")
        yield Segment(Role.TEMPLATE, "Q: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, "\nA:")
        yield Segment(Role.RESPONSE, " " + example.output)


class LastAlone(Good):
    says = "the INSTRUCTION 'vexamund asks' is missing or out of place; there is INSTRUCTION"

    def conversation(self, example):
        return self.segments(example.exchanges[-1])


class NewestFirst(Good):
    says = "is missing or out of place"

    def conversation(self, example):
        for exchange in example.exchanges[::-1]:
            yield from self.segments(exchange)


class WithoutInputs(Good):
    says = "the INPUT 'calthorpe inputs' is missing"

    def conversation(self, example):
        for exchange in example.exchanges:
            yield from self.segments(dataclasses.replace(exchange, input=""))


class NotedEarly(Good):
    says = "it tells what is not said yet"

    def conversation(self, example):
        size = sum(len(exchange.output) for exchange in example.exchanges)
        yield Segment(Role.TEMPLATE, f"({size} letters will be said)\n")
        yield from super().conversation(example)


class ClosedAtTheEnd(Good):
    says = "end in ['', ''] and '</a>': give every RESPONSE the same END"
    stop_strings = ("</a>",)

    def segments(self, example):
        yield from super().segments(example)
        if example.instruction != "vexamund asks" and example.instruction != "bromquist asks":
            yield Segment(Role.END, "</a>")


class SystemEveryTime(Good):
    says = "the system message is written 3 times, or after the first question"

    def conversation(self, example):
        for exchange in example.exchanges:
            yield from self.segments(dataclasses.replace(exchange, system=example.system))


class SystemAsTemplate(Good):
    says = "the system message has the role TEMPLATE; expected SYSTEM"

    def segments(self, example):
        for piece in super().segments(example):
            yield Segment(Role.TEMPLATE, piece.text) if piece.role is Role.SYSTEM else piece


BROKEN = [LastAlone, NewestFirst, WithoutInputs, NotedEarly, ClosedAtTheEnd, SystemEveryTime, SystemAsTemplate]


def test_the_good_style_passes() -> None:
    check_prompt_style(Good())


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_the_author_is_told(kind, alone, is_found) -> None:
    assert is_found(kind(), kind.says)
