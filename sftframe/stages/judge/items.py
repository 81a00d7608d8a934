"""The items that a judge gets for answered examples, and matching items of two lists."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from sftframe.errors import DataError
from sftframe.records import Example, JudgeItem, Response


def make_items(examples: Iterable[Example], responses: Iterable[Response]) -> list[JudgeItem]:
    """The items for a judge, one per example and in the examples' order.

    Responses are found by their index, never by their position; those of other examples are ignored.

    Raises:
        DataError: an example has no response, or more than one.
    """
    texts: dict[int, str] = {}
    for response in responses:
        if response.index in texts:
            raise DataError(f"example {response.index} has two responses, expected one: generate the responses again")
        texts[response.index] = response.text
    return [judge_item(example, _found(texts, example)) for example in examples]


def judge_item(example: Example, answer: str) -> JudgeItem:
    """One answered example as an item for a judge."""
    return JudgeItem(
        index=example.index,
        instruction=example.instruction,
        input=example.input,
        reference=example.output,
        answer=answer,
    )


def match_items(first: Iterable[JudgeItem], second: Iterable[JudgeItem]) -> list[tuple[JudgeItem, JudgeItem]]:
    """The items that both lists have, in the first one's order: same instruction, input and reference.

    An item that occurs several times is matched as often as it occurs in both lists, in order.

    >>> def asked(*words):
    ...     return [JudgeItem(index=i, instruction=w, input="", reference="", answer="") for i, w in enumerate(words)]
    >>> [(one.index, other.index) for one, other in match_items(asked("a", "b", "a"), asked("c", "a", "b"))]
    [(0, 1), (1, 2)]
    """
    waiting: defaultdict[tuple[str, str, str], deque[JudgeItem]] = defaultdict(deque)
    for item in second:
        waiting[_question(item)].append(item)
    return [(item, waiting[_question(item)].popleft()) for item in first if waiting[_question(item)]]


def _question(item: JudgeItem) -> tuple[str, str, str]:
    return item.instruction, item.input, item.reference


def _found(texts: Mapping[int, str], example: Example) -> str:
    if example.index not in texts:
        raise DataError(f"example {example.index} has no response to judge: generate the missing responses first")
    return texts[example.index]
