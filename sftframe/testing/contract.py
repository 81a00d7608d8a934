"""What a contract check is, and how a list of them is run.

A check is a function that takes a component, returns nothing, and raises `ContractError` when a promise of the seam
is broken; the first line of its docstring is the promise. Knows no seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sftframe.errors import PluginError, SftframeError
from sftframe.registry.wall import plugin_wall

T = TypeVar("T")
Check = Callable[[T], None]


class ContractError(PluginError):
    """A component breaks a promise of its seam; the message says which, shows how, and says what to do."""


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


def findings(subject: T, checks: Sequence[Check[T]], package: str) -> Iterator[Finding]:
    """Run the checks in order. When the first fails there is nothing to run the others on, and they are left out.

    Args:
        package: top-level package of the component, to find its own line in a traceback.
    """
    for number, check in enumerate(checks):
        finding = run_check(subject, check, package)
        yield finding
        if number == 0 and not finding.is_kept:
            return


def verify(subject: T, checks: Sequence[Check[T]], component: object) -> None:
    """Run the checks up to the first broken promise.

    Raises:
        ContractError: that promise, with the component's name.
    """
    for finding in findings(subject, checks, package_of(component)):
        if not finding.is_kept:
            raise ContractError(f"{getattr(component, 'name', type(component).__name__)}: {finding.error}")


def package_of(component: object) -> str:
    """Top-level package that a component's class is written in."""
    return type(component).__module__.partition(".")[0]


def run_check(subject: T, check: Check[T], package: str) -> Finding:
    """Run one check and say what it found. Errors that are about the check's surroundings are findings too."""
    promise = (check.__doc__ or check.__name__).partition("\n")[0].rstrip(".")
    try:
        with plugin_wall(package, "raised an exception"):
            check(subject)
    except SftframeError as error:
        return Finding(promise=promise, error=str(error))
    return Finding(promise=promise)
