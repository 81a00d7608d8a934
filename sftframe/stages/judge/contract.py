"""A judge's promises about each verdict and each preference, and the messages about broken ones."""

from __future__ import annotations

from typing import get_args

from sftframe.records import JudgeItem, JudgePair, Preference, Verdict, VerdictStatus, Winner


def broken_verdict(item: JudgeItem, verdict: object) -> str:
    """What is wrong with a judge's verdict on this item; empty if nothing is."""
    if not isinstance(verdict, Verdict):
        return f"{type(verdict).__name__} instead of a Verdict"
    if problem := _broken_frame(item.index, verdict, "verdict"):
        return problem
    if verdict.status != "ok" and verdict.score is not None:
        return f"score {verdict.score!r} with status {verdict.status!r}: only 'ok' has a score"
    if verdict.status == "ok" and not is_score(verdict.score):
        return f"score {verdict.score!r}: expected a number from 0 to 100"
    return ""


def broken_preference(pair: JudgePair, preference: object) -> str:
    """What is wrong with a judge's preference on this pair; empty if nothing is."""
    if not isinstance(preference, Preference):
        return f"{type(preference).__name__} instead of a Preference"
    if problem := _broken_frame(pair.index, preference, "preference"):
        return problem
    if preference.status != "ok" and preference.winner is not None:
        return f"winner {preference.winner!r} with status {preference.status!r}: only 'ok' has a winner"
    if preference.status == "ok" and preference.winner not in get_args(Winner):
        return f"winner {preference.winner!r}: expected one of {', '.join(get_args(Winner))}"
    return ""


def is_score(score: object) -> bool:
    """Whether it is a number from 0 to 100; neither NaN nor a boolean is.

    >>> [is_score(value) for value in (0, 99.5, 100.1, float("nan"), True, "85", None)]
    [True, True, False, False, False, False, False]
    """
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 100


def _broken_frame(index: int, word: Verdict | Preference, noun: str) -> str:
    if word.index != index:
        return f"a {noun} on item {word.index}: one {noun} per item is expected, in the order of the items"
    if word.status not in get_args(VerdictStatus):
        return f"status {word.status!r}: expected one of {', '.join(get_args(VerdictStatus))}"
    return ""
