"""The judge that needs no model: it checks whether the answer has what the reference answer adds to the question.

It works offline, is deterministic, and grades some thousand items per second. The formula has three parts:

1. What counts is what the reference says and the question does not. There are four kinds: its new numbers (or its
   choice among the question's numbers), its new words (a word weighs the square of its length), the order of its words,
   and all the rest. The score is the F-measure of found against expected for the first of these kinds that the
   reference has. Each later kind can take away at most half of it.
2. The score is multiplied by the F-measure of the words that the reference keeps from the input, and reduced if words
   of the instruction replace others. It is halved for every place where an unknown word replaces the reference's word
   between the same neighbours: the same sentence with another word says something else.
3. The reference's own words in their order score 100, whatever their case, punctuation and Unicode form. Among other
   words they score at least their share of the answer. An answer that only repeats the question scores 0.

The judge compares words, not meanings: a synonym counts as a wrong word. If many answers are good, it is unjust to all
but one. `docs/explanation/judges.md` measures how far it agrees with other graders.
"""

from __future__ import annotations

import itertools
import re
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sftframe import Contact, Judge, JudgeItem, Verdict

_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:[,'’_\u00a0\u2009\u202f]\d{3})+(?!\d)")
"""A number with separators between thousands; a plain space does not count: it also separates the members of a list."""

_LIST_MARKER = re.compile(r"^[ \t]*(?:\d+[.)]|[-*•])[ \t]+(?=\S)", re.MULTILINE)

_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
"""Chinese and Japanese characters: their words have no spaces between them."""

_NUMBER = r"(?:(?<![\w.,)])-)?(?:\d+(?:\.\d+)?|(?<!\w)\.\d+)"
_WORD = r"[^\W\d_](?:[^\W_]|'(?=[^\W_]))*"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|{_WORD}")
_STRICT_TOKEN = re.compile(rf"{_TOKEN.pattern}|[^\w\s]|_")

_MAX_ROUNDED = 40
"""In characters; nobody rounds a longer number."""

_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "−": "-", "^": ""})
"""`^` is removed, so that `x^2` becomes the same as `x²` after folding: `x2`."""


def split_words(text: str, *, strict: bool = False) -> list[str]:
    """The words of a text in order, numbers in one canonical form.

    Args:
        strict: keep case, and punctuation marks as separate words.

    >>> split_words("1. The sun’s mass: ２,000.50 (kg)")
    ['the', "sun's", 'mass', '2000.5', 'kg']
    >>> split_words("Is it -3°C?", strict=True)
    ['Is', 'it', '-3', '°', 'C', '?']
    """
    text = _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), text)
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    if not strict:
        text = unicodedata.normalize("NFKC", text.casefold())
    text = _UNSPACED.sub(r" \1 ", _LIST_MARKER.sub("", text))
    tokens = (_STRICT_TOKEN if strict else _TOKEN).finditer(text)
    return [_canonical(match[0]) if match["number"] else match[0] for match in tokens]


def is_number(word: str) -> bool:
    """Whether a word is a number in canonical form.

    >>> is_number("-183.5"), is_number("h2o"), is_number("-")
    (True, False, False)
    """
    return word.removeprefix("-")[:1].isdecimal()


def match_rounded(words: Sequence[str], expected: Sequence[str]) -> list[str]:
    """The words, with each number replaced by the expected one that it differs from by rounding only.

    A rounded number keeps at least two digits: 18 and 17.6 stand for 17.64, but 3 does not stand for 3.14.

    >>> match_rounded(["about", "50.3", "m"], ["50.27", "m"])
    ['about', '50.27', 'm']
    """
    known = {number: number for number in expected if is_number(number)}
    rounded = {short: number for number in known for short in _roundings(number)}
    meant = {**rounded, **known}
    return [_expected_number(word, meant, known) if is_number(word) else word for word in words]


