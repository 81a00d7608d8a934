"""The verdict in words, with the notes that limit it: the first part of the page."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sftframe.comparison.result import ComparisonResult
from sftframe.statistics import Comparison

MAX_TOLD = 2
"""The headline names up to so many comparisons; of more it gives counts per verdict."""
MAX_NAMED = 4
"""Most runs to name that failed in the same way."""

_ISOLATE, _END = "\u2068", "\u2069"
"""Unicode's first strong isolate, and the end of one."""
_SAID = {"cannot tell": "that cannot be told apart"}
_LEFT_TO_RIGHT = {"", "L", "EN", "ES", "ET", "CS", "NSM", "BN", "B", "S", "WS", "ON"}
"""Bidirectional classes of letters that do not change the direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The page's first heading and the text below it."""

    sentence: str
    details: tuple[str, ...]
    """One explanation per comparison; empty if the sentence has them all."""


def headline(result: ComparisonResult) -> Headline:
    """The verdict as the page shows it."""
    told = result.told
    if len(told) <= MAX_TOLD:
        return Headline(sentence=" ".join(map(_explanation, told)), details=())
    return Headline(sentence=_gist(result, told), details=tuple(map(_explanation, told)))


def notes(result: ComparisonResult, failed: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The limits of the verdict: failed cells, unpaired hashes, and small numbers of seeds and items.

    Args:
        failed: names and errors of runs that are missing.
    """
    table = result.main.table
    lines = [f"Failed and left out: {names}: {error}" for error, names in _by_error(failed).items()]
    lines += [note[:1].upper() + note[1:] for note in result.notes]
    if len(table.seeds) == 1:
        lines.append(f"One seed ({table.seeds[0]}): it is not known how much of a difference is the luck of training")
    if table.num_dropped_seeds:
        lines.append(f"{_counted(table.num_dropped_seeds, 'seed')} left out: not every arm has a run with them")
    if table.num_dropped_items:
        lines.append(f"{_counted(table.num_dropped_items, 'item')} left out: not scored in every arm and seed")
    return tuple(line.rstrip(".") + "." for line in lines)


def _by_error(failed: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The names that share an error, the first few of many."""
    names: dict[str, list[str]] = {}
    for name, error in failed:
        names.setdefault(error, []).append(name)
    return {error: _listed(found) for error, found in names.items()}


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _gist(result: ComparisonResult, told: Sequence[Comparison]) -> str:
    """The settled comparisons, in full if they are few, and the number of others."""
    settled = [found for found in told if found.verdict in ("better", "worse", "different")]
    if not 0 < len(settled) <= MAX_TOLD:
        return _count(result, told)
    others = Counter(found.verdict for found in told if found not in settled)
    rest = ", ".join(f"{number} {_SAID.get(kind, kind)}" for kind, number in others.most_common())
    verdicts = " ".join(_explanation(found).partition(").")[0] + ")." for found in settled)
    return f"{verdicts} Besides: {rest}." if rest else verdicts


def _count(result: ComparisonResult, told: Sequence[Comparison]) -> str:
    kinds = Counter(found.verdict for found in told)
    parts = ", ".join(f"{number} {_SAID.get(kind, kind)}" for kind, number in kinds.most_common())
    against = "choices averaged over the others" if result.axes else f"arms against {isolated(result.baseline)}"
    return f"{result.main.yardstick.label}, {len(told)} {against}: {parts}."


def _explanation(found: Comparison) -> str:
    text = found.explanation
    for name in (found.candidate, found.baseline):
        text = text.replace(name, isolated(name))
    return text


def isolated(name: str) -> str:
    """The name, isolated, so that a right-to-left name does not change the text around it.

    >>> isolated("alpaca · mask-pad"), len(isolated("\u05e9\u05dc"))
    ('alpaca · mask-pad', 4)
    """
    is_plain = all(unicodedata.bidirectional(letter) in _LEFT_TO_RIGHT for letter in name)
    return name if is_plain else f"{_ISOLATE}{name}{_END}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
