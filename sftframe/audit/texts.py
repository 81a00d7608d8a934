"""What a single row shows: strings that do not belong into it, answers that are none, damaged characters, languages.

The patterns are for English and for the formats that are common today. They find candidates for a person to look at;
only empty answers are certain.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sftframe.audit.kinds import Sighting
from sftframe.records import Example

Text = tuple[str, str, bool]
"""The name of a field, its text, and whether the assistant wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """What was found in one row by itself."""

    sightings: tuple[tuple[str, Sighting], ...]
    """The kind's name, and where; at most one per kind."""
    question_language: str = ""
    """ISO 639 code; empty if the text is too short to tell, or the guess is not sure."""
    answer_language: str = ""
    is_open: bool = False
    """A long answer in prose that ends without a full stop or another closing sign."""
    is_long: bool = False
    """A long answer in prose."""


def texts_of(example: Example) -> Iterator[Text]:
    """All texts of a row, in the order in which they are read."""
    if example.system:
        yield "system", example.system, False
    if example.tools:
        yield "tools", example.tools, False
    for number, turn in enumerate(example.turns, start=1):
        yield f"turn {number} instruction", turn.instruction, False
        if turn.input:
            yield f"turn {number} input", turn.input, False
        yield f"turn {number} output", turn.output, not turn.is_call
    yield "instruction", example.instruction, False
    if example.input:
        yield "input", example.input, False
    yield "output", example.output, not example.is_call


def question_of(example: Example) -> str:
    """All that the model is shown before its last answer, as one text."""
    return "\n".join(text for name, text, _ in texts_of(example) if name != "output")


def weights_of(example: Example) -> tuple[float, ...]:
    """The weights of its answers: two rows that differ only in them train something else."""
    return (*(turn.weight for turn in example.turns), example.weight)


def look_at(example: Example) -> RowFacts:
    """Look at one row by itself.

    >>> facts = look_at(Example(instruction="Greet {{name}}.", output="Hello <|im_end|>", index=0))
    >>> [(kind, sighting.field, sighting.excerpt) for kind, sighting in facts.sightings]
    [('control-string', 'output', 'Hello <|im_end|>'), ('placeholder', 'instruction', 'Greet {{name}}.')]
    """
    found: dict[str, Sighting] = {}
    for name, text, is_answer in texts_of(example):
        for kind, start, stop in _seen(text, is_answer=is_answer):
            if kind not in found:
                excerpt = excerpt_of(text, start, stop)
                found[kind] = Sighting(index=example.index, field=name, excerpt=excerpt)
    question = language_of("\n".join(part for part in (example.instruction, example.input) if part))
    answer = "" if example.is_call else language_of(example.output)
    is_long = not example.is_call and _is_long_prose(example.output)
    return RowFacts(
        sightings=tuple(sorted(found.items())),
        question_language=question,
        answer_language=answer,
        is_long=is_long,
        is_open=is_long and not _is_closed(example.output),
    )


_AROUND = 30
"""Characters shown before and after a finding."""
_LONGEST = 120
"""Characters of an excerpt."""


def excerpt_of(text: str, start: int = 0, stop: int | None = None) -> str:
    """A piece of a text on one line, with a little of its surroundings.

    >>> excerpt_of("one two three", 4, 7)
    'one two three'
    >>> excerpt_of("a" * 200, 100, 101).count("a")
    61
    """
    stop = len(text) if stop is None else stop
    first, last = max(0, start - _AROUND), min(len(text), stop + _AROUND)
    last = min(last, first + _LONGEST)
    piece = " ".join(text[first:last].split())
    return f"{'…' if first else ''}{piece}{'…' if last < len(text) else ''}"


def _seen(text: str, *, is_answer: bool) -> Iterator[tuple[str, int, int]]:
    """The kind, start and stop of what is found in a text; the first place of each kind."""
    if is_answer:
        if not text or text.isspace():
            yield "empty-output", 0, len(text)
            return
        refusal = _REFUSAL.search(text, 0, _OPENING)
        if refusal:
            yield "refusal", *refusal.span()
        stop = len(text.rstrip())
        end = _CUT_OFF.search(text, max(0, stop - 40), stop)
        if end and len(text) >= _SHORT:
            yield "cut-off", *end.span()
        elif text.count("```") % 2:
            yield "cut-off", text.rindex("```"), stop
    for kind, pattern, signs in _IN_ANY_TEXT:
        match = pattern.search(text) if any(sign in text for sign in signs) else None
        if match:
            yield kind, *match.span()
    if _ODD_ASCII.search(text):
        yield "odd-unicode", *_span(_ODD_ASCII, text)
    if not text.isascii():
        yield from _damaged(text)


def _damaged(text: str) -> Iterator[tuple[str, int, int]]:
    from ftfy.badness import BADNESS_RE

    lost = text.find("\ufffd")
    wrong = None if lost >= 0 else BADNESS_RE.search(text)
    if lost >= 0:
        yield "mojibake", lost, lost + 1
    elif wrong:
        yield "mojibake", *wrong.span()
    odd = _ODD.search(text)
    if odd:
        yield "odd-unicode", *odd.span()
    elif not unicodedata.is_normalized("NFC", text):
        place = next(i for i, sign in enumerate(text) if unicodedata.combining(sign) or sign > "\u1100")
        yield "odd-unicode", max(0, place - 1), place + 1


