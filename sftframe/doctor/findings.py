"""A finding of the examination: what was found, whether it is a problem, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]
"""`note`: a run works, but something else may not, or could work better; `problem`: a run would not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of an examination."""

    topic: str
    """Its topic, one word."""
    found: str
    status: Status = "ok"
    advice: str = ""
    """What to do; empty = nothing."""


def gib(num_bytes: float) -> str:
    """A number of bytes as text.

    >>> gib(3 * 2**30), gib(5e6)
    ('3.0 GiB', '4.8 MiB')
    """
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 / 10 else f"{num_bytes / 2**20:.1f} MiB"