def _expected_number(number: str, meant: dict[str, str], known: dict[str, str]) -> str:
    if number in meant:
        return meant[number]
    return next((short for short in _roundings(number) if short in known), number)


def _canonical(number: str) -> str:
    """A number without extra zeros, in ASCII digits: `007.50` is `7.5`, and `-0` is `0`."""
    sign = "-" if number.startswith("-") else ""
    whole, _, fraction = number.removeprefix("-").partition(".")
    whole, fraction = (_ascii_digits(part) for part in (whole, fraction))
    short = (whole.lstrip("0") or "0") + ("." + fraction.rstrip("0")).rstrip(".")
    return short if short == "0" else sign + short


def _ascii_digits(digits: str) -> str:
    return "".join(str(unicodedata.decimal(digit)) for digit in digits)


def _roundings(number: str) -> Iterator[str]:
    """Shorter ways to write a decimal fraction, the longest first; half rounds up, as people do."""
    from decimal import ROUND_HALF_UP, Context, Decimal

    places = len(number.partition(".")[2]) if len(number) <= _MAX_ROUNDED else 0
    context = Context(prec=len(number) + 1, rounding=ROUND_HALF_UP)
    for kept in range(places - 1, -1, -1):
        short = str(Decimal(number).quantize(Decimal(1).scaleb(-kept), context=context))
        if len(short.lstrip("-0.").replace(".", "")) >= 2:
            yield _canonical(short)


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


class ReferenceJudge(Judge):
    """The judge `reference`: agreement with the reference answer."""

    name = "reference"
    summary = "agreement with the reference answer: offline, deterministic, instant"
    is_deterministic = True
    is_cacheable = False

    @property
    def contacts(self) -> Sequence[Contact]:
        """None: it works on this machine alone."""
        return ()

    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """One verdict per item, always `ok`."""
        for item in items:
            score, reason = grade(item)
            yield Verdict(index=item.index, status="ok", score=score, reason=reason, judge=self.identity)


def grade(item: JudgeItem, constants: Constants = SHIPPED) -> tuple[float, str]:
    """The answer's score, 0-100, and one sentence that says why.

    >>> def ankara(answer):
    ...     question, reference = "What is the capital of Turkey?", "The capital of Turkey is Ankara."
    ...     return grade(JudgeItem(index=0, instruction=question, input="", reference=reference, answer=answer))
    >>> ankara("the capital of Turkey is ANKARA")
    (100.0, 'exact but for case, punctuation or form')
    >>> ankara("The capital of Turkey is Izmir.")
    (0.0, '1 of 1 key words missing: ankara')
    >>> ankara("What is the capital of Turkey?")
    (0.0, 'only repeats the question')
    """
    if item.answer.strip() == item.reference.strip():
        return 100.0, "exact"
    is_strict = _is_about_form(item)
    instruction, given, expected, found = (
        split_words(text, strict=is_strict) for text in (item.instruction, item.input, item.reference, item.answer)
    )
    if not found:
        return 0.0, "no answer"
    if found == expected:
        return 100.0, "exact but for case, punctuation or form"
    if found in (instruction, given, instruction + given):
        return 0.0, "only repeats the question"
    if not expected:
        return 0.0, "the reference is empty"
    found = match_rounded(found, expected)
    score, reason = compare(instruction, given, expected, found, constants)
    share = 100 * len(expected) / len(found)
    if _has_run(found, expected) and share > score:
        return share, f"the reference word for word, in {len(found)} words instead of {len(expected)}"
    return score, reason


def _is_about_form(item: JudgeItem) -> bool:
    """Whether case and punctuation matter: the reference differs from the input only in them, or has no words."""
    reference = split_words(item.reference)
    return not reference or reference == split_words(item.input)


def _has_run(words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether the words contain the run unchanged; a single word does not count, since it may occur by chance."""
    return len(run) > 1 and f" {' '.join(run)} " in f" {' '.join(words)} "
