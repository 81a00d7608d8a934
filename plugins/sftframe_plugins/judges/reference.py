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
but one. `docs/judges.md` measures how far it agrees with other graders. `words.py` defines what a word is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftframe import Contact, Judge, JudgeItem, Verdict
from sftframe_plugins.judges.comparison import SHIPPED, Constants, compare
from sftframe_plugins.judges.words import match_rounded, split_words


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
