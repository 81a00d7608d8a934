"""The judge that needs no model: it checks whether the answer has what the reference answer adds to the question.

It works offline, is deterministic, and grades some thousand items per second. The formula has four parts:

1. What counts is what the reference says and the question does not: its new numbers (or its choice among the question's
   numbers and options), else its new words, else the order of its words. The score is the F-measure of found against
   expected; what is missing counts far more than what is added. The rest of the reference takes away a little.
2. The score is multiplied by the F-measure of the words that the reference keeps from the input. It is reduced for
   every place where another word stands between the same neighbours: the same sentence with another word says something
   else.
3. An answer that says the opposite with the reference's words (a `not` more or less, `rose` for `fell`, exchanged
   roles, steps in another order, another sign, unit or date) keeps a tenth. An explanation may use other words.
4. The reference's own words in their order score 100, whatever their punctuation and Unicode form, and their case where
   it says nothing. Number words are numbers, and units are converted. An answer that only repeats the question scores
   0.

The judge compares words, not meanings: a synonym counts as a wrong word. It must not be used for free texts,
paraphrases and long answers. `docs/explanation/judges.md` measures how far it agrees with other graders.
"""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sftframe import Contact, Judge, JudgeItem, Verdict
from sftframe_plugins.judges.formulas import has_same_value
from sftframe_plugins.judges.initials import match_initials, without_initials
from sftframe_plugins.judges.opposites import match_opposites
from sftframe_plugins.judges.parts import (
    alternatives,
    fenced_code,
    has_form,
    is_code,
    is_list,
    members,
    options,
    sentences,
)
from sftframe_plugins.judges.quantities import match_quantities
from sftframe_plugins.judges.questions import (
    asks_for_order,
    guesses,
    has_last_name,
    is_open,
    is_yes_or_no,
    may_be_right,
    says_yes,
)
from sftframe_plugins.judges.statements import Stance, contradicts_itself, in_order, other_case, stance
from sftframe_plugins.judges.times import match_times
from sftframe_plugins.judges.wording import (
    SMALL_WORDS,
    has_other_sign,
    is_negation,
    is_number,
    match_forms,
    match_rounded,
    split_words,
    stem,
)

Gram = tuple[str, ...]
"""One word, or two words in a row."""

_VOICE = {"active", "passive", "voice"}
"""Words of a question about the form of a statement, in which the order counts."""

_ARTICLES = {"a", "an", "the"}
"""Words that do not count as a replacement for each other."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constants of the formula; near these values, the agreement with other graders hardly changes."""

    beta: float = 20.0
    """Beta of the F-measure: what is missing counts far more than what is added, as people see it. The score is halved
    only by beta squared, 400, times as much new text as the reference has.
    """
    detail: float = 0.2
    """The share that everything else in the reference can take away, next to what decides."""
    replaced: float = 0.5
    """What is left for the only key word with another word in its place, for words in another order, for the right
    sentence without its number, and for a symbol in another case.
    """
    explained: int = 4
    """From so many key words on, a reference is an explanation, which may be said in other words: half of its score is
    the share of all its words that say something.
    """
    reversed: float = 0.1
    """What is left if the answer says the opposite with the words of the reference."""


SHIPPED = Constants()
"""The values of the judge `reference`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known of the question and the form of the reference."""

    instruction: Sequence[str]
    given: Sequence[str] = ()
    """The words of the input."""
    offered: Container[str] = ()
    """Words that the question lets choose from."""
    breaks: Container[Gram] = ()
    """Pairs of words with a break between them in the reference: their order is free."""
    sentences: Sequence[list[str]] = ()
    """The answer's, if it has several: one may be right and another one wrong."""
    is_turned: bool = False
    """The answer says the same from the other side, so its words have another order."""
    is_ordered: bool = False
    """The question asks for an order."""
    is_list: bool = False
    """The reference and the answer are lists: then what is added are more members, not more words."""


