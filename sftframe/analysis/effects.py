"""How large a difference is, in words that say exactly what is counted."""

from __future__ import annotations

import math

_MOST_DIGITS = 8
"""A difference that is smaller comes from rounding in the computer."""


def figure(value: float, digits: int) -> str:
    """A signed number with so many digits after the point, and with more where these would only show zero.

    >>> figure(9.24, 1), figure(-0.0123, 1), figure(0.0, 1), figure(1e-17, 1)
    ('+9.2', '-0.01', '0', '0')
    """
    while digits < _MOST_DIGITS and not round(value, digits):
        digits += 1
    return f"{value:+.{digits}f}" if round(value, digits) else "0"


def size(value: float, digits: int) -> str:
    """`figure` without its sign."""
    return figure(value, digits).lstrip("+-")


def points_in_words(difference: float, means: tuple[float, float] | None) -> str:
    """Of a judge.

    Args:
        means: of baseline and candidate, where they are of the same items; so in all functions here.

    >>> points_in_words(9.24, (71.0, 80.2))
    '9.2 points of 100 more: a mean of 80.2 instead of 71.0'
    >>> points_in_words(0.0, None)
    'the same mean score'
    """
    if figure(difference, 1) == "0":
        return "the same mean score"
    told = f"{size(difference, 1)} points of 100 {'more' if difference > 0 else 'less'}"
    return f"{told}: a mean of {means[1]:.1f} instead of {means[0]:.1f}" if means else told


def matches_in_words(difference: float, means: tuple[float, float] | None) -> str:
    """Of exact matches.

    >>> matches_in_words(-5.0, (63.3, 58.3))
    '5.0 fewer of 100 answers are equal to a reference answer: 58.3 instead of 63.3'
    """
    return _of_100(difference, means, "are equal to a reference answer")


def stops_in_words(difference: float, means: tuple[float, float] | None) -> str:
    """Of answers that end by themselves.

    >>> stops_in_words(0.5, None)
    '0.5 more of 100 answers end by themselves'
    """
    return _of_100(difference, means, "end by themselves")


def _of_100(difference: float, means: tuple[float, float] | None, what: str) -> str:
    if figure(difference, 1) == "0":
        return f"as many answers {what}"
    told = f"{size(difference, 1)} {'more' if difference > 0 else 'fewer'} of 100 answers {what}"
    return f"{told}: {means[1]:.1f} instead of {means[0]:.1f}" if means else told


def nll_in_words(difference: float, means: tuple[float, float] | None) -> str:
    """Of nats per byte: bits, and the ratio of the perplexities per byte, which is exp(difference).

    >>> nll_in_words(-0.0231, (0.0562, 0.0331))
    '0.0231 nats (0.0333 bits) per byte less: the perplexity per byte is 0.977 times as large, 1.034 instead of 1.058'
    """
    if figure(difference, 4) == "0":
        return "the same NLL per byte"
    told = (
        f"{size(difference, 4)} nats ({size(difference / math.log(2), 4)} bits) per byte "
        f"{'more' if difference > 0 else 'less'}: the perplexity per byte is {_near_one(_exp(difference))} times as "
        "large"
    )
    return f"{told}, {_exp(means[1]):.3f} instead of {_exp(means[0]):.3f}" if means else told


def length_in_words(difference: float, means: tuple[float, float] | None) -> str:
    """Of characters of the answers for each character of the references.

    >>> length_in_words(-0.165, (1.154, 0.989))
    '16.5 fewer characters for every 100 of the references: 98.9 instead of 115.4'
    """
    if figure(100 * difference, 1) == "0":
        return "answers of the same length"
    more = "more" if difference > 0 else "fewer"
    told = f"{size(100 * difference, 1)} {more} characters for every 100 of the references"
    return f"{told}: {100 * means[1]:.1f} instead of {100 * means[0]:.1f}" if means else told


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))  # beyond it there is no float


def _near_one(ratio: float) -> str:
    """At least three digits, and so many that a ratio that is not 1 does not look like it."""
    digits = 3
    while digits < _MOST_DIGITS and not round(ratio - 1, digits):
        digits += 1
    return f"{ratio:.{digits}f}"
