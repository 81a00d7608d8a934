"""Reads a score or a preference from a language model's reply, strictly by default; it never guesses."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

Winner = Literal["first", "second", "tie"]
Parsed = TypeVar("Parsed")

_OUT_OF_100 = re.compile(r"(?<=\d)\s*(?:/|out of)\s*100\b")
_NUMBER = re.compile(r"(?<![\w.,-])-?\d+(?:\.\d+)?(?!\w|[.,]\d)")


class UnparsableError(ValueError):
    """A reply that gives no score or preference; the text says why."""


def parse_score(text: str, is_lenient: bool = False) -> tuple[float, str]:
    """Score and reason of a reply.

    Strict: a JSON object with a `score` that is an integer from 0 to 100; 80.0 is one. Lenient: if that fails, the
    model's thoughts (`<think>…</think>`) are removed. Then all JSON objects in the text must agree on a score; without
    objects, the only number from 0 to 100 counts. The reason then says so.

    Raises:
        UnparsableError: there is no such score.

    >>> parse_score('{"reason": "Right.", "score": 100}')
    (100.0, 'Right.')
    >>> parse_score("I'd say 85 out of 100.", True)
    (85.0, "read leniently from: I'd say 85 out of 100.")
    >>> parse_score('{"score": true}')
    Traceback (most recent call last):
    ...
    sftframe_plugins.judges.replies.UnparsableError: score true is not an integer from 0 to 100
    """
    return _parse(text, _strict_score, _lenient_score if is_lenient else None)


def parse_preference(text: str, is_lenient: bool = False) -> tuple[Winner, str]:
    """Which answer is `better`, and the reason.

    Strict: a JSON object with a `better` that is "first", "second" or "tie". Lenient: if that fails, the model's
    thoughts are removed. Then all JSON objects in the text must agree on a word; without objects, the only one of the
    three words counts. The reason then says so.

    Raises:
        UnparsableError: there is no such word.

    >>> parse_preference('{"reason": "The second is wrong.", "better": "first"}')
    ('first', 'The second is wrong.')
    >>> parse_preference("It's a TIE!", True)
    ('tie', "read leniently from: It's a TIE!")
    """
    return _parse(text, _strict_preference, _lenient_preference if is_lenient else None)


def shorten(text: str, width: int = 200) -> str:
    """The text as one line of at most `width` characters, for a message."""
    written = text.encode("utf-8", "replace").decode()  # a lone surrogate, half a character, cannot be written
    start = " ".join(written.split())[: 2 * width]  # a megabyte without a space takes `textwrap` seconds
    return textwrap.shorten(start, width, placeholder=" …") or "(empty)"


def _parse(
    text: str, strict: Callable[[dict[str, Any]], Parsed], lenient: Callable[[str], Parsed | None] | None
) -> tuple[Parsed, str]:
    try:
        reply = _object(text)
        return strict(reply), _reason(reply)
    except UnparsableError:
        said = _without_thoughts(text)
        word = lenient(said) if lenient else None
        if word is None:
            raise
        return word, f"read leniently from: {shorten(said)}"


_THOUGHT = re.compile(r"[<\[◁](/?)(?:think|thinking|thought|reasoning)\b[^<>\[\]◁▷]{0,80}[>\]▷]", re.IGNORECASE)
"""Marks around a model's thoughts before its reply: `<think>`, Mistral's `[THINK]`, Kimi's `◁think▷`."""


def _without_thoughts(text: str) -> str:
    """The text outside of the model's thoughts.

    A thought without an end mark goes to the end. A thought without a start mark began with the reply, since many chat
    templates open it in the prompt.

    >>> _without_thoughts('<think>Perhaps 20?</think>80'), _without_thoughts('Perhaps 20? </think> 80 <think> or 90')
    ('80', ' 80 ')
    """
    said, start, is_thinking = "", 0, False
    for mark in _THOUGHT.finditer(text):
        is_end = bool(mark[1])
        if is_end and not is_thinking:
            said = ""
        elif not is_end and not is_thinking:
            said += text[start : mark.start()]
        start, is_thinking = mark.end(), not is_end
    return said if is_thinking else said + text[start:]