def compare(asked: Asked, expected: list[str], found: list[str], constants: Constants) -> tuple[float, str]:
    """The score, 0-100, and the reason for it.

    Args:
        expected, found: the words of the reference and of the answer.
    """
    instruction, given = asked.instruction, asked.given
    added = _added_kinds(asked, expected, found)
    kept_words = set(given) - set(instruction)
    kept = _Kind("kept", _singles(expected, kept_words), _singles(found, kept_words))
    said = {*instruction} - _ARTICLES
    chosen = _Kind("chosen", _singles(expected, said), _singles(found, said))
    offered = _Kind("option", _singles({*expected} & {*found}, asked.offered), _singles({*found}, asked.offered))
    replaced = [] if added[0].name == "number" else _all_replaced(asked, expected, found)
    num_keys = len({gram for gram in added[0].expected if gram[0] not in SMALL_WORDS}) or 1
    share = _decided(asked, added, expected, found, constants)
    in_place = 1.0
    for kind in added[1:]:
        agreement = kind.recall if kind.name == "whole" else kind.agreement(constants)
        if kind.name == "order":
            in_place = 1 - (1 - constants.replaced) * (1 - agreement)
        else:
            share *= 1 - constants.detail * (1 - agreement)
    share *= in_place
    # if a number decides, the words around it are details: "about 17.64 oz" is "approximately 17.64 ounces"
    share *= 1 - (constants.detail if added[0].name == "number" else 1) * (1 - kept.agreement(constants))
    share *= constants.replaced ** (len(replaced) / num_keys) * _chosen(asked, offered, found, constants)
    if (words_said := _explained(asked, expected, found, constants)) is not None:
        share = (share + in_place * words_said) / 2
    return 100 * share, _reason([*added, kept, chosen, offered], replaced)


def _chosen(asked: Asked, offered: _Kind, found: Sequence[str], constants: Constants) -> float:
    """The share of the right one among the options that the answer names."""
    is_bare = all(word in asked.offered or word in SMALL_WORDS for word in found)
    return 1 / (1 + len(offered.extra)) if is_bare else offered.agreement(replace(constants, beta=1))


def _explained(asked: Asked, expected: Sequence[str], found: Sequence[str], constants: Constants) -> float | None:
    """The share of the words that say something, if the reference explains and the answer has one of its key words."""
    known, has = {*asked.instruction, *asked.given}, set(found)
    content = [word for word in dict.fromkeys(expected) if word not in SMALL_WORDS]
    keys = [word for word in content if word not in known]
    if asked.is_list or len(keys) < constants.explained or has.isdisjoint(keys):
        return None
    return sum(len(word) for word in content if word in has) / sum(map(len, content))


def _decided(
    asked: Asked, added: Sequence[_Kind], expected: Sequence[str], found: Sequence[str], constants: Constants
) -> float:
    """The share of the kind that decides, 0-1."""
    first = added[0]
    if first.name == "number" and not first.found and added[1].name == "word":
        return constants.replaced * added[1].agreement(constants)  # it says the rest, and no other number
    if asked.is_list and asked.is_ordered:
        return first.agreement(constants) * in_order(expected, found)
    if asked.is_list:
        return min(first.agreement(constants), first.agreement(replace(constants, beta=1)))
    return first.agreement(constants)


def _all_replaced(asked: Asked, expected: list[str], found: list[str]) -> list[tuple[str, str]]:
    """In the whole answer, or else in one of its sentences: "It is Au. It is Ag." is not right."""
    known, reference = {*asked.instruction, *asked.given}, set(expected)
    between: dict[Gram, str] = {}
    for left, word, right in _with_neighbours(expected):
        between.setdefault((left, right), word)
    for words in filter(_is_short, asked.sentences):  # "It is A. No, it is B."
        for left, word, right in _with_neighbours(words):
            if word in reference and word not in known:
                between.setdefault((left, right), word)
    for some in ([found], asked.sentences):
        if replaced := [pair for words in some for pair in _replaced_words(between, reference, words, known)]:
            return replaced
    return []


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
        matched = _mass(self.expected & self.found)
        # a word that is said again adds nothing: it counts once, or as often as the reference has it
        once = Counter({gram: min(num, self.expected[gram] or 1) for gram, num in self.found.items()})
        expected, found = _mass(self.expected), _mass(once)
        return _f_measure(matched, expected, found, constants)

    @property
    def recall(self) -> float:
        """The weighted share of the expected words that are found, 0-1."""
        return _mass(self.expected & self.found) / _mass(self.expected) if self.expected else 1.0


