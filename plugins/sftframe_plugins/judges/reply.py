"""From a language model's reply to a score: strictly by default, and what is no score stays none.

Takes the reply's text, gives score and reason, or says why there is none. Knows nothing of servers and retries.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

_OUT_OF_100 = re.compile(r"(?<=\d)\s*(?:/|out of)\s*100\b")
_NUMBER = re.compile(r"(?<![\w.,-])-?\d+(?:\.\d+)?(?!\w|[.,]\d)")


class UnparsableError(ValueError):
    """A reply that gives no score; the text says why."""


def parse_reply(text: str, *, lenient: bool = False) -> tuple[float, str]:
    """Score and reason of a reply.

    Strict: a JSON object whose `score` is an integer from 0 to 100. Lenient: failing that, a score in an object
    within other text, or else the only number from 0 to 100 that is there; the reason then says so.

    Raises:
        UnparsableError: there is no such score.

    >>> parse_reply('{"reason": "Right.", "score": 100}')
    (100.0, 'Right.')
    >>> parse_reply("I'd say 85 out of 100.", lenient=True)
    (85.0, "read leniently from: I'd say 85 out of 100.")
    >>> parse_reply('{"score": true}')
    Traceback (most recent call last):
    ...
    sftframe_plugins.judges.reply.UnparsableError: score true is not an integer from 0 to 100
    """
    try:
        return _strict(text)
    except UnparsableError:
        score = _lenient(text) if lenient else None
        if score is None:
            raise
        return score, f"read leniently from: {shorten(text)}"


def shorten(text: str, width: int = 200) -> str:
    """One line of at most so many characters, for a message."""
    written = text.encode("utf-8", "replace").decode()  # a lone surrogate, half a character, cannot be written
    return textwrap.shorten(written, width, placeholder=" …") or "(empty)"


def _strict(text: str) -> tuple[float, str]:
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnparsableError(f"the reply is no JSON object: {shorten(text, 80)}") from error
    if not isinstance(reply, dict) or "score" not in reply:
        raise UnparsableError(f"the reply has no score: {shorten(text, 80)}")
    score = reply["score"]
    if type(score) is not int or not 0 <= score <= 100:  # a bool is an int to Python, and no score
        raise UnparsableError(f"score {shorten(json.dumps(score), 40)} is not an integer from 0 to 100")
    return float(score), _reason(reply)


def _reason(reply: dict[str, Any]) -> str:
    reason = reply.get("reason")
    return shorten(reason, 1000) if isinstance(reason, str) and reason.strip() else ""


def _lenient(text: str) -> float | None:
    for found in _objects(text):
        if "score" in found:
            return _in_range(found["score"])  # 110 is no score, whatever other numbers are about
    numbers = {number for number in map(_in_range, _NUMBER.findall(_OUT_OF_100.sub("", text))) if number is not None}
    return numbers.pop() if len(numbers) == 1 else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that begin somewhere in a text."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"\{", text):
        try:
            found, _ = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        yield found


def _in_range(value: object) -> float | None:
    try:
        score = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return None
    return score if 0 <= score <= 100 else None
