"""The judge that needs no model: does the answer have what the reference answer adds to the question?

Offline, deterministic, some thousand items a second. The formula, in three sentences:

1. What counts is what the reference says and the question does not: its new numbers (or its choice among the
   question's), then its new words (a word weighs the square of its length), then the order of its words, then all the
   rest; the score is the F-measure of found against expected for the first of these kinds that the reference has, and
   each later kind can take away at most half of it.
2. That is multiplied by the F-measure over the words that the reference keeps from the input and by what is left when
   words of the instruction stand in the place of others, and halved for every place where a word of nobody's stands
   between the neighbours of the reference's word: the same sentence with another word in it says something else.
3. The reference's own words in their order score 100, whatever their case, punctuation and Unicode form; amid other
   words they score at least their share of the answer; and to repeat the question scores 0.

It compares words and knows no meanings: a synonym is a wrong word to it, and where many answers are good it is unjust
to all but one. How far it agrees with other graders is measured in `docs/judges.md`. What a word is: `words.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftframe import Contact, Judge, JudgeItem, Verdict
from sftframe_plugins.judges.comparison import SHIPPED, Constants, compare
from sftframe_plugins.judges.words import match_rounded, split_words


class ReferenceJudge(Judge):
    """Agreement with the reference answer."""

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
    """Whether case and punctuation are what matters: the reference is the input but for them, or has no words."""
    reference = split_words(item.reference)
    return not reference or reference == split_words(item.input)


def _has_run(words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether the words contain the run as it stands; a single word is no run, it occurs by chance."""
    return len(run) > 1 and f" {' '.join(run)} " in f" {' '.join(words)} "
