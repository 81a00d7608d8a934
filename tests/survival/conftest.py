"""Runs that can be killed for real, and what must be the same behind a kill."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sftframe.config import merge

on_linux = sys.platform == "linux"
PROGRAM = Path(__file__).parent / "killable_runs.py"

_TIMES = {"seconds", "tokens_per_s", "peak_memory_bytes", "created", "run", "foreign_cores"}
"""Keys that differ between two runs of the same settings."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int
    """0, an exit code, or minus the signal that ended it."""
    seconds: float
    operations: list[str]
    """What it did to the disk: `rename config.toml`."""
    message: str
    """Its error, if it ended with one."""


Launch = Callable[..., Ended]


@pytest.fixture(scope="session")
def launch(make_toys: Callable[..., Any]) -> Iterator[Launch]:
    """`launch(out, resume=False, config=…, stages=None, …)`: a run; see `killable_runs`.

    A run that is to be killed is a process of its own, and so is one that is launched `forked=True`. All others run in
    this process, which takes half the time.
    """
    if not on_linux:
        pytest.skip("runs are forked, and killed at a time, in Linux's way")
    runs, toys = _load_program(), make_toys()
    command = [sys.executable, str(PROGRAM)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def go(out: Path, *, forked: bool = False, **order: Any) -> Ended:
            plain = {"resume": False, "config": {}, "stages": None, "kill_after_s": None, "kill_at": None}
            order = {"out": str(out), "fail_at": None, **plain, **order}
            if order["kill_after_s"] is None and order["kill_at"] is None and not forked:
                log, start = io.StringIO(), time.perf_counter()
                status = runs.work(order, toys.registry, log)
                return Ended(status=status, seconds=time.perf_counter() - start, **runs.told(log.getvalue()))
            server.stdin.write(json.dumps(order) + "\n")
            server.stdin.flush()
            return Ended(**json.loads(server.stdout.readline()))

        yield go
        server.stdin.close()


def _load_program() -> Any:
    spec = importlib.util.spec_from_file_location("killable_runs", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A toy run of nine steps with dropout and sampling, so that every random number counts."""
    path = tmp_path_factory.mktemp("data") / "numbers.json"
    entries = [
        {"instruction": f"After {n}?", "input": "", "output": f"Il est {n + 1} ¾." + " Oui." * (n % 3)}
        for n in range(40)
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return {
        "model": {"name": "toy", "dropout": 0.2},
        "prompt": "brief",
        "judge": "toy-judge",
        "data": {"source": str(path)},
        "train": {"checkpoint_every": 2, "eval_every": 3, "select": "best"},
        "generate": {"temperature": 0.9, "max_new_tokens": 4},
        "threads": 1,
        "device": "cpu",
    }


@pytest.fixture(scope="session")
def short(settings: dict[str, Any]) -> dict[str, Any]:
    """Four steps, two checkpoints, and two questions: with every kind of change to the disk."""
    changes: dict[str, Any] = {"data": {"limit": 20}, "train": {"max_steps": 4, "checkpoint_every": 2, "eval_every": 2}}
    return merge(settings, changes)


@pytest.fixture(scope="session")
def straight(launch: Launch, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """An undisturbed run of the settings, and how it went."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    ended = launch(folder, config=settings)
    assert ended.status == 0, ended.message
    return folder, ended


@pytest.fixture(scope="session")
def moments() -> Callable[..., list[int]]:
    """`moments(operations)`: numbers of operations, at least one of every kind.

    A kind is an operation on a file or a folder, whose name counts without its numbers. Of renamings, the last of every
    kind is there too. Some operations are one kind for all files that the same code writes (`files.write_whole` writes
    all files that appear whole, `files.JsonLines` all that grow by lines), so that they are not tried for each: to open
    and to flush a file, and to rename a file that is whole.
    """
    return _moments


def _moments(operations: Iterable[str]) -> list[int]:
    opened = {operation.removeprefix("open ") for operation in operations if operation.startswith("open ")}
    kinds: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        verb, name = operation.split(" ", 1)
        if verb == "rename" and any(part.startswith(f".{name}.") for part in opened):
            name = "a whole file"
        if verb in ("open", "sync") and name in opened:
            name = "lines" if name.endswith(".jsonl") else "a whole file" if name.endswith(".part") else name
        kinds.setdefault(f"{verb} {_without_numbers(name)}", []).append(number)
    last = {places[-1] for kind, places in kinds.items() if kind.startswith("rename")}
    return sorted(last | {places[0] for places in kinds.values()})


def _without_numbers(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdecimal())


@pytest.fixture(scope="session")
def left_behind() -> Callable[..., dict[str, Any]]:
    """`left_behind(folder, but=("loss.png",))`: every file of a run, byte for byte where no times are in it."""
    return _left_behind


def _left_behind(folder: Path, but: tuple[str, ...] = ()) -> dict[str, Any]:
    left_out = {"report.html", ".lock", ".lock-owner.json", ".sftframe", *but}  # the page shows the times
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: _content(path) for name, path in sorted(paths.items()) if path.name not in left_out}


def _content(path: Path) -> Any:
    if path.name == "metrics.jsonl":
        return [_timeless(json.loads(line)) for line in path.read_bytes().decode().splitlines()]
    if path.name in ("manifest.json", "train.json", "summary.json", "state.json"):
        return _timeless(json.loads(path.read_bytes()))
    if path.name == "hashes.json":
        return json.loads(path.read_bytes()) | {"state.json": None}
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(part) for key, part in value.items() if key not in _TIMES}
    return value
