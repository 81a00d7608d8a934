"""What a question leaves open: which answers it offers, and whether it has several right ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sftframe_plugins.judges.opposites import match_opposites
from sftframe_plugins.judges.parts import is_code, is_list, members, options
from sftframe_plugins.judges.statements import polarities
from sftframe_plugins.judges.wording import SIGNS, SMALL_WORDS, is_negation, is_number, split_words, stem

_OPEN = re.compile(
    r"(?:^|[.!?:\n]\s*|\bplease )(?:name|give|list|suggest|provide|mention|find|think of|come up with|write|create"
    r"|compose|generate|invent|make up|state)\s+(?:me\s+)?"
    r"(?:an?|one|two|three|four|five|six|ten|some|several|different|\d+)\s",
    re.IGNORECASE,
)
_MOST_TIMES_LONGER = 3
"""An answer to an open question may be so many times as long as the reference."""


def is_open(instruction: str, reference: str) -> bool:
    """Whether the question has other right answers: `Name a …`, `Give one …`, `Write a sentence …`.

    One that ends in a number, a formula or a program has one right answer.

    >>> is_open("Name a primary colour.", "Red"), is_open("Name the capital of Peru.", "Lima")
    (True, False)
    """
    words = split_words(reference)
    is_exact = is_code(reference) or any(is_number(word) or word in SIGNS for word in words)
    return not is_exact and _OPEN.search(instruction) is not None


def may_be_right(instruction: Sequence[str], expected: Sequence[str], found: Sequence[str]) -> bool:
    """Whether an answer to an open question may be as good as the reference.

    It keeps the words of the question that the reference keeps, has some of its own, is not much longer, and does not
    repeat itself.
    """
    content = [stem(word) for word in found if word not in SMALL_WORDS]
    asked = {stem(word) for word in instruction}
    kept = {stem(word) for word in expected if word not in SMALL_WORDS} & asked
    own = set(content) - asked
    is_frame = len(content) <= len(own)  # a bare answer need not repeat the question
    is_said_once = len(content) == len(set(content))
    is_short = len(found) <= _MOST_TIMES_LONGER * max(len(expected), 3)
    denies = any(map(is_negation, found)) and not any(map(is_negation, expected))
    return bool(own) and (is_frame or kept <= set(content)) and is_said_once and is_short and not denies


_ORDER = re.compile(
    r"\b(?:order|sort|sorted|rank|arrange|sequence|steps|ascending|descending|chronologically|alphabetically|outwards?)\b",
    re.IGNORECASE,
)


def asks_for_order(instruction: str) -> bool:
    """Whether the order of a list is asked for."""
    return _ORDER.search(instruction) is not None


_AUXILIARY = re.compile(
    r"(?:^|[.!?:\n]\s*)(?:is|are|was|were|do|does|did|can|could|may|might|must|will|would|should|has|have|had|am)(?:n't)?\s"
    r"[^.!?]*\?",
    re.IGNORECASE,
)


def is_yes_or_no(instruction: str) -> bool:
    """Whether `yes` or `no` answers the question.

    >>> is_yes_or_no("Can penguins fly?"), is_yes_or_no("Is it a noun or a verb?"), is_yes_or_no("Which can fly?")
    (True, False, False)
    """
    match = _AUXILIARY.search(instruction)
    return match is not None and " or " not in match[0]


def says_yes(question: Sequence[str], words: Sequence[str]) -> bool | None:
    """Whether a text says yes to a question; None if it does not say.

    >>> says_yes(split_words("Can penguins fly?"), split_words("Penguins cannot fly."))
    False
    """
    if words[:1] in (["yes"], ["no"]):
        return words[0] == "yes"
    asked, said = polarities(question), polarities(match_opposites(words, question))
    shared = asked.keys() & said.keys()
    if not shared or 2 * len(shared) < len(asked):
        return None
    return all(asked[word] & said[word] for word in shared)


_NAME = re.compile(r"[A-Z][\w'’-]*\.?(?:\s+(?:de|da|del|di|du|la|le|van|von|der|den|bin|al|[A-Z][\w'’-]*\.?)){1,3}")
_WHO = {"who", "whom", "whose"}
_CAPITALS = re.compile(r"[A-Z][\w'’-]*\.?(?:\s+[A-Z][\w'’-]*\.?)*")
_MOST_NAMES = 50


def has_last_name(instruction: str, reference: str, answer: str) -> bool:
    """Whether the answer to `who` has the last name of the expected person, and no other first name.

    >>> has_last_name("Who was it?", "Albert Einstein", "Einstein")
    True
    >>> has_last_name("Who was it?", "Anakin Skywalker", "Luke Skywalker")
    False
    """
    if not _NAME.fullmatch(reference.strip()) or _WHO.isdisjoint(split_words(instruction)):
        return False
    name, asked = _stems(reference), _stems(instruction)
    if answer.islower():
        runs = [[word for word in _stems(answer) if word not in SMALL_WORDS and word not in asked]]
    else:
        runs = [_stems(match[0]) for _, match in zip(range(_MOST_NAMES), _CAPITALS.finditer(answer), strict=False)]
    allowed = {*name, *(word[0] for word in name), *asked}
    return any(name[-1] in run and allowed.issuperset(run) for run in runs)


def _stems(text: str) -> list[str]:
    return [stem(word) for word in split_words(text)]


_UNSURE = {"either", "could", "might", "maybe", "perhaps", "possibly", "probably", "think", "guess"}


def guesses(question: Sequence[str], expected: Sequence[str], answer: str) -> set[str]:
    """What an answer offers next to the expected thing, if it only guesses: `12, 13 or 14`, `either gold or lead`.

    A longer answer may have an `or` that leaves nothing open: `called Burma or Myanmar`.

    >>> sorted(guesses([], ["gold"], "It is either gold or lead.")), guesses([], ["gold"], "Gold melts, or so I read.")
    (['lead'], set())
    """
    if not _WHO.isdisjoint(question) and "," in answer and is_list(answer):
        people = members(answer)
        others = [person for person in people if person and set(person).isdisjoint(expected)]
        if len(others) < len(people) and not any(word in expected for word in ("and", "or")):
            return {person[-1] for person in others}
    offered = {word for word in options(answer.casefold()) if word not in SMALL_WORDS}
    if "or" in expected or offered.isdisjoint(expected):
        return set()
    words, known = split_words(answer), {*expected, *question}
    other = offered - known
    is_bare = all(word in SMALL_WORDS or word in offered or word in known for word in words)
    is_unsure = is_bare or all(map(is_number, other)) or not _UNSURE.isdisjoint(words)
    return other if is_unsure else set()
