"""Runs lists of contract checks.

A check is a function that takes a component, returns nothing, and raises `ContractError` when a promise of the seam
is broken; the first line of its docstring is the promise.
"""

from __future__ import annotations

import contextlib
import io
import locale
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

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
    warning: str = ""
    """What could not be checked, and why."""

    @property
    def is_kept(self) -> bool:
        """Whether the component does what the contract says."""
        return not self.error


class ContractWarning(UserWarning):
    """A promise that could not be checked in full."""


class UntriedError(Exception):
    """Nothing is known to be wrong, but the rest of a check could not be done."""


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
    """Run all checks, and warn of what could not be checked.

    Raises:
        ContractError: every promise that is broken, after the component's name.
    """
    name = getattr(component, "name", type(component).__name__)
    found = list(findings(subject, checks, package_of(component)))
    for text in dict.fromkeys(finding.warning for finding in found if finding.warning):
        warnings.warn(f"{name}: {text}", ContractWarning, stacklevel=3)
    broken = [finding for finding in found if not finding.is_kept]
    if broken:
        raise ContractError(f"{name}: {in_words(broken)}")


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
    promise = (check.__doc__ or check.__name__).partition("\n")[0].rstrip(".")
    try:
        with put_back(), contextlib.redirect_stdout(io.StringIO()), plugin_wall(package, "raised an exception"):
            try:
                check(subject)
            except UntriedError as error:
                return Finding(promise=promise, warning=str(error))
    except SftframeError as error:
        return Finding(promise=promise, error=str(error) or type(error).__name__)
    return Finding(promise=promise)


_REMEDIES = {
    "Python's random state": "draw from a random.Random(seed) of your own",
    "numpy's random state": "draw from a numpy.random.default_rng(seed) of your own",
    "torch's random state": "draw from a torch.Generator of your own: otherwise training gives another model",
    "torch's default dtype": "give the dtype to the function that needs it",
    "whether torch records gradients": "use `with torch.no_grad():`, and leave it before a yield",
    "torch's number of threads": "the user sets it with --threads",
    "the current folder": "use full paths",
    "the environment": "hand values on as arguments",
    "the locale": "format without it",
}


@contextlib.contextmanager
def left_alone(doing: str, *, may_draw: bool = False) -> Iterator[None]:
    """Check that the code in the block does not change the process and prints nothing.

    Changes are undone.

    Args:
        doing: what is done, for the message.
        may_draw: torch's random state may change.

    Raises:
        ContractError: something was changed, or printed to stdout.
    """
    own, printed = _state(), io.StringIO()
    _stir()
    before = _state()
    try:
        with contextlib.redirect_stdout(printed):
            yield
        changed = [name for name, value in _state().items() if name in before and not _same(value, before[name])]
    finally:
        _restore(own)
    for name in changed:
        if not (may_draw and name == "torch's random state"):
            raise ContractError(f"{doing} changes {name}; {_REMEDIES[name]}")
    if printed.getvalue():
        raise ContractError(
            f"{doing} prints {printed.getvalue()[:60]!r}; stdout belongs to the command, use logging or sys.stderr"
        )


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """Undo the block's changes of the process."""
    before = _state()
    try:
        yield
    finally:
        _restore(before)


def _stir() -> None:
    """Set random states that no component could have set itself."""
    random.seed(0x5F7F)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(0x5F7F)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0x5F7F)


def _state() -> dict[str, Any]:
    state: dict[str, Any] = {
        "Python's random state": random.getstate(),
        "the current folder": os.getcwd(),  # noqa: PTH109
        "the environment": dict(os.environ),
        "the locale": locale.setlocale(locale.LC_ALL),
    }
    if "numpy.random" in sys.modules:
        state["numpy's random state"] = sys.modules["numpy.random"].get_state()
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        state |= {
            "torch's random state": torch.get_rng_state(),
            "torch's default dtype": torch.get_default_dtype(),
            "whether torch records gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
            "torch's number of threads": torch.get_num_threads(),
        }
    return state


def _same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other) if not hasattr(one, "equal") else bool(one.equal(other))


def _restore(state: dict[str, Any]) -> None:
    random.setstate(state["Python's random state"])
    os.chdir(state["the current folder"])
    os.environ.clear()
    os.environ.update(state["the environment"])
    locale.setlocale(locale.LC_ALL, state["the locale"])
    if "numpy's random state" in state:
        sys.modules["numpy.random"].set_state(state["numpy's random state"])
    if "torch's random state" in state:
        torch = sys.modules["torch"]
        torch.set_rng_state(state["torch's random state"])
        torch.set_default_dtype(state["torch's default dtype"])
        torch.set_grad_enabled(state["whether torch records gradients"][0])
        if torch.get_num_threads() != state["torch's number of threads"]:
            torch.set_num_threads(state["torch's number of threads"])