def _mass(grams: Counter[Gram]) -> float:
    """A word weighs its letters, so that `photosynthesis` counts much, and a small word such as `which` weighs one."""
    return float(
        sum(num * sum(1 if word in SMALL_WORDS else len(word) for word in gram) for gram, num in grams.items())
    )


def _added_kinds(asked: Asked, expected: list[str], found: list[str]) -> list[_Kind]:
    """What the reference adds to the question, the most important kind first; at least one."""
    instruction, given = asked.instruction, asked.given
    known = {*instruction, *given}
    new = {word for word in (*expected, *found) if word not in known}
    numbers = {word for word in new if is_number(word)}
    words = new - numbers - _ARTICLES
    if numbers.isdisjoint(expected):
        numbers |= _decisive_numbers(known, expected, found)
    if SMALL_WORDS.issuperset(words & set(expected)) and (given or not numbers.isdisjoint(expected)):
        words = set()  # then "would be" says nothing that the order of the words does not say
    elif not numbers.isdisjoint(expected):
        words &= set(expected)  # next to the right number, "approximately" and the like are not wrong
    kinds = [
        _Kind("number", _singles(expected, numbers), _singles(found, numbers)),
        _Kind("word", _singles(expected, words), _singles(found, words)),
    ]
    kinds = [kind for kind in kinds if kind.expected]
    if kinds:  # frames differ ("it is X", "X"): only words that both have are ordered, and "the" stands everywhere
        shared = (set(expected) & set(found)) - SMALL_WORDS
        order = _order([w for w in expected if w in shared], [w for w in found if w in shared], asked.breaks)
        order = _Kind("order", Counter(), Counter()) if asked.is_turned else order
        return [*kinds, order, _Kind("whole", _singles(expected, known | new), _singles(found, known | new))]
    wanted = {word for word in expected if word in asked.offered}
    if wanted and any(word in asked.offered and word not in wanted for word in instruction):
        choice = _Kind("choice", _singles(expected, wanted), _singles(found, wanted))
        return [choice, _Kind("whole", _singles(expected, known | new), _singles(found, known | new))]
    if _is_without_frame(expected, found):
        return [_Kind("word", _singles(expected, set(found)), _singles(found, set(found)))]
    order = _order(expected, found, {*itertools.pairwise(instruction), *itertools.pairwise(given)})
    if order.expected and len(found) > 1:
        return [order]
    # a part of the question adds nothing, and a single word has no order: then all words are compared
    return [_Kind("word", _singles(expected, known), _singles(found, known | new))]


def _is_without_frame(expected: list[str], found: list[str]) -> bool:
    """Whether the answer is the end of the reference, without the small words before: `-3 C` for `It was -3 C`."""
    dropped = len(expected) - len(found)
    return 0 < dropped <= len(found) and expected[dropped:] == found and SMALL_WORDS.issuperset(expected[:dropped])


def _decisive_numbers(known: set[str], expected: list[str], found: list[str]) -> set[str]:
    """The question's numbers, if the answer's choice matters: the reference has only some of them, or the answer has
    other numbers instead. It is not wrong to leave out what only repeats the question.
    """
    offered, wanted, has = ({word for word in words if is_number(word)} for words in (known, expected, found))
    is_choice = not offered <= wanted
    is_replaced = not wanted <= has and not has <= wanted
    return offered | has if has and (is_choice or is_replaced) else set()


_SHORT = 8
"""Words of a sentence that another one may correct."""


def _is_short(words: Sequence[str]) -> bool:
    return len(words) <= _SHORT


