"""A run's manifest as tables: nested names and values, flattened to one line per value."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

MAX_VALUES = 12
"""Values of a list that are shown."""

Table = tuple[str, tuple[tuple[str, str], ...]]
"""A caption and its lines of name and value."""


def manifest_tables(manifest: Mapping[str, Any]) -> tuple[Table, ...]:
    """One table per nested entry of the manifest, after one for the values at its top.

    >>> manifest_tables({"seed": 1, "machine": {"cpu": {"cores": 2}, "device": "cpu"}, "versions": {}})
    (('run', (('seed', '1'),)), ('machine', (('cpu.cores', '2'), ('device', 'cpu'))))
    """
    top = {name: value for name, value in manifest.items() if not isinstance(value, Mapping)}
    groups: dict[str, Any] = {"run": top}
    groups |= {str(name): value for name, value in manifest.items() if isinstance(value, Mapping)}
    tables = ((caption, tuple(_lines(group))) for caption, group in groups.items())
    return tuple(table for table in tables if table[1])


def repeat_command(run: str) -> str:
    """The command that repeats a run, into a folder next to it.

    >>> repeat_command("runs/my run")
    "sftframe run --config 'runs/my run/config.toml' --out 'runs/my run-again'"
    """
    folder = run.rstrip("/")
    return shlex.join(["sftframe", "run", "--config", f"{folder}/config.toml", "--out", f"{folder}-again"])


def _lines(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _lines(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list) for item in value):
        for position, item in enumerate(value):
            yield from _lines(item, f"{path}[{position}]")
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(_text(item) for item in value[:MAX_VALUES])
        return f"{shown}, … ({len(value)} in all)" if len(value) > MAX_VALUES else shown or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
