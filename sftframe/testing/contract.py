"""Runs lists of contract checks.

A check is a function that takes a component, returns nothing, and raises `ContractError` when a promise of the seam
is broken; the first line of its docstring is the promise.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sftframe.errors import PluginError, SftframeError
from sftframe.plugins.guard import plugin_wall

T = TypeVar("T")
Check = Callable[[T], None]

MOST_SHOWN = 160
"""Characters of a text that a message quotes."""


class ContractError(PluginError):
    """A component breaks promises of its seam; the message says which, shows how, and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    promise: str
    error: str = ""
    """Empty where the promise is kept."""

    @property
    def is_kept(self) -> bool:
        """Whether the component does what the contract says."""
        return not self.error


def require(condition: object, message: str) -> None:
    """Raise `ContractError` unless the condition holds."""
    if not condition:
        raise ContractError(message)


def shown(value: object) -> str:
    """A value as a message quotes it; of a long one only the beginning and the end.

    >>> shown("word " * 100)[-22:]
    "word word ' (500 long)"
    """
    text = repr(value)
    if len(text) <= MOST_SHOWN:
        return text
    size = f" ({len(value)} long)" if isinstance(value, str | list | tuple) else ""
    return f"{text[: MOST_SHOWN // 2]} … {text[-MOST_SHOWN // 2 :]}{size}"


def findings(subject: T, checks: Sequence[Check[T]], package: str) -> Iterator[Finding]:
    """Run the checks in order. If the first fails, the others are skipped, since they need it.

    Args:
        package: top-level package of the component, to find its own line in a traceback.
    """
    for number, check in enumerate(checks):
        finding = run_check(subject, check, package)
        yield finding
        if number == 0 and not finding.is_kept:
            return


def verify(subject: T, checks: Sequence[Check[T]], component: object) -> None:
    """Run all checks.

    Raises:
        ContractError: every promise that is broken, after the component's name.
    """
    broken = [finding for finding in findings(subject, checks, package_of(component)) if not finding.is_kept]
    if broken:
        raise ContractError(f"{getattr(component, 'name', type(component).__name__)}: {in_words(broken)}")


def in_words(broken: Sequence[Finding]) -> str:
    """Broken promises as one line.

    >>> in_words([Finding(promise="It is green", error="it is red"), Finding(promise="It floats", error="it sinks")])
    '2 promises are broken. (1) It is green: it is red. (2) It floats: it sinks'
    """
    if len(broken) == 1:
        return f"{broken[0].promise}: {broken[0].error}"
    listed = ". ".join(f"({number}) {each.promise}: {each.error}" for number, each in enumerate(broken, start=1))
    return f"{len(broken)} promises are broken. {listed}"


def package_of(component: object) -> str:
    """Top-level package that a component's class is written in."""
    return type(component).__module__.partition(".")[0]


def run_check(subject: T, check: Check[T], package: str) -> Finding:
    """Run one check and return what it found. Other errors of the component are findings too.

    The component's prints are dropped: a separate check reports them.
    """
    from sftframe.testing.surroundings import put_back

    promise = (check.__doc__ or check.__name__).partition("\n")[0].rstrip(".")
    try:
        with put_back(), contextlib.redirect_stdout(io.StringIO()), plugin_wall(package, "raised an exception"):
            check(subject)
    except SftframeError as error:
        return Finding(promise=promise, error=str(error) or type(error).__name__)
    return Finding(promise=promise)