def _replaced_words(
    between: Mapping[Gram, str], reference: Container[str], found: list[str], known: Container[str]
) -> list[tuple[str, str]]:
    """Words of the reference, each with the unknown word between the same neighbours in the answer."""
    answer = set(found)
    pairs = [
        (between[left, right], other) for left, other, right in _with_neighbours(found) if (left, right) in between
    ]
    return [
        (word, other)
        for word, other in pairs
        if word not in answer
        and other not in known
        and SMALL_WORDS.isdisjoint((word, other))
        and (other not in reference or word in known)  # the answer in the place of what was asked about
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
    if (kind := unlike.get("option")) and kind.extra:
        return f"of what the question offers also {_listed(kind.extra)}"
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


_MOST_REFERENCES = 100
"""References of one item that are looked at, so that a page of them takes no time."""

_RULES = 3
"""Raise it with every change of the rules that changes a score."""


class ReferenceJudge(Judge):
    """The judge `reference`: agreement with the reference answer."""

    name = "reference"
    summary = "agreement with the reference answer: offline, deterministic, instant"
    is_deterministic = True
    is_cacheable = False

    @property
    def identity(self) -> str:
        """With the number of the rules, so that verdicts of other rules are never mixed with these."""
        return f"{super().identity}@{_RULES}"

    @property
    def contacts(self) -> Sequence[Contact]:
        """None: it works on this machine alone."""
        return ()

    def score(self, items: Sequence[JudgeItem]) -> Iterator[Verdict]:
        """One verdict per item, always `ok`."""
        for item in items:
            score, reason = grade(item)
            yield Verdict(index=item.index, status="ok", score=score, reason=reason, judge=self.identity)

    def caution(self, first: Sequence[JudgeItem], second: Sequence[JudgeItem]) -> str:
        """Says so where the two sides differ in length or form, since that changes scores without changing quality."""
        return _caution(first, second)


_MOST_TIMES_LONGER = 1.5
"""On answers with people's labels, systems with answers fifteen times as long lost 1 to 3 points of their lead."""
_MOST_FORMED = 0.25
"""A difference of shares of answers with lists or Markdown."""


def _caution(first: Sequence[JudgeItem], second: Sequence[JudgeItem]) -> str:
    if not first or not second:
        return ""
    one, other = (fmean(len(item.answer.split()) for item in side) for side in (first, second))
    times = max(one, other) / max(min(one, other), 1.0)
    why = ""
    if times >= _MOST_TIMES_LONGER:
        why = (
            f"their answers have {one:.1f} and {other:.1f} words on average ({times:.1f} times as many), and it grades "
            "longer answers too low"
        )
    else:
        shares = [fmean(has_form(item.answer) for item in side) for side in (first, second)]
        if abs(shares[1] - shares[0]) >= _MOST_FORMED:
            why = (
                f"{shares[0]:.0%} and {shares[1]:.0%} of their answers are lists or Markdown, and it compares words, "
                "not forms"
            )
    if not why:
        return ""
    return (
        f"the judge 'reference' is not to be trusted with this difference: {why}; let people label some answers, or "
        "ask a language model"
    )


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
    if item.answer.strip() in [reference.strip() for reference in item.accepted]:
        return 100.0, "exact"
    accepted = itertools.chain.from_iterable(map(alternatives, item.accepted[:_MOST_REFERENCES]))
    return max((_grade_one(item, one, constants) for one in accepted), key=lambda found: found[0])


def _grade_one(item: JudgeItem, reference: str, constants: Constants) -> tuple[float, str]:
    """Against one accepted answer."""
    is_program = is_code(reference)
    answer = fenced_code(item.answer) if is_program else item.answer
    is_strict = is_program or _is_about_form(reference, item.input)
    instruction, given, expected, found = (
        split_words(text, strict=is_strict) for text in (item.instruction, item.input, reference, answer)
    )
    if not found:
        return 0.0, "no answer"
    if found in (instruction, given, instruction + given) and found != expected:
        return 0.0, "only repeats the question"
    if not expected:
        return 0.0, "the reference is empty"
    if has_same_value(f"{item.instruction}\n{item.input}", reference, item.answer):
        return 100.0, "a formula with the value of the reference's"
    question = [*instruction, *given]
    opposed, stands = "", Stance() if is_program else stance(reference, answer)
    if not is_strict:
        reference, answer = without_initials(reference), without_initials(answer)
        answer = match_initials(answer, reference, item.instruction)
        expected = split_words(reference)
        found, opposed = _in_the_words_of(expected, split_words(answer), question, stands)
    asked = Asked(
        instruction=instruction,
        given=given,
        offered=options(f"{item.instruction}\n{item.input}".casefold()),
        breaks=_breaks(reference),
        is_ordered=asks_for_order(item.instruction),
        sentences=() if is_strict else sentences(answer),
        is_list=is_list(reference) and is_list(answer),
        is_turned=stands.is_turned and _VOICE.isdisjoint(instruction),
    )
    score, reason = _score(asked, expected, found, constants)
    if not is_strict:
        score, reason = _allow(item, reference, expected, found, (score, reason), constants)
    opposed = opposed or ("another sign than in the reference" if has_other_sign(found, expected) else stands.opposed)
    if opposed and score:
        return score * constants.reversed, opposed
    if not is_program and score:
        for share, told in _doubts(item, reference, answer, found, constants):
            return score * share, told
    return score, reason


def _breaks(reference: str) -> set[Gram]:
    return {(one[-1], other[0]) for one, other in itertools.pairwise(members(reference))}


def _in_the_words_of(
    expected: list[str], found: list[str], question: list[str], stands: Stance
) -> tuple[list[str], str]:
    """The answer with equal things in the reference's form, and what is there instead of an expected quantity."""
    found, is_other_time = match_times(found, expected)
    found = match_rounded(match_forms(found, expected, question), expected)
    found, is_other_unit = match_quantities(found, expected, question)
    if stands.has_opposites:
        found = match_opposites(found, expected)
    if is_other_time:
        return found, "another date or time than in the reference"
    return found, "the number of the reference with another unit" if is_other_unit else ""


def _allow(
    item: JudgeItem,
    reference: str,
    expected: list[str],
    found: list[str],
    graded: tuple[float, str],
    constants: Constants,
) -> tuple[float, str]:
    """What is right without the reference's words."""
    score, _ = graded
    instruction = split_words(item.instruction)
    nearly = 100 * (1 - constants.detail)
    if score < nearly and has_last_name(item.instruction, reference, item.answer):
        return nearly, "the last name of the reference"
    if score < nearly and is_yes_or_no(item.instruction):
        known = {*map(stem, instruction), *SMALL_WORDS, "yes"}
        is_bare = all(stem(word) in known or is_negation(word) for word in expected)
        wanted, says = says_yes(instruction, expected), says_yes(instruction, found)
        if is_bare and wanted is not None and wanted == says:
            return nearly, "the right one of yes and no"
    if is_open(item.instruction, reference) and may_be_right(instruction, expected, found):
        lifted = score + (100 - score) * constants.replaced
        return lifted, "an open question: half of what is missing may be right in other words"
    return graded


def _doubts(
    item: JudgeItem, reference: str, answer: str, found: list[str], constants: Constants
) -> Iterator[tuple[float, str]]:
    """What is left of the score if the answer does not stand by what it says, and why."""
    if contradicts_itself(reference, answer):
        yield constants.replaced**2, "contradicts itself"
    expected = split_words(reference)
    other = guesses(split_words(f"{item.instruction} {item.input}"), expected, answer)
    if other:
        yield 1 / (1 + len(other)), f"leaves open whether it is {_listed((word,) for word in sorted(other))}"
    if symbols := other_case(reference, answer):
        told = _listed((other,) for _, other in symbols), _listed((symbol,) for symbol, _ in symbols)
        yield constants.replaced, "{} instead of {}".format(*told)


def _score(asked: Asked, expected: list[str], found: list[str], constants: Constants) -> tuple[float, str]:
    """Of words in one form, before it is asked what they state."""
    if found == expected:
        return 100.0, "exact but for case, punctuation or form"
    score, reason = compare(asked, expected, found, constants)
    share = 100 * _f_measure(len(expected), len(expected), len(found), constants)
    is_frame = not asked.is_list and not _all_replaced(asked, expected, found)
    if is_frame and _has_run(found, expected) and share > score:
        return share, f"the reference word for word, in {len(found)} words instead of {len(expected)}"
    return score, reason


def _f_measure(matched: float, expected: float, found: float, constants: Constants) -> float:
    beta2 = constants.beta**2
    return (1 + beta2) * matched / (beta2 * expected + found)


def _is_about_form(reference: str, given: str) -> bool:
    """Whether case and punctuation matter: the reference differs from the input only in them, or has no words."""
    words = split_words(reference)
    return not words or words == split_words(given)


def _has_run(words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether the words contain the run unchanged; a single word does not count, since it may occur by chance."""
    return len(run) > 1 and f" {' '.join(run)} " in f" {' '.join(words)} "
