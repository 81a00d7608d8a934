"""Abbreviations: `UN` for `United Nations`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from sftframe_plugins.judges.wording import SMALL_WORDS

_INITIALS = re.compile(r"\b[A-Z]\.?(?:[A-Z]\.?){1,5}(?![\w'’])")
_WORD = re.compile(r"[^\W\d_]+")
_ASKS = re.compile(r"\b(?:abbreviat|acronym|initial|stands? for|short for|full form|mean)", re.IGNORECASE)
_MOST_INITIALS, _MOST_WORDS = 20, 400
"""Abbreviations, and words of a text in which their long forms are looked for, so that a page takes no time."""


_MOST_LETTERS = 200
"""Before brackets."""


def match_initials(answer: str, reference: str, instruction: str) -> str:
    """The answer with the form of an abbreviation that the reference has; a question about abbreviations is left alone.

    >>> match_initials("It is the UN.", "The United Nations", "Which is it?")
    'It is the United Nations'
    >>> match_initials("the United States of America", "USA", "Where?")
    'the USA'
    """
    if _ASKS.search(instruction):
        return answer
    for short in _all_initials(answer, other=reference):
        if (span := _long_form(short, reference)) is not None and short not in instruction:
            answer = answer.replace(short, reference[span[0] : span[1]])
    for short in _all_initials(reference, other=answer):
        if (span := _long_form(short, answer)) is not None and short not in instruction:
            answer = answer[: span[0]] + short + answer[span[1] :]
    return answer


_IN_BRACKETS = re.compile(r"\s?\(([A-Z]{2,6})\)")


def without_initials(text: str) -> str:
    """The text without an abbreviation in brackets after its long form.

    >>> without_initials("The World Bank (WB)"), without_initials("The Bank (USA)")
    ('The World Bank', 'The Bank (USA)')
    """
    for match in reversed(list(itertools.islice(_IN_BRACKETS.finditer(text), _MOST_INITIALS))):
        span = _long_form(match[1], text[: match.start()][-_MOST_LETTERS:])
        text = text[: match.start()] + text[match.end() :] if span is not None else text
    return text


def _all_initials(text: str, other: str) -> list[str]:
    return [one for one in dict.fromkeys(_INITIALS.findall(text)) if one not in other][:_MOST_INITIALS]


def _long_form(short: str, text: str) -> tuple[int, int] | None:
    """Where the words with these initials stand; small words between them may count or not."""
    letters = short.replace(".", "").casefold()
    words = [match for _, match in zip(range(_MOST_WORDS), _WORD.finditer(text), strict=False)]
    content = [match for match in words if match[0].casefold() not in SMALL_WORDS]
    for some in (words, content):
        initials = "".join(match[0][0].casefold()[:1] for match in some)
        at = initials.find(letters)
        if at >= 0 and (is_near := _is_near(some[at : at + len(letters)])):
            return (some[at].start(), some[at + len(letters) - 1].end()) if is_near else None
    return None


def _is_near(words: Sequence[re.Match[str]]) -> bool:
    """Whether no more than two small words stand between neighbours."""
    return all(other.start() - one.end() <= 8 for one, other in itertools.pairwise(words))
