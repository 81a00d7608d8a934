"""Makes the references of hooks and errors from `sftframe.plugins.hooks`, the interfaces and the exception classes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import sftframe
from recipes.docs.markdown import GENERATED_NOTE, cell, table
from sftframe.errors import SftframeError
from sftframe.plugins import hooks as hookspecs
from sftframe.registry import Seam, load_registry

_HOOKS_INTRODUCTION = f"""\
{GENERATED_NOTE}
# Hooks

The entry-point group is `{hookspecs.GROUP}`. A hook returns an iterable of component *classes*. Every component has a
`name` and a one-line `summary`, and may have `Options`. [The plugin guide](../plugins/README.md) shows how to write
one. [The Python API](python.md) has the full classes.
"""

_ERRORS_INTRODUCTION = f"""\
{GENERATED_NOTE}
# Errors and exit codes

An error that a user can fix is a `SftframeError`. The command prints its message on one line of stderr and ends with
its `exit_code`. `--debug` shows the traceback. Any other error is a bug: the message says `internal error`, and the
exit code is 1.
"""

_ERRORS_END = """
Wrong flags end with 2 too. `sftframe doctor` ends with 1 if a run would not work, and
`sftframe preview --against` if a row differs. Only Python code sees the difference
between classes that share a code. A plugin may raise the classes that `sftframe` exports.

Output never ends a run. Output to a closed stdout or stderr is lost without an error. A message that cannot be written
to stderr is dropped. If a result cannot be written to stdout, the command ends with 9; the work is done and saved.
Characters that an encoding lacks are replaced: with a similar sign, with `?`, or with an escape in JSON. Output of
plugins goes to stderr, unless stdout is a terminal.
"""


def hooks_page() -> str:
    """The page of hooks: exact signatures, and the methods that components override."""
    lines = [_HOOKS_INTRODUCTION]
    registry = load_registry()
    for seam in Seam:
        lines += [f"## `{seam.hook}() -> {_returned(seam.hook)}`", ""]
        lines += [inspect.getdoc(getattr(hookspecs, seam.hook)) or "", "", *_members(seam.base), ""]
        ours = [n for n in registry.names(seam) for info, _ in registry.offers(seam, n) if info.is_first_party]
        lines += ["Come with sftframe: " + ", ".join(f"`{name}`" for name in ours) + ".", ""]
    return "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """The page of exit codes and their classes."""
    known = [(str(error.exit_code), f"`{error.__name__}`", cell(_first_line(error))) for error in sorted_errors()]
    rows = [("0", "–", "done"), *known]
    return "\n".join([_ERRORS_INTRODUCTION, *table(("exit code", "class", "when"), rows), _ERRORS_END])


def sorted_errors() -> list[type[SftframeError]]:
    """Every error class of sftframe itself, by exit code and name."""
    for module in pkgutil.walk_packages(sftframe.__path__, "sftframe."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {SftframeError, *_below(SftframeError)}
    own = [error for error in found if error.__module__.startswith("sftframe.")]
    return sorted(own, key=lambda error: (error.exit_code, error.__name__))


def _below(error: type[SftframeError]) -> Iterator[type[SftframeError]]:
    for child in error.__subclasses__():
        yield child
        yield from _below(child)


def _returned(hook: str) -> str:
    return str(inspect.signature(getattr(hookspecs, hook)).return_annotation)


def _members(base: type[Any]) -> list[str]:
    """The methods that a component overrides: first the required ones, then the optional ones."""
    rows = []
    for owner in (base, base.__mro__[1]):
        for name, member in vars(owner).items():
            is_open = not name.startswith("_") or name == "__call__"
            if is_open and (inspect.isfunction(member) or isinstance(member, property)) and not _is_final(member):
                rows.append((_signature(name, member), _need(member), cell(_first_line(member))))
    rows.sort(key=lambda row: row[1] != "yes")
    return table((f"of `{base.__name__}`", "required", "what it is"), rows)


def _signature(name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"`{name}: {cell(inspect.signature(member.fget).return_annotation)}`"  # type: ignore[arg-type]
    return f"`{name}{cell(inspect.signature(member))}`".replace("'", "")


def _need(member: Any) -> str:
    return "yes" if getattr(member, "__isabstractmethod__", False) else "–"


def _is_final(member: Any) -> bool:
    return bool(getattr(getattr(member, "fget", member), "__final__", False))


def _first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n\n")[0]
