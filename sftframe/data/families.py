"""Test questions that look like members of one family: the same in other words, or the same task with other inputs."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import ceil
from typing import Literal, Protocol

from sftframe.records import Turn

Kind = Literal["instruction", "input", "question"]
"""What the members of a family share: the instruction, the input, or most words of the question."""


class Question(Protocol):
    """What is looked at: an example, or an answered item without its answer."""

    @property
    def instruction(self) -> str: ...
    @property
    def input(self) -> str: ...
    @property
    def turns(self) -> tuple[Turn, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """Questions that may belong together."""

    kind: Kind
    groups: tuple[int, ...]
    """By position the number of its family; a question without relatives is a family of its own."""
    example: str
    """A question of the largest family."""

    @property
    def sizes(self) -> list[int]:
        """Of the families with several members, the largest first."""
        return sorted((size for size in Counter(self.groups).values() if size > 1), reverse=True)

    @property
    def fewest(self) -> float:
        """So many independent questions they count like if the members of a family go together completely."""
        return _fewest(self.groups)

    @property
    def told(self) -> str:
        """What was found, to go on in the same sentence."""
        num, together, members = len(self.groups), len(self.sizes), sum(self.sizes)
        shared = {
            "instruction": f"share {together:,} instruction{'s' * (together != 1)}",
            "input": f"share {together:,} input{'s' * (together != 1)}",
            "question": f"look alike in {together:,} famil{'y' if together == 1 else 'ies'}",
        }[self.kind]
        example = " ".join(self.example.split())
        example = example if len(example) <= _MOST_SHOWN else f"{example[: _MOST_SHOWN - 1]}…"
        largest = f"the largest has {self.sizes[0]:,}, such as {example!r}"
        return f"{members:,} of the {num:,} test questions {shared} ({largest})"

    @property
    def setting(self) -> str:
        """What to do, to go on in the same sentence."""
        if self.kind == "question":
            return "give the entries a field with their group and name it with --set data.group=FIELD"
        return f"name the group with --set data.group={self.kind}"


_MOST_SHOWN = 60
"""Characters of the example."""
LIKE = Fraction(2, 3)
"""Jaccard index of the words of two questions of one family: one of five words, or two of ten, is another one."""
_OWN = 0.8
"""Part of a word's questions that have the same answer, for a word that names what the question is about."""
WORTH_TELLING = 0.9
"""Families are told if the questions may count like fewer than this part of their number."""
FEWEST_TASKS = 10
"""Fewer instructions than this, each with many inputs, are tasks; their inputs are the sample, and not a family. Fewer
answers than this are labels."""
MOST_QUESTIONS = 10_000
"""They take a few seconds."""
_MOST_COMPARED = 100
"""Earlier questions with which one is compared, those with the rarest common words first."""
_MOST_FORMS = 20
"""More questions with one answer than this, and than a twentieth of all, have it by chance."""
_MOST_WORDS = 60
"""Words of a question that are compared: with 200, ten thousand long texts take minutes."""
_LONG_INPUT = 8
"""Words of an input that is a text with several questions; shorter ones (`Paris`) are the same by chance."""


@dataclass(frozen=True, slots=True)
class _Whole:
    """A conversation as one question."""

    instruction: str
    input: str
    turns: tuple[Turn, ...] = ()


def _whole(question: Question) -> Question:
    if not question.turns:
        return question
    asked = [text for turn in question.turns for text in (turn.instruction, turn.input) if text]
    return _Whole("\n".join([*asked, question.instruction]), question.input)


def likely_families(questions: Sequence[Question], outputs: Sequence[str] = ()) -> Families | None:
    """The families that look likely and may matter; None if there are none. Only the first questions are looked at.

    Letters' case, punctuation, numbers and quoted words make no difference: *What is 3 plus 4?* and *What is 5 plus 1?*
    are of one family. Only words are compared, so whether a family's answers go together is for the scores to say. Of a
    conversation all that was asked is compared: many end in the same *Thanks!*.

    Args:
        outputs: the reference answers, in the same order; with them other forms of one question are found too.
    """
    has_turns = any(question.turns for question in questions[:MOST_QUESTIONS])
    questions, outputs = [_whole(question) for question in questions[:MOST_QUESTIONS]], outputs[:MOST_QUESTIONS]
    plain = [f"{_plain(question.instruction)} {_plain(question.input)}" for question in questions]
    found = [
        _Kind(kind="instruction", keys=_by_instruction(questions)),
        _Kind(kind="input", keys=_by_input(questions)),
        _Kind(kind="question", keys=_without_task(_by_words(questions, outputs), plain)),
    ]
    if has_turns:  # their files have no field with the whole
        found = [one for one in found if one.kind == "question"]
    found = [one for one in found if _fewest(one.keys) < WORTH_TELLING * len(questions)]
    if not found:
        return None
    # the named fields first: near-duplicates are told only where they clearly find more
    best = min(found, key=lambda one: _fewest(one.keys) * (1.0 if one.kind == "question" else 0.9))
    numbers: dict[Hashable, int] = {}
    groups = tuple(numbers.setdefault(key, len(numbers)) for key in best.keys)
    largest = Counter(groups).most_common(1)[0][0]
    first = questions[groups.index(largest)]
    example = first.input if best.kind == "input" else first.instruction
    return Families(kind=best.kind, groups=groups, example=example)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    kind: Kind
    keys: list[Hashable]


def _fewest(keys: Sequence[Hashable]) -> float:
    return len(keys) ** 2 / sum(size**2 for size in Counter(keys).values()) if keys else 0.0


