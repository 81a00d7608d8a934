"""Rows for the checks of collate strategies, made by hand or drawn: single questions and conversations."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from functools import cache

from sftframe.plugins import CollateStrategy
from sftframe.records import Role, TokenizedExample

_PROMPT = (Role.TEMPLATE, Role.INSTRUCTION, Role.TEMPLATE)


def plain_rows(end_id: int) -> list[TokenizedExample]:
    """Uneven rows: two whole answers, one with an inner id equal to the end's, and one that was cut."""
    return [
        _example(0, [11, 12, 13], [14, 15, 16, 17], end_id),
        _example(1, [21, 22, 23], [24], end_id),
        _example(2, [31, end_id, 33], [34, 35], end_id),
        _example(3, [41, 42, 43], [44, 45, 46], None),
    ]


def _example(index: int, prompt: list[int], answer: list[int], end_id: int | None) -> TokenizedExample:
    end = [] if end_id is None else [end_id]
    return TokenizedExample(
        ids=[*prompt, *answer, *end],
        roles=[
            *_PROMPT[: len(prompt)],
            *[Role.INPUT] * (len(prompt) - 3),
            *[Role.RESPONSE] * len(answer),
            *[Role.END] * len(end),
        ],
        index=index,
        num_truncated=0 if end else 5,
    )


def batches(strategy: CollateStrategy) -> list[list[TokenizedExample]]:
    """The rows together, reversed, each alone; with an end that is the padding id and with one that is not.

    Then many rows, rows of many lengths, and rows with tags, with cut beginnings and with ids at the ends of the range.
    """
    made: list[list[TokenizedExample]] = []
    for end_id in (strategy.pad_id, other_id(strategy)):
        examples = plain_rows(end_id)
        made += [examples, examples[::-1], *([example] for example in examples)]
        made += [_drawn(17, end_id, longest=30), _drawn(3, end_id, longest=1100), _drawn(40, end_id, longest=8)]
        made += [
            _strange(end_id, strategy.pad_id),
            [_example(70, [5, 6, 7], [], end_id), _example(71, [6, 7, 8], [7], end_id)],
            _talks(end_id, strategy),
        ]
    return made


def conversations(strategy: CollateStrategy) -> list[list[TokenizedExample]]:
    """Rows of several exchanges alone, with the same two ends."""
    return [_talks(end_id, strategy) for end_id in (strategy.pad_id, other_id(strategy))]


def _talks(end_id: int, strategy: CollateStrategy) -> list[TokenizedExample]:
    """Conversations of two, three and four exchanges, with roles as the strategy is given them.

    In the last one a closing tag ends the answers, and the end token only the whole.
    """
    system, tool = strategy.known_role(Role.SYSTEM), strategy.known_role(Role.TOOL)
    ask, more = [Role.TEMPLATE, Role.INSTRUCTION, Role.TEMPLATE], [Role.TEMPLATE, Role.INPUT, Role.TEMPLATE]
    answer = [Role.RESPONSE, Role.RESPONSE, Role.END]
    turns = {
        80: [[Role.TEMPLATE, system, *ask, *answer], [*ask, *more, *answer]],
        81: [[*ask, *answer], [Role.TEMPLATE, tool, Role.TEMPLATE, Role.RESPONSE, Role.END], [*ask, *more, *answer]],
        82: [[*ask, *more, *answer], [*ask, *answer], [*ask, *answer], [*ask, *answer, Role.END]],
    }
    return [_talk(index, of_row, end_id, has_tags=index == 82) for index, of_row in turns.items()]


def _talk(index: int, turns: Sequence[Sequence[Role]], end_id: int, *, has_tags: bool) -> TokenizedExample:
    roles = [role for turn in turns for role in turn]
    ids = [
        end_id if role is Role.END and (place == len(roles) - 1 or not has_tags) else 10 * index + place
        for place, role in enumerate(roles)
    ]
    lengths = [len(turn) for turn in turns]
    return TokenizedExample(
        ids=ids,
        roles=roles,
        index=index,
        turn_starts=tuple(sum(lengths[:number]) for number in range(len(lengths))),
        turn_weights=(1.0,) * len(lengths),
    )


def _drawn(count: int, end_id: int, *, longest: int) -> list[TokenizedExample]:
    """Rows of many lengths, some of them cut at the end; the first is the longest."""
    return [
        dataclasses.replace(example, ids=list(example.ids), roles=list(example.roles))
        for example in _drawn_once(count, end_id, longest)
    ]


@cache
def _drawn_once(count: int, end_id: int, longest: int) -> tuple[TokenizedExample, ...]:
    """Drawing takes longer than all else; a strategy gets copies, since it may change its examples."""
    draw = random.Random(count)
    rows = []
    for number in range(count):
        size = longest if not number else draw.randint(4, longest)
        ids = [draw.choice((0, 1, end_id, draw.randrange(2, 50_000))) for _ in range(size)]
        num_prompt = draw.randint(3, size - 1)
        rows.append(_example(100 + number, ids[:num_prompt], ids[num_prompt:], None if number % 5 == 3 else end_id))
    return tuple(rows)


def _strange(end_id: int, pad_id: int) -> list[TokenizedExample]:
    """A closing tag before the end, a prompt that lost its beginning, an empty answer, padding ids inside."""
    tagged = _example(50, [7, 8, 9], [10, 11, 12], end_id)
    cut = _example(51, [13, 14, 15], [16], end_id)
    inner = _example(52, [pad_id, pad_id, 5], [pad_id, 6, pad_id], end_id)
    roles = [*tagged.roles[:-3], Role.END, Role.END, Role.END]
    inputs = [Role.TEMPLATE, Role.INSTRUCTION, Role.INPUT, *inner.roles[3:]]
    return [
        dataclasses.replace(tagged, roles=roles),
        dataclasses.replace(cut, num_truncated=9),
        dataclasses.replace(inner, roles=inputs),
        _example(53, [3, 4, 5], [], end_id),
    ]


def as_arrays(examples: Sequence[TokenizedExample]) -> list[TokenizedExample]:
    """The same examples as a run has them."""
    import numpy as np

    return [
        dataclasses.replace(
            example, ids=np.array(example.ids, dtype=np.int64), roles=np.array(example.roles, dtype=np.uint8)
        )
        for example in examples
    ]


def other_id(strategy: CollateStrategy) -> int:
    """An id that is not the padding's."""
    return strategy.pad_id + 1000