def _object(text: str) -> dict[str, Any]:
    try:
        reply = json.loads(text, object_pairs_hook=_without_repeats)
    except UnparsableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnparsableError(f"the reply is not a JSON object: {shorten(text, 80)}") from error
    if not isinstance(reply, dict):
        raise UnparsableError(f"the reply is not a JSON object: {shorten(text, 80)}")
    return reply


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse repeated keys: an object with 10 and then 90 is not clear."""
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(key for key, num in Counter(key for key, _ in pairs).items() if num > 1)
        raise UnparsableError(f"the reply has {shorten(repeated, 40)!r} more than once")
    return found


def _reason(reply: dict[str, Any]) -> str:
    reason = reply.get("reason")
    return shorten(reason, 1000) if isinstance(reason, str) and reason.strip() else ""


def _strict_score(reply: dict[str, Any]) -> float:
    score = _value(reply, "score")
    is_whole = type(score) is int or (type(score) is float and score.is_integer())  # a bool is an int to Python
    if not is_whole or not 0 <= score <= 100:
        raise UnparsableError(f"score {shorten(json.dumps(score), 40)} is not an integer from 0 to 100")
    return float(int(score))


def _strict_preference(reply: dict[str, Any]) -> Winner:
    better = _value(reply, "better")
    for winner in get_args(Winner):
        if better == winner:
            return winner  # type: ignore[no-any-return]  # get_args of a Literal has no type
    raise UnparsableError(f'better {shorten(json.dumps(better), 40)} is not "first", "second" or "tie"')


def _value(reply: dict[str, Any], key: str) -> Any:
    if key not in reply:
        raise UnparsableError(f"the reply has no {key}: {shorten(json.dumps(reply), 80)}")
    return reply[key]


def _lenient_score(text: str) -> float | None:
    found = _values(text, "score")
    if found:
        return _agreed("score", found, _in_range)  # 110 is not a score, even if other numbers are
    numbers = {number for number in map(_in_range, _NUMBER.findall(_OUT_OF_100.sub("", text))) if number is not None}
    return numbers.pop() if len(numbers) == 1 else None


def _lenient_preference(text: str) -> Winner | None:
    found = _values(text, "better")
    return _agreed("better", found, _only_winner) if found else _only_winner(text)


def _only_winner(said: object) -> Winner | None:
    words = set(re.findall(r"\w+", str(said).lower()))
    winners = [winner for winner in get_args(Winner) if winner in words]
    return winners[0] if len(winners) == 1 else None


def _agreed(key: str, found: list[Any], read: Callable[[object], Parsed | None]) -> Parsed | None:
    """The one word that all objects give; None if one gives none.

    Raises:
        UnparsableError: two give different ones.
    """
    words = [read(value) for value in found]
    if len(set(words)) > 1:
        shown = ", ".join(shorten(json.dumps(value), 40) for value in found[:4])
        raise UnparsableError(f"the reply has objects that disagree on {key}: {shown}")
    return words[0]


def _values(text: str, key: str) -> list[Any]:
    """The values of a key in the JSON objects in a text: the outermost objects that have it, in order.

    Raises:
        UnparsableError: there are too many braces for a reply.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_without_repeats)
    found, end = [], 0
    for number, brace in enumerate(re.finditer(r"\{", text)):
        if number == _MOST_BRACES:  # each may be read to the end of the text
            raise UnparsableError(f"the reply has more than {_MOST_BRACES} braces: {shorten(text, 80)}")
        if brace.start() < end:
            continue
        try:
            value, after = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        if key in value:
            found.append(value[key])
            end = after
    return found


_MOST_BRACES = 1000


def _in_range(value: object) -> float | None:
    try:
        score = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return None
    return score if 0 <= score <= 100 else None
