"""Checks plugins and judges: which are broken, which offer the same name, which judges could work now."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.config import RunConfig
from sftframe.doctor.findings import Finding, Status
from sftframe.errors import ConfigError, SftframeError
from sftframe.registry import Registry, Seam
from sftframe.registry.wall import plugin_wall


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
    for seam in Seam:
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
    for seam in Seam:
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
