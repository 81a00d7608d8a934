"""The checks of `sftframe doctor`: software, devices, cores, memory, disk, caches, plugins, judges, network, terminal.

Every topic has a function that collects facts, and one that turns facts into findings. Slow checks (servers and the
network) start first and are read last. Nothing is changed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from sftframe.config import RunConfig
from sftframe.device import ForeignLoad
from sftframe.doctor.hardware import (
    Finding,
    Status,
    check_cores,
    check_devices,
    check_memory,
    look_at_cores,
    look_at_devices,
    look_at_memory,
)
from sftframe.doctor.prompts import check_prompt
from sftframe.doctor.software import JudgeChecks, check_judges, check_plugins, check_software, look_at_software
from sftframe.doctor.surroundings import (
    NetworkProbe,
    Terminal,
    check_cache,
    check_network,
    check_runs,
    check_terminal,
    look_at_cache,
    look_at_runs,
    look_at_terminal,
)
from sftframe.network.downloads import cache_dir
from sftframe.registry import Registry
from sftframe.version import __version__

__all__ = ["Finding", "Status", "document", "examine", "is_usable"]

PATIENCE_S = 3.0
"""Seconds to wait for judges and the network, from the start of the examination."""


def examine(
    config: RunConfig,
    registry: Registry,
    *,
    stdout: TextIO | None = None,
    begin: Callable[[str], object] = lambda topic: None,
) -> Iterator[Finding]:
    """Check everything, and give each topic's findings at once; takes at most a few seconds.

    Args:
        config: the run that must work: its components must be there, and its judge must work.
        stdout: the stream of results; None = `sys.stdout`.
        begin: called with the next topic.
    """
    # torch and judges give reasons as warnings, such as an old driver or a server that is left out
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("always", RuntimeWarning)
        yield from _examine(config, registry, look_at_terminal(stdout or sys.stdout), begin)
    shown = [str(warning.message) for warning in heard if issubclass(warning.category, UserWarning | RuntimeWarning)]
    for message in dict.fromkeys(shown):
        yield Finding(topic="warnings", status="note", found=" ".join(message.split()))


def _examine(
    config: RunConfig, registry: Registry, terminal: Terminal, begin: Callable[[str], object]
) -> Iterator[Finding]:
    load = ForeignLoad()
    judges = JudgeChecks(registry, {config.judge.name: config.judge.options})
    network = NetworkProbe()
    begin("packages")
    software = look_at_software()
    yield from check_software(software)
    if not software.torch_error:
        begin("devices")
        yield from check_devices(look_at_devices())
    yield from check_cores(look_at_cores(load))
    yield from check_memory(look_at_memory())
    begin("disk")
    yield from check_runs(look_at_runs(config.out.parent if config.out else None))
    yield from check_cache(look_at_cache(cache_dir()), "SFTFRAME_CACHE")
    yield from check_cache(look_at_cache(_hub_cache()), "HF_HOME")
    yield from check_plugins(registry, config)
    yield from check_terminal(terminal)
    begin("judges and network")
    yield from check_judges(judges.collect(PATIENCE_S), config.judge.name, PATIENCE_S)
    yield from check_network(network.collect(PATIENCE_S))
    yield from check_prompt(config, registry)  # last: while it works, nothing reaches a network


def is_usable(findings: Sequence[Finding]) -> bool:
    """Whether a run would work."""
    return all(finding.status != "problem" for finding in findings)


def document(findings: Sequence[Finding]) -> Mapping[str, Any]:
    """The examination for `--json`; fields are added, never renamed."""
    return {
        "sftframe": __version__,
        "is_usable": is_usable(findings),
        "findings": [{"topic": f.topic, "status": f.status, "found": f.found, "advice": f.advice} for f in findings],
    }


def _hub_cache() -> Path:
    """The folder in which `huggingface_hub` keeps weights."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
