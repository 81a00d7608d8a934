"""Runs on disk: what there is, what it takes, and how it is deleted or made smaller without harm to anything else."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sftframe.errors import ConfigError
from sftframe.files import check_inside, is_run, remove_run
from sftframe.files.locks import is_held
from sftframe.runs.store import RunStore

RunState = Literal["finished", "trained", "interrupted", "in use"]
"""`trained`: it has its model, and no summary yet."""
_DEEPEST = 5
"""Folders below the one that is listed: an ablation's runs lie four deep under `ablations/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run as a list shows it; None where its files do not say."""

    path: str
    created: str | None
    """When it was begun, in ISO 8601."""
    model: str | None
    prompt: str | None
    collate: str | None
    data: str | None
    seed: int | None
    steps: int | None
    state: RunState
    judge_mean: float | None
    exact_match: float | None
    """0-1."""
    num_bytes: int
    freeable_bytes: int
    """Of checkpoints, which a run that is finished does not need."""


def runs_in(folder: Path) -> list[ListedRun]:
    """All runs in a folder and below, runs of ablations too; links are not followed.

    Raises:
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}: expected one with runs in it; `sftframe run` makes runs/")
    return [_stored(path) for path in _run_folders(folder, _DEEPEST)]


def delete_run(path: Path) -> None:
    """Delete a run's folder with all that is in it.

    Raises:
        ConfigError: it is no run, it is or holds a link, or another process works on it.
    """
    check_is_run(path)
    remove_run(path)


def free_run(path: Path) -> int:
    """Delete a run's checkpoints; the bytes that this freed. The model and all that was measured stay.

    Raises:
        ConfigError: as `delete_run`.
    """
    from sftframe.training import checkpoints  # imports torch, which a list must not wait for

    check_is_run(path)
    run = RunStore(path)
    with run.lock():
        before = _size(run.checkpoints_dir)
        checkpoints.clear(run.checkpoints_dir)
    return before - _size(run.checkpoints_dir)


def check_is_run(path: Path) -> None:
    """See that a path is a run that nobody works on, and nothing else.

    Raises:
        ConfigError: it is not.
    """
    if path.is_symlink():
        raise ConfigError(f"{path} is a link to {path.readlink()}: name the run itself")
    if not is_run(path):
        raise ConfigError(f"{path} is not a run: nothing in it was touched; `sftframe runs` lists the runs")
    check_inside(path)
    if is_held(path):
        raise ConfigError(f"{path} is in use by another process: nothing in it was touched; wait for it to end")


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if is_run(folder):
        yield folder
        return
    with suppress(OSError):
        for path in sorted(folder.iterdir()) if depth else ():
            if path.is_dir() and not path.is_symlink():
                yield from _run_folders(path, depth - 1)


def _stored(path: Path) -> ListedRun:
    run = RunStore(path)
    manifest, summary, train = (_json(file) for file in (run.manifest_path, run.summary_path, run.train_path))
    config = _toml(run.config_path)
    after = _table(summary, "after")
    judge = _table(after, "judge")
    steps = train.get("steps") if train else _last_step(run.metrics_path)
    components = _table(manifest, "components")
    return ListedRun(
        path=str(path),
        created=_text(manifest.get("created")),
        model=_name(components, config, "model"),
        prompt=_name(components, config, "prompt"),
        collate=_name(components, config, "collate"),
        data=_text(_table(manifest, "data").get("source")) or _text(_table(config, "data").get("source")),
        seed=_number(config.get("seed"), int),
        steps=_number(steps, int),
        state=_state(run, is_summed_up=bool(summary)),
        judge_mean=_number(judge.get("mean"), float),
        exact_match=_number(after.get("exact_match"), float),
        num_bytes=_size(path),
        freeable_bytes=_size(run.checkpoints_dir),
    )


def _state(run: RunStore, *, is_summed_up: bool) -> RunState:
    if is_held(run.path):
        return "in use"
    if not (run.model_dir.is_dir() and run.train_path.is_file()):
        return "interrupted"
    return "finished" if is_summed_up else "trained"


def _size(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where it is missing or damaged, since a list has to show damaged runs too."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _last_step(metrics: Path) -> int | None:
    """The step of the last whole line of `metrics.jsonl`."""
    try:
        with metrics.open("rb") as file:
            file.seek(max(0, metrics.stat().st_size - 4096))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found.get("step"), int):
                return int(found["step"])
    return None


def _name(components: dict[str, Any], config: dict[str, Any], seam: str) -> str | None:
    return _text(_table(components, seam).get("name")) or _text(_table(config, seam).get("name"))


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object, kind: type[Any]) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    return kind(value) if is_number else None
