"""Splits a text into the words that the reference judge compares: case, punctuation, Unicode forms and ways to write
numbers do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

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
