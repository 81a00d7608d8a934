"""The parts of a text: members of a list, sentences, options, programs, accepted answers."""

from __future__ import annotations

import itertools
import re

from sftframe_plugins.judges.quantities import MOST_PARTS, UNITS
from sftframe_plugins.judges.wording import LIST_MARKER, is_number, split_words

_BREAK = re.compile(r"[,;:\n]|[.!?](?:\s|$)|\b(?:and|or)\b", re.IGNORECASE)


def members(text: str) -> list[list[str]]:
    """The words between commas, ends of sentences and lines, `and` and `or`.

    >>> members("Red, light blue and green.")
    [['red'], ['light', 'blue'], ['green']]
    """
    return [words for words in map(split_words, _BREAK.split(LIST_MARKER.sub("", text))) if words]


_FORM = re.compile(r"^\s*(?:#+ |[-*•] |\d+[.)] )|\*\*\S|```", re.MULTILINE)


def has_form(text: str) -> bool:
    """Whether a text is more than plain words: a list, or Markdown."""
    return _FORM.search(text.strip()) is not None


SENTENCE_END = re.compile(r"[.!?]\s+|\n+")


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence of three words or more, if there are several.

    >>> sentences("It is Au. No. Or it is Ag.")
    [['it', 'is', 'au'], ['or', 'it', 'is', 'ag']]
    """
    found = [words for words in map(split_words, SENTENCE_END.split(text)) if len(words) >= 3]
    return found if len(found) > 1 else []


_LONGEST_MEMBER = 3
"""Words; a text of longer ones is no bare list."""


def is_list(text: str) -> bool:
    """Whether a text is a list and nothing else."""
    found = members(text)
    return len(found) > 1 and max(map(len, found)) <= _LONGEST_MEMBER


_OPTION_TOKEN = re.compile(r"[\w.-]+|,")


def options(question: str) -> set[str]:
    """The words that a question lets choose from.

    >>> sorted(options("Is it a noun, verb or both? Answer 'yes' or 'no'."))
    ['both', 'no', 'noun', 'verb', 'yes']
    """
    tokens = [token for token in _OPTION_TOKEN.findall(question) if token not in ("a", "an", "the")]
    found: list[str] = []
    for place in (place for place, token in enumerate(tokens[:-1]) if token == "or" and place):
        found.append(tokens[place + 1])
        before = place - 1
        if tokens[before] == ",":
            before -= 1
        while before >= 0:
            found.append(tokens[before])
            if before < 2 or tokens[before - 1] != ",":
                break
            before -= 2
    return {word for token in found for word in split_words(token)}


_CODE = re.compile(
    r"^\s*(?:def|class|return|import|for|while|if)\b.*[:(]|[{};]\s*$|\w\([^()\n]{0,200}\)[.:;]?|==|\+=|```", re.M
)


_PROSE = re.compile(r"(?:\b[a-z]{2,},? ){3}[a-z]{2,}\b[^\"']*$")
"""Four words in a row, of two letters or more, outside of quotation marks."""


def is_code(text: str) -> bool:
    """Whether a text is a program, in which case and marks count.

    >>> is_code("def f(x):\\n    return x"), is_code("The sky is blue (mostly).")
    (True, False)
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and 2 * sum(
        _CODE.search(line) is not None and _PROSE.search(line) is None for line in lines
    ) >= len(lines)


def fenced_code(text: str) -> str:
    """The program in a text of Markdown; the text itself if it has none."""
    blocks = text.split("```")[1::2]
    return "\n".join(block.partition("\n")[2] for block in blocks) if blocks else text


_ALTERNATIVE_BREAK = re.compile(r"(?<=[^\s/])/(?=[^\s/])")
_NO_ALTERNATIVES = re.compile(r"[=*<>]|://|[.!?]\s*$|[A-Z]{1,3}/[A-Z]{1,3}\s*$")
_PARTS = frozenset(["and", "or", "he", "she", "his", "her", "him", "hers", "her's", "s/he"])


def alternatives(reference: str) -> list[str]:
    """The accepted answers `a/b/c`; the reference itself if it is one answer.

    A sentence, a formula, a fraction, a unit, an address, `TCP/IP` and `and/or` are one answer.

    >>> alternatives("Lyon/city of Lyon"), alternatives("60 km/h"), alternatives("1/2")
    (['Lyon', 'city of Lyon'], ['60 km/h'], ['1/2'])
    """
    parts = _ALTERNATIVE_BREAK.split(reference)
    if not 1 < len(parts) <= MOST_PARTS or _NO_ALTERNATIVES.search(reference) or "\n" in reference.strip():
        return [reference]
    words = [split_words(part) for part in parts]
    is_whole = all(words)
    for one, other in itertools.pairwise(words if is_whole else []):
        is_whole = is_whole and not (one[-1] in _PARTS and other[0] in _PARTS)
        is_whole = is_whole and not (one[-1] in UNITS and other[0] in UNITS)
        is_whole = is_whole and not (is_number(one[-1]) and is_number(other[0]) and len(one[-1]) < 3)
    is_whole = is_whole and any(len(part) > 1 for part in parts)
    return parts if is_whole else [reference]
