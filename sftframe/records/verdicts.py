"""Records of judging: what a judge sees, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeItem:
    """What a judge sees of one answered example."""

    index: int
    instruction: str
    input: str
    reference: str
    """The data's own output."""
    answer: str
    """The model's response."""


VerdictStatus = Literal["ok", "unparsable", "timeout", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judge's verdict on one item. A status other than `ok` has no score; it is counted, never dropped."""

    index: int
    status: VerdictStatus
    score: float | None
    """0-100, or None unless `status` is `ok`."""
    reason: str = ""
    raw: str = ""
    """The judge's own words, for the record."""
    judge: str = ""
    """Which judge, its model and digest where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePair:
    """Two answers to one example, in the order in which a judge of pairs sees them."""

    index: int
    instruction: str
    input: str
    reference: str
    """The data's own output."""
    first: str
    second: str


Winner = Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A judge's verdict on one pair, in the order that was shown. A status other than `ok` has no winner."""

    index: int
    status: VerdictStatus
    winner: Winner | None
    """The better answer, or `tie`; None unless `status` is `ok`."""
    reason: str = ""
    raw: str = ""
    """The judge's own words, for the record."""
    judge: str = ""
    """Which judge, its model and digest where it has one."""
