"""Side-by-side timing: every contender in a process of its own, in turn (A B C A B C …), foreign load recorded.

A contender is a command that prints one JSON object on its last line: `{"seconds": [...], ...}`. A round in which other
processes took more than a tenth of the machine is run again, up to a limit. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

FOREIGN_LOAD = 0.1
"""Share of the machine's CPU time that others may take in a round before it counts as dirty."""


@dataclass(slots=True)
class Measured:
    """All rounds of one contender."""

    name: str
    seconds: list[float] = field(default_factory=list)
    peak_memory_bytes: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    foreign_load: list[float] = field(default_factory=list)
    num_dirty: int = 0

    @property
    def median(self) -> float:
        """Median of all counted seconds."""
        return statistics.median(self.seconds)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "median_s": self.median,
            "min_s": min(self.seconds),
            "max_s": max(self.seconds),
            "num_measured": len(self.seconds),
            "peak_memory_bytes": self.peak_memory_bytes,
            "foreign_load": self.foreign_load,
            "num_dirty_rounds": self.num_dirty,
            **self.extra,
        }


def compete(commands: Mapping[str, Sequence[str]], *, rounds: int, retries: int = 3) -> dict[str, Measured]:
    """Run every command once a round; seconds of all clean rounds are put together."""
    results = {name: Measured(name) for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            for _attempt in range(retries + 1):
                found, load = _run(command)
                if load <= FOREIGN_LOAD:
                    break
                results[name].num_dirty += 1
            _add(results[name], found, load)
    return results


def worker(module: str, *args: str) -> list[str]:
    """The command that runs a contender of a benchmark."""
    return [sys.executable, "-m", module, "--worker", *args]


def table(results: Mapping[str, Measured], baseline: str, unit: str, *, floor: str | None = None) -> str:
    """Medians with their range, and each contender's ratio to the baseline.

    Args:
        floor: the contender, if it took part, that says how little is possible; the others' share of it is shown.
    """
    base = results[baseline].median
    least = results[floor].median if floor in results else None
    lines = [f"{'':28}{'median':>10}{'min':>10}{'max':>10}{'ratio':>8}{'of floor' if least else '':>10}{'memory':>10}"]
    for name, one in results.items():
        memory = f"{one.peak_memory_bytes / 1e9:.2f} GB" if one.peak_memory_bytes else ""
        figures = f"{one.median:10.3f}{min(one.seconds):10.3f}{max(one.seconds):10.3f}"
        share = f"{least / one.median:.0%}" if least else ""
        lines.append(f"{name:28}{figures}{one.median / base:8.2f}{share:>10}{memory:>10}")
    dirty = sum(one.num_dirty for one in results.values())
    return "\n".join([*lines, f"{unit}; ratio to {baseline}; {dirty} dirty rounds repeated; {machine()}"])


def machine() -> str:
    """One line on where this was measured."""
    import torch

    return (
        f"{psutil.cpu_count(logical=False)} cores, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    )


def _run(command: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The contender's result, and the share of CPU time that others took meanwhile."""
    before, start = psutil.cpu_times(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    usage = psutil.Process(process.pid)
    own = 0.0
    assert process.stdout is not None
    lines = []
    for line in process.stdout:  # the last line comes before the process ends, so its times can still be read
        lines.append(line)
        times = usage.cpu_times()
        own = times.user + times.system + times.children_user + times.children_system
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    after, wall = psutil.cpu_times(), time.monotonic() - start
    busy = (after.user + after.system + after.nice) - (before.user + before.system + before.nice)
    share = max(0.0, busy - own) / (wall * (psutil.cpu_count() or 1))
    result: dict[str, Any] = json.loads(lines[-1])
    return result, share


def _add(measured: Measured, found: dict[str, Any], load: float) -> None:
    measured.seconds += found.pop("seconds")
    measured.peak_memory_bytes = max(measured.peak_memory_bytes, found.pop("peak_memory_bytes", 0))
    measured.extra |= found
    measured.foreign_load.append(round(load, 3))
