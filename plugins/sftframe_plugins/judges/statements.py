"""What a sentence states: whether an answer says the opposite of the reference with the same words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from sftframe_plugins.judges.wording import is_number, split_words, stem

SMALL_WORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "each",
        "either",
        "even",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "longer",
        "may",
        "me",
        "might",
        "more",
        "most",
        "must",
        "my",
        "of",
        "on",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "too",
        "under",
        "up",
        "us",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "now",
        "today",
        "tomorrow",
        "yesterday",
    ]
)
_NOT = frozenset(["not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot"])
_BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "am", "get", "gets", "got"])

_NEXT_CLAUSE = frozenset(
    [
        "and",
        "because",
        "but",
        "he",
        "i",
        "if",
        "it",
        "or",
        "she",
        "so",
        "that",
        "there",
        "they",
        "this",
        "we",
        "which",
        "who",
        "you",
    ]
)

_REACH = 4
"""A word is negated by a `not` at most so many words before it, with small words between: `not to be given`."""


def _is_negation(word: str) -> bool:
    return word in _NOT or word.endswith("n't")


def _polarities(words: Sequence[str]) -> dict[str, set[bool]]:
    """By stem of a content word: whether it occurs negated, plain, or both."""
    found: dict[str, set[bool]] = {}
    reach = 0
    for place, word in enumerate(words):
        if _is_negation(word):
            is_answer = place == 0 and word == "no"  # "No, it is …" is about the whole
            is_only = place + 1 < len(words) and words[place + 1] == "only"
            reach = 0 if is_answer or is_only else _REACH
            continue
        if word in _NEXT_CLAUSE:
            reach = 0
        is_small = word in SMALL_WORDS
        if not is_small:
            found.setdefault(stem(word), set()).add(reach > 0)
        reach = reach - 1 if is_small and reach else 0
    return found


def _is_denied(expected: Sequence[str], found: Sequence[str]) -> bool:
    first, other = expected[0], found[0]
    if {first, other} <= {"yes", "no"}:
        return first != other
    if any(map(_is_negation, expected)) and any(map(_is_negation, found)):
        return False  # both deny something, and which part is a matter of style
    wanted, has = _polarities(expected), _polarities(found)
    if 2 * len(wanted.keys() & has.keys()) < len(wanted):
        return False  # it says something else
    return any(not wanted[word] & has[word] for word in wanted.keys() & has.keys())


_CLAUSE = re.compile(r"[,;:\n&/]|[.!?](?:\s|$)|\b(?:and|or|but|because|while|when|if|who|which|that)\b", re.IGNORECASE)


_LONGEST_CLAUSE = 60
"""Words; who did what to whom is not looked for in longer ones, nor after so many, so that a page takes no time."""
_MOST_CLAUSES = 30


def _clauses(text: str) -> list[list[str]]:
    """Parts without a list: the members of a list may have any order."""
    parts = dict.fromkeys(_CLAUSE.split(text))
    clauses = (split_words(part) for part in parts)
    return list(itertools.islice((words for words in clauses if 3 <= len(words) <= _LONGEST_CLAUSE), _MOST_CLAUSES))


def _is_passive(words: Sequence[str], shared: set[str]) -> bool:
    """Whether a passive stands between the shared words: `was beaten by`."""
    places = [place for place, word in enumerate(words) if stem(word) in shared]
    between = words[places[0] : places[-1]]
    return "by" in between and not _BE.isdisjoint(between[: between.index("by")])


def _order(words: Sequence[str]) -> list[str]:
    """Stems of the content words that occur once; adverbs may stand anywhere."""
    content = [
        stem(word) for word in words if word not in SMALL_WORDS and not word.endswith("ly") and not _is_negation(word)
    ]
    return [word for word in content if content.count(word) == 1]


def _longest(places: Sequence[int]) -> int:
    """Length of the longest rising part of a sequence."""
    import bisect

    ends: list[int] = []
    for place in places:
        at = bisect.bisect_left(ends, place)
        ends[at : at + 1] = [place]
    return len(ends)


def _is_exchanged(expected: str, found: str) -> bool:
    """Whether what stood before a word stands behind it, and the other way round: `A beat B`, `B beat A`."""
    answers = [(words, _order(words)) for words in _clauses(found)]
    for clause in _clauses(expected):
        wanted = {word: place for place, word in enumerate(_order(clause))}
        verdicts = set()
        for other, order in answers:
            shared = [word for word in order if word in wanted]
            if len(shared) < 3:
                continue
            places = [wanted[word] for word in shared]
            is_turned = _longest([-place for place in places]) >= 3
            is_voice = _is_passive(clause, set(shared)) != _is_passive(other, set(shared))
            is_straight = _longest(places) >= 3
            verdicts.add(is_straight if is_voice else is_turned)
        if verdicts == {True}:
            return True
    return False


def contradiction(reference: str, answer: str) -> str:
    """How the answer says the opposite of the reference with its words; empty if it does not.

    >>> contradiction("Aspirin should not be given.", "Aspirin should be given.")
    'denies what the reference says, or says what it denies'
    >>> contradiction("Germany beat Brazil.", "Brazil beat Germany.")
    'the words of the reference with exchanged roles'
    >>> contradiction("Germany beat Brazil.", "Brazil was beaten by Germany.")
    ''
    """
    expected, found = split_words(reference), split_words(answer)
    if expected and found and _is_denied(expected, found):
        return "denies what the reference says, or says what it denies"
    return "the words of the reference with exchanged roles" if _is_exchanged(reference, answer) else ""


_NO_SYMBOL = frozenset(["a", "i"])


def _is_symbol(word: str) -> bool:
    """Whether case is content: `C`, `x`, `Au`, `pH`, `NaCl`, `CO`."""
    if is_number(word) or not word.isascii() or not word[:1].isalpha() or word.lower() in _NO_SYMBOL:
        return False
    letters = "".join(mark for mark in word if mark.isalpha())
    if len(letters) == 1:
        return True
    if word.lower() in SMALL_WORDS or _is_negation(word.lower()) or letters.islower() or len(letters) > 4:
        return False
    return len(letters) == 2 or (letters != letters.capitalize() and letters != letters.upper())


def other_case(reference: str, answer: str) -> list[tuple[str, str]]:
    """The symbols of the reference that the answer has in another case only.

    >>> other_case("It is Au.", "It is AU."), other_case("The UK won.", "the uk won")
    ([('Au', 'AU')], [])
    """
    wanted = {word for word in split_words(reference, strict=True) if _is_symbol(word)}
    if not wanted:
        return []
    has = set(split_words(answer, strict=True))
    forms: dict[str, str] = {}
    for word in sorted(has):
        forms[word.casefold()] = word
    return [
        (word, forms[word.casefold()])
        for word in sorted(wanted - has)
        if word.casefold() in forms and not (len(word) == 2 and word.isupper() and forms[word.casefold()].islower())
    ]
