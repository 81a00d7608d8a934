"""Measures how much an answer has of what the reference adds to the question: points 1 and 2 of `reference.py`'s
formula.

Each measure is a weighted F-measure between the expected and the found words of one kind.
"""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sftframe_plugins.judges.words import is_number

Gram = tuple[str, ...]
"""One word, or two words in a row."""

_ARTICLES = {"a", "an", "the"}
"""Words that do not count as a replacement for each other."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constants of the formula; near these values, the agreement with other graders hardly changes."""

    beta: float = 2.0
    """Beta of the F-measure: missing words count more than extra words; the value of chrF++."""
    power: float = 2.0
    """A word weighs its length to this power, so that `photosynthesis` counts much and `is called the` little."""
    detail: float = 0.5
    """The share that a later kind can take away (wrong words next to the right number, the right words in the wrong
    order), and that each replaced word takes away.
    """


SHIPPED = Constants()
"""The values of the judge `reference`."""


def compare(
    instruction: list[str], given: list[str], expected: list[str], found: list[str], constants: Constants
) -> tuple[float, str]:
    """The score, 0-100, and the reason for it.

    Args:
        instruction, given: the question's words; `given` are the words of its input.
        expected, found: the words of the reference and of the answer.
    """
    added = _added_kinds(instruction, given, expected, found)
    kept_words = set(given) - set(instruction)
    kept = _Kind("kept", _singles(expected, kept_words), _singles(found, kept_words))
    later = 1.0
    for kind in reversed(added[1:]):
        later = 1 - constants.detail * (1 - kind.agreement(constants) * later)
    chosen = _Kind("chosen", _singles(expected, {*instruction}), _singles(found, {*instruction}))
    # if a number decides, the words around it do not count: "about 17.64 oz" is "approximately 17.64 ounces"
    replaced = [] if added[0].name == "number" else _replaced_words(expected, found, {*instruction, *given})
    share = added[0].agreement(constants) * later * kept.agreement(constants) * (1 - chosen.exchange(constants))
    share *= (1 - constants.detail) ** len(replaced)
    return 100 * share, _reason([*added, kept, chosen], replaced)


@dataclass(frozen=True, slots=True)
class _Kind:
    """The expected and the found words of one kind."""

    name: str
    expected: Counter[Gram]
    found: Counter[Gram]

    @property
    def missing(self) -> Counter[Gram]:
        """Expected and not found."""
        return self.expected - self.found

    @property
    def extra(self) -> Counter[Gram]:
        """Found and not expected."""
        return self.found - self.expected

    def agreement(self, constants: Constants) -> float:
        """The weighted F-measure, 0-1; 0 where nothing matches, 1 where nothing is expected."""
        if not self.expected:
            return 1.0
        matched = _mass(self.expected & self.found, constants)
        expected, found = _mass(self.expected, constants), _mass(self.found, constants)
        beta2 = constants.beta**2
        return (1 + beta2) * matched / (beta2 * expected + found)

    def exchange(self, constants: Constants) -> float:
        """How far other words replace the missing ones, 0-1."""
        missing, extra = _mass(self.missing, constants), _mass(self.extra, constants)
        return min(missing, extra) / max(missing, extra) if missing and extra else 0.0


def _mass(grams: Counter[Gram], constants: Constants) -> float:
    return float(sum(num * sum(len(word) ** constants.power for word in gram) for gram, num in grams.items()))


def _added_kinds(instruction: list[str], given: list[str], expected: list[str], found: list[str]) -> list[_Kind]:
    """What the reference adds to the question, the most important kind first; at least one."""
    known = {*instruction, *given}
    new = {word for word in (*expected, *found) if word not in known}
    numbers = {word for word in new if is_number(word)}
    words = new - numbers
    if numbers.isdisjoint(expected):
        numbers |= _decisive_numbers(known, expected, found)
    if not numbers.isdisjoint(expected):
        words &= set(expected)  # next to the right number, "approximately" and the like are not wrong
    kinds = [
        _Kind("number", _singles(expected, numbers), _singles(found, numbers)),
        _Kind("word", _singles(expected, words), _singles(found, words)),
    ]
    kinds = [kind for kind in kinds if kind.expected]
    if kinds:  # frames differ ("it is X", "X"): only words that both have are ordered
        shared = set(expected) & set(found)
        order = _order([w for w in expected if w in shared], [w for w in found if w in shared], set())
        return [*kinds, order, _Kind("whole", _singles(expected, known | new), _singles(found, known | new))]
    order = _order(expected, found, {*itertools.pairwise(instruction), *itertools.pairwise(given)})
    if order.expected and len(found) > 1:
        return [order]
    # a part of the question adds nothing, and a single word has no order: then all words are compared
    return [_Kind("word", _singles(expected, known), _singles(found, known | new))]