def _by_instruction(questions: Sequence[Question]) -> list[Hashable]:
    """Equal instructions with other inputs, unless there are so few instructions that they are tasks."""
    keys = [_plain(question.instruction) for question in questions]
    if len(set(keys)) < FEWEST_TASKS or _fewest(keys) < FEWEST_TASKS:
        return list(range(len(questions)))
    return list(keys)


def _by_input(questions: Sequence[Question]) -> list[Hashable]:
    """Several questions about one text."""
    keys = [_plain(question.input) for question in questions]
    return [key if len(key.split()) >= _LONG_INPUT else position for position, key in enumerate(keys)]


def _plain(text: str) -> str:
    text = text[:_MOST_CHARACTERS]
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold().split())


_MOST_CHARACTERS = 1000
"""Characters of a text that are compared."""


def _by_words(questions: Sequence[Question], outputs: Sequence[str]) -> list[Hashable]:
    """Nearly equal instructions, and forms of one question: the first member's position for each."""
    tasks = Counter(_plain(question.instruction) for question in questions if question.input.strip())
    texts = [
        # where one instruction has many inputs, the inputs are the questions
        question.input if tasks[_plain(question.instruction)] > len(questions) / FEWEST_TASKS else question.instruction
        for question in questions
    ]
    leaders = _lead([frozenset(_words(text)) for text in texts], LIKE)
    if not outputs:
        return list(leaders)
    full = [frozenset(_TOKEN.findall(_plain(text))[:_MOST_WORDS]) for text in texts]
    forms = _lead_by_answer(full, [_plain(output) for output in outputs])
    joined = _joined(leaders, forms)
    # where all questions are of a few templates, the forms of one question are the families
    is_told = _fewest(forms) < WORTH_TELLING * len(forms)
    return list(forms if is_told and _fewest(joined) < FEWEST_TASKS else joined)


def _without_task(keys: Sequence[Hashable], texts: Sequence[str]) -> list[Hashable]:
    """Families without one that has more than half of the questions: this is the task, and no family. Of it only equal
    questions stay together.
    """
    task, size = Counter(keys).most_common(1)[0] if keys else (None, 0)
    if 2 * size <= len(keys):
        return list(keys)
    return [(key, text) if key == task else key for key, text in zip(keys, texts, strict=True)]


_TOKEN = re.compile(r"\w+")
_SPECIFIC = re.compile(r"""(?<!\w)\d+(?:[.,]\d+)*|(?<!\w)(["'“‘`«])[^"'”’`»]{1,80}["'”’`»](?!\w)""")


def _words(text: str) -> list[str]:
    """Words, with one sign for every number and one for every quotation."""
    masked = _SPECIFIC.sub(lambda found: " quoted_ " if found[1] else " number_ ", _plain(text))
    return _TOKEN.findall(masked)[:_MOST_WORDS]


def _lead(sets: Sequence[frozenset[str]], like: Fraction) -> list[int]:
    """By position the first earlier leader that is like it, else itself, which makes it a leader.

    Only leaders are compared, so families do not grow together in a chain. Two sets with a Jaccard index of `like` have
    one of their rarest words in common (the prefix filter of Chaudhuri, Ganti and Kaushik 2006).
    """
    frequency = Counter(word for words in sets for word in words)
    known: dict[str, list[int]] = defaultdict(list)
    equal: dict[frozenset[str], int] = {}
    leaders = []
    for position, words in enumerate(sets):
        rarest = sorted(words, key=lambda word: (frequency[word], word))
        prefix = rarest[: len(words) - ceil(like * len(words)) + 1]
        leader = equal.get(words) if words else None
        if leader is None:
            likely = islice(_candidates(prefix, known), _MOST_COMPARED)
            leader = next((one for one in likely if _is_like(words, sets[one], like)), None)
        if leader is None:
            leader = position
            for word in prefix:
                known[word].append(position)
        equal.setdefault(words, leader)
        leaders.append(leader)
    return leaders


def _candidates(prefix: Iterable[str], known: dict[str, list[int]]) -> Iterator[int]:
    seen: set[int] = set()
    for word in prefix:
        for one in known.get(word, ()):
            if one not in seen:
                seen.add(one)
                yield one


def _is_like(one: frozenset[str], other: frozenset[str], like: Fraction) -> bool:
    shortest, longest = sorted((len(one), len(other)))
    if shortest < like * longest:
        return False
    shared = len(one & other)
    return shared * like.denominator >= like.numerator * (len(one) + len(other) - shared)


def _lead_by_answer(sets: Sequence[frozenset[str]], answers: Sequence[str]) -> list[int]:
    """Forms of one question: the same answer, and a word that is hardly in a question with another answer."""
    frequency = Counter(word for words in sets for word in words)
    places: dict[str, list[int]] = defaultdict(list)
    for position, answer in enumerate(answers):
        if answer:
            places[answer].append(position)
    leaders = list(range(len(sets)))
    if len(places) < FEWEST_TASKS:
        return leaders  # so few answers are labels
    for some in places.values():
        if not 1 < len(some) <= max(_MOST_FORMS, len(sets) / 20):
            continue  # a label, as those of a classification, says nothing about the question
        here = Counter(word for position in some for word in sets[position])
        first: dict[str, int] = {}
        for position in some:
            own = [word for word in sets[position] if here[word] > 1 and here[word] >= _OWN * frequency[word]]
            leaders[position] = min([position, *(first[word] for word in own if word in first)])
            for word in own:
                first.setdefault(word, leaders[position])
    return leaders


def _joined(*sources: Sequence[int]) -> list[int]:
    """Positions that are together in any of the sources are together."""
    root = list(range(len(sources[0])))

    def find(one: int) -> int:
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    for leaders in sources:
        for position, leader in enumerate(leaders):
            root[find(position)] = find(leader)
    return [find(position) for position in range(len(root))]
