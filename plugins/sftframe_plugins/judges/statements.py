"""What a sentence states: whether an answer says the opposite of the reference with the same words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sftframe_plugins.judges.opposites import is_opposing, match_opposites
from sftframe_plugins.judges.parts import SENTENCE_END
from sftframe_plugins.judges.wording import SMALL_WORDS, is_negation, is_number, split_words, stem

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


def polarities(words: Sequence[str]) -> dict[str, set[bool]]:
    """By stem of a content word: whether it occurs negated, plain, or both."""
    found: dict[str, set[bool]] = {}
    reach = 0
    for place, word in enumerate(words):
        if is_negation(word):
            is_answer = place == 0 and word == "no"  # "No, it is …" is about the whole
            is_only = place + 1 < len(words) and words[place + 1] == "only"
            reach = 0 if is_answer or is_only else _REACH
            continue
        if word in _NEXT_CLAUSE:
            reach = 0
        is_small = not _is_content(word)
        if not is_small:
            found.setdefault(stem(word), set()).add(reach > 0)
        reach = reach - 1 if is_small and reach else 0
    return found


def _is_denied(expected: Sequence[str], found: Sequence[str], only: set[str] | None = None) -> bool:
    """Whether a word, or one of some stems only, is denied on one side only."""
    first, other = expected[0], found[0]
    if only is None and {first, other} <= {"yes", "no"}:
        return first != other
    wanted, has = polarities(expected), polarities(found)
    shared = wanted.keys() & has.keys()
    if 2 * len(shared) < len(wanted):
        return False  # it says something else
    if only is None and any(map(is_negation, expected)) and any(map(is_negation, found)):
        return False  # both deny something, and which part is a matter of style
    return any(not wanted[word] & has[word] for word in (shared if only is None else shared & only))


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
    content = [stem(word) for word in words if _is_content(word) and not word.endswith("ly") and not is_negation(word)]
    return [word for word in content if content.count(word) == 1]


def _longest(places: Sequence[int]) -> int:
    """Length of the longest rising part of a sequence."""
    import bisect

    ends: list[int] = []
    for place in places:
        at = bisect.bisect_left(ends, place)
        ends[at : at + 1] = [place]
    return len(ends)


def _sides(expected: str, found: str, *, has_opposite: bool) -> tuple[bool, bool]:
    """How the sides of a statement stand in the answer: `A beat B`.

    Args:
        has_opposite: the answer has opposites of the reference's words.

    Returns:
        Whether the roles are exchanged (`B beat A`), and whether only the words are (`B was beaten by A`).
    """
    words = split_words(expected)
    answers = [match_opposites(clause, words) if has_opposite else clause for clause in _clauses(found)]
    orders = [(clause, _order(clause)) for clause in answers]
    is_voiced = False
    for clause in _clauses(expected):
        wanted = {word: place for place, word in enumerate(_order(clause))}
        verdicts = set()
        for other, order in orders:
            shared = [word for word in order if word in wanted]
            if 2 * len(shared) <= max(len(wanted), len(order)):
                continue  # it says something else
            if "than" in clause and "than" in other:
                verdicts.add(_is_compared_other_way(clause, other))
                continue
            if len(shared) < 3:
                continue
            places = [wanted[word] for word in shared]
            is_turned = _longest([-place for place in places]) >= 3
            is_voice = _is_passive(clause, set(shared)) != _is_passive(other, set(shared))
            is_straight = _longest(places) >= 3
            verdicts.add(is_straight if is_voice else is_turned)
            is_voiced = is_voiced or (is_voice and is_turned)
        if verdicts == {True}:
            return True, False
    return _is_crossed(_clauses(expected), [clause for clause, _ in orders]), is_voiced


def _is_compared_other_way(clause: Sequence[str], other: Sequence[str]) -> bool:
    """Whether what stands before `than` stands after it, and the other way round."""
    (before, after), (here, there) = (
        ({*map(stem, words[: words.index("than")])}, {*map(stem, words[words.index("than") :])})
        for words in (clause, other)
    )
    small = {stem(word) for word in (*clause, *other) if not _is_content(word)}
    return bool((before - after - small) & (there - here)) and bool((after - before - small) & (here - there))


def _is_crossed(clauses: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> bool:
    """Whether two clauses have exchanged their subjects: `A is hot, B is cold`, `B is hot, A is cold`."""
    contents, said = (
        [[stem(word) for word in clause if _is_content(word)] for clause in some] for some in (clauses, others)
    )
    for one, two in itertools.pairwise(filter(None, contents)):
        own, theirs = set(one).difference(two), set(two).difference(one)
        rests: dict[str, set[str]] = {}
        for words in filter(None, said):
            rests.setdefault(words[0], set()).update(words[1:])
        if one[0] == two[0] or not {one[0], two[0]} <= rests.keys():
            continue
        here, there = rests[one[0]], rests[two[0]]
        if (own & there) - here and (theirs & here) - there:
            return True
    return False


def in_order(expected: Sequence[str], found: Sequence[str]) -> float:
    """The share of neighbours that stay in order if as few words as possible are moved, 0-1.

    >>> in_order(["a", "b", "c"], ["c", "b", "a"]), in_order(["a", "b", "c"], ["b", "a", "c"])
    (0.0, 0.5)
    """
    wanted = {word: place for place, word in enumerate(dict.fromkeys(expected))}
    places = [wanted[word] for word in dict.fromkeys(found) if word in wanted]
    return (_longest(places) - 1) / (len(places) - 1) if len(places) > 1 else 1.0


_STEP = re.compile(
    r"[,;.\n]|\b(?:and )?(?:then|next|finally|afterwards|after that|lastly)\b|\b(?P<turn>before|after)\b", re.IGNORECASE
)
_SEQUENCE = re.compile(r"\b(?:first|then|next|finally|afterwards|before|after)\b", re.IGNORECASE)


def _steps(text: str) -> list[set[str]]:
    """The stems of each step of a text that says what comes first, in the order of time; empty if it says no order."""
    if not _SEQUENCE.search(text):
        return []
    steps: list[set[str]] = []
    place, turn, is_lead = 0, "", False
    for match in itertools.islice(itertools.chain(_STEP.finditer(text), [None]), _MOST_CLAUSES):
        step = {
            stem(word)
            for word in split_words(text[place : match.start() if match else len(text)])
            if word not in SMALL_WORDS and word != "first"
        }
        if step:
            is_back = is_lead or (turn == "after" and len(steps) > 0)  # "A after B", "before B, A"
            is_lead = turn == "before" and not steps
            steps.insert(len(steps) - 1 if is_back else len(steps), step)
            turn = ""
        if match is None:
            break
        place, turn = match.end(), (match["turn"] or turn).lower()
    return steps


def _has_other_order(reference: str, answer: str) -> bool:
    """Whether the steps of the reference stand in another order: `A, then B`, `first B, then A`."""
    wanted, found = _steps(reference), _steps(answer)
    places = []
    for step in found:
        shares = [len(step & one) / len(one) for one in wanted]
        if shares and 2 * max(shares) >= 1:
            places.append(shares.index(max(shares)))
    return len(places) > 1 and len(set(places)) == len(places) and _longest(places) == 1


@dataclass(frozen=True, slots=True)
class Stance:
    """How an answer stands to the reference, as far as both have the same words."""

    opposed: str = ""
    """How it says the opposite; empty if it does not."""
    is_turned: bool = False
    """It says the same from the other side: `Tea is cheaper than coffee`, `Coffee is more expensive than tea`."""
    has_opposites: bool = False
    """It says the same with an opposite: `not unsafe`."""


_CONVERSE = frozenset(["than", "before", "after", "above", "below", "over", "under"])
"""Where the sides of these are exchanged and the word is turned, a statement stays the same."""


def stance(reference: str, answer: str) -> Stance:
    """Whether the answer says the opposite of the reference with its words.

    >>> stance("Aspirin should not be given.", "Aspirin should be given.").opposed
    'denies what the reference says, or says what it denies'
    >>> stance("The price rose.", "The price fell.").opposed
    'says the opposite of a word of the reference'
    >>> stance("Germany beat Brazil.", "Brazil beat Germany.").opposed
    'the words of the reference with exchanged roles'
    >>> stance("Germany beat Brazil.", "Brazil was beaten by Germany.")
    Stance(opposed='', is_turned=True, has_opposites=False)
    """
    expected, plain = split_words(reference), split_words(answer)
    if not expected or not plain:
        return Stance()
    found = match_opposites(plain, expected)
    turned = _turned(expected, found, plain) if found != plain else set()
    is_opposite = bool(turned) and _is_denied(expected, found, turned)
    is_denied = _is_denied(expected, plain)
    if is_opposite:
        is_denied = is_denied or any(map(is_negation, expected)) != any(map(is_negation, plain))
    is_exchanged, is_turned = _sides(reference, answer, has_opposite=found != plain)
    if found != plain and is_exchanged and not _CONVERSE.isdisjoint(expected) and not _CONVERSE.isdisjoint(found):
        return Stance(is_turned=True, has_opposites=True)
    if is_denied != is_opposite:  # "not odd" is even
        told = "denies what the reference says, or says what it denies"
        return Stance("says the opposite of a word of the reference" if is_opposite else told)
    if is_exchanged:
        return Stance("the words of the reference with exchanged roles")
    if _has_other_order(reference, answer):
        return Stance("the steps of the reference in another order")
    return Stance("", is_turned, bool(turned))


def _turned(expected: Sequence[str], found: Sequence[str], plain: Sequence[str]) -> set[str]:
    """Stems of the expected words whose opposite stands next to the same content word, or at the same end."""
    candidates = {stem(word) for word in found} - {stem(word) for word in plain}
    wanted, has = _neighbours(expected), _neighbours(found)
    return {word for word in candidates if wanted.get(word, set()) & has.get(word, set())}


def _neighbours(words: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    content = ["", *(stem(word) for word in words if not is_negation(word) and _is_content(word)), ""]
    found: dict[str, set[tuple[str, str]]] = {}
    for before, word, after in zip(content, content[1:], content[2:], strict=False):
        found.setdefault(word, set()).update({("before", before), ("after", after)})
    return found


def _is_content(word: str) -> bool:
    return word not in SMALL_WORDS or is_opposing(word)


def contradicts_itself(reference: str, answer: str) -> bool:
    """Whether one sentence of several says the opposite of the reference, and the answer as a whole does not.

    >>> contradicts_itself("Yes, it is a fruit.", "Yes, it is a fruit. No, it is not a fruit.")
    True
    """
    if SENTENCE_END.search(reference.strip()):
        return False  # each sentence of the answer may be about another one
    parts = [part for part in SENTENCE_END.split(answer) if part.strip()]
    if not 1 < len(parts) <= _MOST_CLAUSES:
        return False
    said = polarities(split_words(reference)).keys()
    about = [
        part for part in parts if polarities(match_opposites(split_words(part), split_words(reference))).keys() <= said
    ]
    return any(stance(reference, part).opposed for part in about)


_NO_SYMBOL = frozenset(["a", "i"])


def _is_symbol(word: str) -> bool:
    """Whether case is content: `C`, `x`, `Au`, `pH`, `NaCl`, `CO`."""
    if is_number(word) or not word.isascii() or not word[:1].isalpha() or word.lower() in _NO_SYMBOL:
        return False
    letters = "".join(mark for mark in word if mark.isalpha())
    if len(letters) == 1:
        return True
    if word.lower() in SMALL_WORDS or is_negation(word.lower()) or letters.islower() or len(letters) > 4:
        return False
    return len(letters) == 2 or (letters != letters.capitalize() and letters != letters.upper())


def other_case(reference: str, answer: str) -> list[tuple[str, str]]:
    """The symbols of the reference that the answer has in another case only.

    In a text without any capital letter, case is no content.

    >>> other_case("It is Au.", "It is AU."), other_case("The UK won.", "the uk won")
    ([('Au', 'AU')], [])
    """
    wanted = {word for word in split_words(reference, strict=True) if _is_symbol(word)}
    if not wanted or (answer.islower() and len(answer.split()) > 1):
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
