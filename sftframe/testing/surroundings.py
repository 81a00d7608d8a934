"""Checks that a component does not change the process that it runs in.

Packages that are not imported yet are not imported for this.
"""

from __future__ import annotations

import contextlib
import io
import locale
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

from sftframe.testing.contract import ContractError

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