def _decisive_numbers(known: set[str], expected: list[str], found: list[str]) -> set[str]:
    """The question's numbers, if the answer's choice matters: the reference has only some of them, or the answer has
    other numbers instead. It is not wrong to leave out what only repeats the question.
    """
    offered, wanted, has = ({word for word in words if is_number(word)} for words in (known, expected, found))
    is_choice = not offered <= wanted
    is_replaced = not wanted <= has and not has <= wanted
    return offered | has if is_choice or is_replaced else set()


def _replaced_words(expected: list[str], found: list[str], known: Container[str]) -> list[tuple[str, str]]:
    """Words of the reference, each with the unknown word between the same neighbours in the answer."""
    words: dict[Gram, str] = {}
    for left, word, right in _with_neighbours(expected):
        words.setdefault((left, right), word)
    answer, reference = set(found), {*expected, *_ARTICLES}
    return [
        (words[left, right], other)
        for left, other, right in _with_neighbours(found)
        if (left, right) in words and words[left, right] not in answer and other not in reference and other not in known
    ]


def _with_neighbours(words: list[str]) -> Iterator[tuple[str, str, str]]:
    return zip(["", *words], words, [*words[1:], ""], strict=False)


def _singles(words: Iterable[str], kind: Container[str]) -> Counter[Gram]:
    return Counter((word,) for word in words if word in kind)


def _order(expected: Sequence[str], found: Sequence[str], known_pairs: Container[Gram]) -> _Kind:
    def pairs(words: Sequence[str]) -> Counter[Gram]:
        return Counter(pair for pair in itertools.pairwise(words) if pair not in known_pairs)

    return _Kind("order", pairs(expected), pairs(found))


def _reason(kinds: Iterable[_Kind], replaced: Sequence[tuple[str, str]]) -> str:
    """One sentence about the most important kind that does not agree fully."""
    unlike = {kind.name: kind for kind in kinds if kind.expected and kind.expected != kind.found}
    if kind := unlike.get("number"):
        return _tell_numbers(_listed(kind.missing), _listed(kind.extra))
    if (kind := unlike.get("word")) and kind.missing:
        return f"{kind.missing.total()} of {kind.expected.total()} key words missing: {_listed(kind.missing)}"
    if replaced:
        return f"{_listed((other,) for _, other in replaced)} instead of {_listed((word,) for word, _ in replaced)}"
    if (kind := unlike.get("kept")) and kind.missing:
        return f"missing words of the input that the reference keeps: {_listed(kind.missing)}"
    if (kind := unlike.get("chosen")) and kind.missing and kind.extra:
        return f"of the question's words {_listed(kind.missing)} expected, {_listed(kind.extra)} found"
    if (kind := unlike.get("order")) and kind.missing:
        return "the words of the reference in another order"
    extra = [kind for name, kind in unlike.items() if kind.extra and name in ("word", "kept", "whole")]
    return f"more than the reference has: {_listed(extra[0].extra)}" if extra else "all that the reference adds"


def _tell_numbers(missing: str, extra: str) -> str:
    if missing and extra:
        return f"number {missing} expected, {extra} found"
    return f"number {missing} missing" if missing else f"number {extra} not in the reference"


def _listed(grams: Iterable[Gram]) -> str:
    """The first few, so that a reason stays one readable line; counters also show counts above 1.

    >>> _listed(Counter({("as",): 2, ("snow",): 1}))
    'as (2 times), snow'
    """
    counts = grams if isinstance(grams, Counter) else {}
    words = [
        textwrap.shorten(gram[0], 30, placeholder="…") + (f" ({counts[gram]} times)" if counts.get(gram, 1) > 1 else "")
        for gram in grams
    ]
    return ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
