"""Checks Python and the packages that sftframe needs: their versions, and whether torch can be imported.

The list of packages is read from sftframe's own metadata.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from sftframe import __version__
from sftframe.doctor.findings import Finding

_SHOWN = ("torch", "tiktoken", "numpy", "safetensors")
"""Packages whose versions affect results; others are named only if something is wrong with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A package that sftframe requires."""

    name: str
    minimum: str
    found: str | None
    """Its installed version; None = not installed."""
    extra: str = ""
    """The extra that requires it; empty = always needed."""

    @property
    def is_met(self) -> bool:
        """Whether it is installed and new enough."""
        return self.found is not None and _release(self.found) >= _release(self.minimum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Facts about this installation."""

    python: str
    is_64_bit: bool
    requirements: Sequence[Requirement]
    torch_error: str = ""
    """Why torch cannot be imported; empty = it can."""


def look_at_software() -> Software:
    """Collect the facts about this installation; imports torch."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        torch_error = f"{type(error).__name__}: {error}".partition("\n")[0]
    else:
        torch_error = ""
    return Software(
        python=platform.python_version(),
        is_64_bit=sys.maxsize > 2**32,
        requirements=tuple(_requirements()),
        torch_error=torch_error,
    )


def check_software(software: Software) -> Iterator[Finding]:
    """Findings on versions, packages that are missing or too old, torch's import, and extras."""
    bits = Finding(topic="python", found=f"{software.python} ({sys.executable}), sftframe {__version__}")
    if software.is_64_bit:
        yield bits
    else:
        advice = "install a 64-bit Python: torch is made for no other"
        yield Finding(topic="python", status="problem", found=f"{bits.found}, 32 bits", advice=advice)
    needed = [requirement for requirement in software.requirements if not requirement.extra]
    missing = [requirement for requirement in needed if not requirement.is_met]
    if missing:
        wanted = " ".join(f"'{r.name}>={r.minimum}'" for r in missing)
        yield Finding(
            topic="packages",
            status="problem",
            found="; ".join(f"{r.name} {r.found or 'is missing'}, {r.minimum} or newer is needed" for r in missing),
            advice=f"{_pip()} install {wanted}",
        )
    by_name = {requirement.name: requirement.found for requirement in needed}
    versions = ", ".join(f"{name} {by_name[name]}" for name in _SHOWN if by_name.get(name))
    if software.torch_error and "torch" not in {requirement.name for requirement in missing}:
        yield Finding(
            topic="packages",
            status="problem",
            found=f"torch cannot be imported: {software.torch_error}",
            advice=f"{_pip()} install --force-reinstall --no-deps torch; if the error stays, see "
            "https://pytorch.org/get-started/locally",
        )
    yield Finding(topic="packages", found=versions or "none of the packages that affect results")
    yield from _check_extras(software)


def _check_extras(software: Software) -> Iterator[Finding]:
    extras = dict.fromkeys(r.extra for r in software.requirements if r.extra)
    absent, old = [], []
    for extra in extras:
        offered = [r for r in software.requirements if r.extra == extra]
        if any(r.is_met for r in offered):
            continue
        there = [r for r in offered if r.found]
        old.extend(there)
        if not there:
            absent.append(extra)
    for requirement in old:
        yield Finding(
            topic="extras",
            status="note",
            found=f"{requirement.name} {requirement.found}, sftframe[{requirement.extra}] needs {requirement.minimum}",
            advice=f"{_pip()} install '{requirement.name}>={requirement.minimum}'",
        )
    if absent:
        advice = f"only where you need one: {_pip()} install 'sftframe[{absent[0]}]'"
        yield Finding(topic="extras", found=f"not installed: {', '.join(absent)}", advice=advice)


def _requirements() -> Iterator[Requirement]:
    for line in metadata.requires("sftframe") or ():
        found = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", line)
        extra = re.search(r"extra == ['\"](\w+)['\"]", line)
        if found and (extra is None or extra[1] not in _FOR_WORK_ON_SFTFRAME):
            version = _version_of(found[1])
            yield Requirement(name=found[1], minimum=found[2], found=version, extra=extra[1] if extra else "")


_FOR_WORK_ON_SFTFRAME = ("dev", "docs")


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version, without final zeros.

    >>> _release("2.13.0+cpu") >= _release("2.7"), _release("9.0rc1") >= _release("14")
    (True, False)
    """
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _pip() -> str:
    return f"{sys.executable} -m pip"
