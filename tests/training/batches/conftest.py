"""Rows and strategies small enough to count on one's fingers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sftframe import CollateStrategy, Role, TokenizedExample

P, R, E = Role.INSTRUCTION, Role.RESPONSE, Role.END


class AnswerOnly(CollateStrategy):
    """Response and end count."""

    name = "answer-only"
    summary = "for tests"

    def role_weight(self, role: Role) -> float:
        return 1.0 if role in (R, E) else 0.0


class HalfPrompt(AnswerOnly):
    """The prompt counts half."""

    name = "half-prompt"

    def role_weight(self, role: Role) -> float:
        return 1.0 if role in (R, E) else 0.5


class Everything(CollateStrategy):
    """All targets count."""

    name = "all-targets"
    summary = "for tests"


class PaddingToo(Everything):
    """Padding counts as well."""

    name = "padding-too"

    @property
    def padding_weight(self) -> float:
        return 1.0


@pytest.fixture
def strategies() -> dict[str, type[CollateStrategy]]:
    """Four strategies by name."""
    return {kind.name: kind for kind in (AnswerOnly, HalfPrompt, Everything, PaddingToo)}


@pytest.fixture
def example() -> Callable[..., TokenizedExample]:
    """`example(index, num_prompt, num_response)`: ids that count up from 10 times the index, and the end token 99."""

    def make(index: int, num_prompt: int, num_response: int, num_truncated: int = 0) -> TokenizedExample:
        ids = [*range(10 * index, 10 * index + num_prompt + num_response), 99]
        roles = [P] * num_prompt + [R] * num_response + [E]
        return TokenizedExample(ids=ids, roles=roles, index=index, num_truncated=num_truncated)

    return make


@pytest.fixture
def examples(example: Callable[..., TokenizedExample]) -> Sequence[TokenizedExample]:
    """Ten examples of 3 to 7 tokens."""
    return [example(i, 1 + i % 3, 1 + i % 2 + i // 7) for i in range(10)]
