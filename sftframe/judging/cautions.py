"""Asks a judge what speaks against its use; a judge that fails at this cannot harm a comparison."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence

from sftframe.errors import PluginError, SftframeError
from sftframe.escaping import escape_controls
from sftframe.plugins import Judge
from sftframe.plugins.guard import describe
from sftframe.records import JudgeItem

TIMEOUT_S = 20.0
"""A caution looks at answers that are there already; one for 10,000 answers takes well under a second."""

_MOST_CHARACTERS = 600
"""A caution is one sentence in a list of notes."""


def caution_of(
    judge: Judge, first: Sequence[JudgeItem], second: Sequence[JudgeItem], *, timeout_s: float = TIMEOUT_S
) -> str:
    """What the judge says against its use for two sets of answers, as one printable line; empty if nothing.

    What it prints goes to stderr.

    Raises:
        PluginError: it failed, gave something else than a text, or took too long.
    """
    found: list[object] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            found.append(judge.caution(first, second))
        except BaseException as error:  # SystemExit too: it would end only this thread, without a word
            errors.append(error)

    # a thread of its own, since nothing else can leave code that does not come back; it ends with the program
    thread = threading.Thread(target=ask, daemon=True)
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        thread.join(timeout_s)
    label = f"judge {judge.name!r}"
    for error in errors:
        package = type(judge).__module__.partition(".")[0]
        told = str(error) if isinstance(error, SftframeError) else describe(error, package)
        raise PluginError(f"{label} failed in caution: {told}") from error
    if not found:
        raise PluginError(f"{label}: caution() has not come back after {timeout_s:g} s")
    if not isinstance(found[0], str):
        raise PluginError(f"{label}: caution() gave {type(found[0]).__name__}; expected a str, empty if it has none")
    line = escape_controls(" ".join(found[0].split()))
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"