def _span(pattern: re.Pattern[str], text: str) -> tuple[int, int]:
    match = pattern.search(text)
    assert match is not None
    return match.span()


_OPENING = 250
"""Characters at an answer's beginning in which a refusal stands; later it is usually quoted."""

_REFUSAL = re.compile(
    r"\b(?:sorry|afraid|apologi[sz]e)\b.{0,60}\bI(?:['’]m| am)? (?:can(?:no|['’])?t|unable|not able|won['’]t)\b"
    r"|\bI (?:can(?:no|['’])t|am (?:not able|unable) to|won['’]t) "
    r"(?:help|assist|provide|comply|fulfil|answer|do (?:that|this)|engage|create|generate|write)\b"
    r"|\b(?:as|being|I['’]m|I am)(?: just| only)? an? (?:AI|artificial intelligence|(?:large )?language model)\b"
    r"|\bI do(?:n['’]t| not) have (?:access to|the ability to|personal (?:opinions|experiences|feelings))",
    re.IGNORECASE | re.DOTALL,
)

_SHORT = 20
"""A shorter answer may be any words at all."""
_CUT_OFF = re.compile(
    r"(?:[,(\[{]|\b(?:and|or|but|the|an?|of|to|with|for|from|that|which|because|is|are|was|were|by|as|at|into))\s*\Z"
)
"""Ends that no finished sentence has."""

_CONTROL = re.compile(
    r"<[|｜][A-Za-z0-9_▁ /.-]{2,40}[|｜]>"
    r"|</?(?:bos|eos|pad|unk|start_of_turn|end_of_turn|tool_call|tool_response)>|\A<s>|</s>\s*\Z"
    r"|\[/?INST\]|<</?SYS>>"
    r"|^###? ?(?:Instruction|Input|Response|System|User|Assistant|Human) ?:?[ \t]*$"
    r"|^(?:Human|Assistant|USER|ASSISTANT): ",
    re.MULTILINE,
)

_PLACEHOLDER = re.compile(
    r"\{\{ ?[A-Za-z_][\w .-]{0,40}\}\}"
    r"|<(?:NAME|AUTHOR|DATE|YOUR[ _][A-Z _]+|INSERT[ _][A-Z _]+)>"
    r"|\[(?:[Yy]our|YOUR|[Ii]nsert|INSERT|[Rr]ecipient|[Cc]ompany|[Ss]ender)[ _'’A-Za-z]{0,40}\]"
    r"|\[(?:NAME|DATE|ADDRESS|TODO|X{2,})\]"
    r"|\b[Ll]orem ipsum\b|\bX{4,}\b"
)

_IN_ANY_TEXT = (
    ("control-string", _CONTROL, ("<", "[", "##", "Human:", "Assistant:", "USER:", "ASSISTANT:")),
    ("placeholder", _PLACEHOLDER, ("{{", "<", "[", "orem ipsum", "XXXX")),
)
"""With the signs without one of which a pattern finds nothing: looking for them first takes an eighth of the time on
999 answers of real data (6 against 48 µs an answer)."""

_ODD_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ODD = re.compile(
    "[\x80-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff"
    "\ue000-\uf8ff\U000e0000-\U000e007f\U000f0000-\U0010ffff]|(?<=[A-Za-z])[\u200c\u200d](?=[A-Za-z])"
)
"""Controls, marks of direction, invisible, private and unassigned characters. Joiners are right in emoji and in many
scripts, not between Latin letters. Flags of regions use tags after an emoji; they are rare enough to be looked at."""

_LONG = 120
"""Characters of an answer that is expected to end like prose."""


def _is_long_prose(text: str) -> bool:
    last = text.rstrip().rpartition("\n")[2].strip()
    is_listed = bool(re.match(r"(?:[-*•+|#>]|\d+[.)]|[A-Za-z]\))", last)) or "```" in text
    return len(text) >= _LONG and len(last.split()) >= 6 and not is_listed


def _is_closed(text: str) -> bool:
    """Whether a text ends with a sign; a number, a hashtag or an address ends without one."""
    last = text.split()[-1]
    return not last.isalpha()


_FEWEST_LETTERS = 60
"""A guess from fewer letters is often wrong."""
_READ = 200
"""Characters of a text that are enough to tell its language."""
_SURE = 0.8
"""Of 798 English answers of real data, no guess above 0.46 named another language."""


def language_of(text: str) -> str:
    """The language of a text by its ISO 639 code; empty if it is short, or the guess is not sure.

    >>> language_of("Die Katze sitzt auf dem Dach und schaut den Vögeln zu, die im Garten nach Futter suchen.")
    'de'
    >>> language_of("42")
    ''
    """
    letters = sum(map(str.isalpha, text[:_READ]))
    if letters < _FEWEST_LETTERS or letters < 0.6 * len(text[:_READ]):
        return ""
    code, chance = _identifier().classify(" ".join(text[:_READ].split()))
    return str(code) if chance >= _SURE else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
