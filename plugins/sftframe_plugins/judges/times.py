"""Dates and times of day in one form."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NAMES = "january february march april may june july august september october november december"
_MONTHS = _NAMES.split()
_MONTH = r"(?P<month>" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS) + r"|sept)\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_DATES = [
    re.compile(rf"\b{_MONTH} (?:the )?{_DAY}\b(?:,? {_YEAR}\b)?"),
    re.compile(rf"\b(?:the )?{_DAY} (?:of )?{_MONTH}(?!\w)(?:,? {_YEAR}\b)?"),
    re.compile(rf"(?<![\d-]){_YEAR}-(?P<number>\d\d)-{_DAY}(?![\d-])"),
]


def plain_dates(text: str) -> str:
    """The text with its dates written day, month, year.

    Args:
        text: in lower case.

    >>> plain_dates("on march 5th, 2014 or 2014-03-05"), plain_dates("you may 5 times")
    ('on 5 march 2014 or 5 march 2014', 'you may 5 times')
    """
    for pattern in _DATES:
        text = pattern.sub(_plain, text)
    return text


def _plain(match: re.Match[str]) -> str:
    found = match.groupdict()
    number = int(found.get("number") or 0)
    month = found.get("month") or (_MONTHS[number - 1] if 1 <= number <= 12 else "")
    if not month or (month == "may" and not found["year"]):
        return match[0]  # "may" is more often no month
    name = next(name for name in _MONTHS if name.startswith(month[:3]))
    return " ".join(part for part in (str(int(found["day"])), name, found["year"]) if part)


@dataclass(frozen=True, slots=True)
class _Time:
    start: int
    end: int
    minute: int
    """Of the day."""


_HALVES = {"am": 0, "pm": 12}


def _times(words: Sequence[str]) -> Iterator[_Time]:
    """Times with `am` or `pm`: `9 30 pm`."""
    for place, word in enumerate(words):
        if word not in _HALVES or not place:
            continue
        for start in (place - 2, place - 1):
            numbers = words[max(start, 0) : place]
            if all(_is_below(number, 60) for number in numbers) and _is_below(numbers[0], 13):
                hour, minute = int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0
                yield _Time(max(start, 0), place + 1, 60 * (hour % 12 + _HALVES[word]) + minute)
                break


def _is_below(word: str, limit: int) -> bool:
    return word.isdecimal() and len(word) <= 2 and int(word) < limit


def _pairs(words: Sequence[str]) -> Iterator[_Time]:
    """Numbers that may be a time of the 24 hours: `15 0`."""
    for place, (hour, minute) in enumerate(itertools.pairwise(words)):
        if _is_below(hour, 25) and _is_below(minute, 60):
            yield _Time(place, place + 2, 60 * (int(hour) % 24) + int(minute))


_Date = tuple[str, str, str]
"""Day, month and year; empty if it has none."""
_MOST_DATES = 100


def _dates(words: Sequence[str]) -> Iterator[_Date]:
    found = 0
    for place, word in enumerate(words):
        if word not in _MONTHS or found == _MOST_DATES:
            continue
        before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
        day, year = before if _is_below(before, 32) else "", after if after.isdecimal() and len(after) == 4 else ""
        if year or (day and word != "may"):
            found += 1
            yield day, word, year


def _is_other_date(has: Sequence[_Date], wanted: Sequence[_Date]) -> bool:
    """Whether there are dates, and no one of them agrees in what both give."""
    return bool(has and wanted) and not any(
        all(not one or not other or one == other for one, other in zip(mine, theirs, strict=True))
        for mine in dict.fromkeys(has)
        for theirs in dict.fromkeys(wanted)
    )


def match_times(words: Sequence[str], expected: Sequence[str]) -> tuple[list[str], bool]:
    """The words, with each time of day replaced by the expected one that is the same in another form.

    Returns:
        The words, and whether they have other times, or other dates, instead.

    >>> match_times(["15", "0"], ["3", "pm"]), match_times(["9", "30", "am"], ["9", "30", "pm"])
    ((['3', 'pm'], False), (['9', '30', 'am'], True))
    """
    if _is_other_date(list(_dates(words)), list(_dates(expected))):
        return list(words), True
    wanted, has = list(_times(expected)), list(_times(words))
    if not wanted and not has:
        return list(words), False
    is_half = bool(wanted and has)
    known = {one.minute: one for one in (wanted or _pairs(expected))}
    found, copied = [], 0
    for one in has or _pairs(words):
        if (same := known.get(one.minute)) and one.start >= copied:
            found += [*words[copied : one.start], *expected[same.start : same.end]]
            copied = one.end
    return [*found, *words[copied:]], is_half and not copied
