"""Styles and examples in which every token can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from sftframe import Example, PromptStyle, Role, Segment, Tokenizer
from sftframe.config import TokensConfig
from sftframe.prompts.tokens import LengthReport, TokenStore, tokenize

Tokenized = tuple[TokenStore, LengthReport]


class Framed(PromptStyle):
    """`head` instruction `tail` output `closing`."""

    name = "framed"
    summary = "for tests"

    def __init__(self, head: str = "", tail: str = "", closing: str = "") -> None:
        super().__init__()
        self.head, self.tail, self.closing = head, tail, closing

    def segments(self, example: Example) -> Iterator[Segment]:
        yield Segment(Role.TEMPLATE, self.head)
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.TEMPLATE, self.tail)
        yield Segment(Role.RESPONSE, example.output)
        yield Segment(Role.END, self.closing)


@pytest.fixture
def framed() -> Callable[..., PromptStyle]:
    """`framed(head, tail, closing)`: a style that puts these around the instruction and behind the output."""
    return Framed


@pytest.fixture
def rows(tokenizer: Tokenizer) -> Callable[..., Tokenized]:
    """`rows([("instruction", "output"), …], style, over_long=…, max_length=…)` over bytes."""

    def go(pairs: Sequence[tuple[str, str]], style: PromptStyle | None = None, **config: Any) -> Tokenized:
        examples = [Example(index=i, instruction=a, output=b) for i, (a, b) in enumerate(pairs)]
        context = config.pop("context_length", 256)
        return tokenize(examples, style or Framed(), tokenizer, TokensConfig(**config), context_length=context)

    return go
