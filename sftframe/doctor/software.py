"""Checks of installed packages, plugins and components."""

from __future__ import annotations

import platform
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from sftframe.config import RunConfig
from sftframe.doctor.hardware import Finding, Status
from sftframe.errors import ConfigError, SftframeError
from sftframe.plugins import RUN_SEAMS
from sftframe.plugins.guard import plugin_wall
from sftframe.registry import Registry, Seam
from sftframe.version import __version__

_SHOWN = ("torch", "tiktoken", "numpy", "safetensors", "transformers", "peft")
"""Packages whose versions affect results, shown where they are installed; others are named only if something is wrong
with them."""


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
    by_name = {requirement.name: requirement.found for requirement in software.requirements}
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


@dataclass(slots=True)
class JudgeCheck:
    """A judge's answer about itself. The thread that asks the judge writes it."""

    name: str
    is_done: bool = False
    identity: str = ""
    """The judge's exact identity, with the model that it found."""
    error: str = ""


class JudgeChecks:
    """Asks all judges at the same time, from now on; a judge that never answers delays nothing.

    Args:
        options: options by judge; other judges get their defaults.
    """

    def __init__(self, registry: Registry, options: Mapping[str, Mapping[str, Any]]) -> None:
        self._started = time.monotonic()
        self._checks: list[tuple[threading.Thread, JudgeCheck]] = []
        for name in registry.names(Seam.JUDGE):
            if len(registry.offers(Seam.JUDGE, name)) > 1:
                continue  # the plugins' findings say it
            check = JudgeCheck(name)
            # a daemon thread, so that the process can end while the thread waits for a server
            thread = threading.Thread(target=_ask, args=(registry, options.get(name, {}), check), daemon=True)
            thread.start()
            self._checks.append((thread, check))

    def collect(self, patience_s: float) -> Sequence[JudgeCheck]:
        """Their answers, at most this many seconds after the question."""
        end = self._started + patience_s
        for thread, _ in self._checks:
            thread.join(max(0.0, end - time.monotonic()))
        return [check for _, check in self._checks]


def check_plugins(registry: Registry, config: RunConfig) -> Iterator[Finding]:
    """Findings on broken plugins, names in conflict, and components that the configuration chooses."""
    for seam in RUN_SEAMS:
        try:
            registry.find(seam, _chosen(config, seam, registry))
        except ConfigError as error:
            advice = f"choose one with --{seam.value}; sftframe plugins lists them"
            yield Finding(topic="plugins", status="problem", found=str(error), advice=advice)
        except SftframeError as error:
            found, _, advice = str(error).partition("; ")
            yield Finding(topic="plugins", status="problem", found=found, advice=advice)
    for info in registry.plugins:
        if info.status == "broken":
            yield Finding(
                topic="plugins",
                status="note",
                found=f"{info.label} is broken: {info.error}",
                advice=f"update or uninstall {info.distribution}, or leave it out with SFTFRAME_DISABLE={info.id}",
            )
        if info.is_slow:
            yield Finding(
                topic="plugins",
                status="note",
                found=f"{info.label} takes {info.import_s:.1f} s to import, and every command waits for it",
                advice=f"ask its author to import heavy packages later, or set SFTFRAME_DISABLE={info.id}",
            )
    yield from _conflicts(registry, config)
    kinds = Counter(info.status for info in registry.plugins)
    others = "".join(f", {kinds[status]} {status}" for status in ("broken", "disabled") if kinds[status])
    own = sum(info.is_first_party for info in registry.plugins)
    yield Finding(topic="plugins", found=f"{len(registry.plugins)}, {own} of them sftframe's own{others}")


def _chosen(config: RunConfig, seam: Seam, registry: Registry) -> str:
    """The name that a run looks up; a default is sftframe's own component."""
    name: str = getattr(config, seam.value).name
    is_default = name == getattr(RunConfig(), seam.value).name
    return registry.default(seam, name) if is_default else name


def _conflicts(registry: Registry, config: RunConfig) -> Iterator[Finding]:
    for seam in RUN_SEAMS:
        for name in registry.names(seam):
            ids = [info.id for info, _ in registry.offers(seam, name)]
            if len(ids) > 1 and name != _chosen(config, seam, registry):
                yield Finding(
                    topic="plugins",
                    status="note",
                    found=f"{len(ids)} plugins offer a {seam.noun} {name!r}: {', '.join(ids)}",
                    advice=f"choose by id, for instance --{seam.value} {ids[-1]}:{name}",
                )


def check_judges(checks: Sequence[JudgeCheck], chosen: str, patience_s: float) -> Iterator[Finding]:
    """Findings on which judges could work now; only the chosen one must.

    Args:
        chosen: the configuration's judge.
        patience_s: seconds of waiting for them.
    """
    for check in checks:
        status: Status = "problem" if check.name == chosen else "note"
        if not check.is_done:
            advice = "check that its server is running and not busy; a run would wait longer"
            found = f"{check.name} did not answer within {patience_s:g} s"
            yield Finding(topic="judges", status=status, found=found, advice=advice)
        elif check.error:
            found = f"{check.name} cannot work now"
            yield Finding(topic="judges", status=status, found=found, advice=check.error)
        else:
            yield Finding(topic="judges", found=f"{check.name} can work: {check.identity}")


def _ask(registry: Registry, options: Mapping[str, Any], check: JudgeCheck) -> None:
    try:
        judge = registry.judge(check.name, options)
        with plugin_wall(type(judge).__module__.partition(".")[0], f"judge {check.name}"):
            judge.check()
            check.identity = judge.identity
    except SftframeError as error:
        check.error = str(error)
    check.is_done = True
