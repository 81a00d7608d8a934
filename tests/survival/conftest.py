"""Runs that can be killed for real, and what must be the same behind a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

on_linux = sys.platform == "linux"

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
def launch() -> Iterator[Launch]:
    """`launch(out, resume=False, config=…, stages=None, …)`: a run as a process; see `killable_runs`."""
    if not on_linux:
        pytest.skip("runs are forked, and killed at a time, in Linux's way")
    command = [sys.executable, str(Path(__file__).parent / "killable_runs.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def go(out: Path, **order: Any) -> Ended:
            plain = {"resume": False, "config": {}, "stages": None, "kill_after_s": None, "kill_at": None}
            server.stdin.write(json.dumps({"out": str(out), "fail_at": None, **plain, **order}) + "\n")
            server.stdin.flush()
            return Ended(**json.loads(server.stdout.readline()))

        yield go
        server.stdin.close()


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
def straight(launch: Launch, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """An undisturbed run of the settings, and how it went."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    ended = launch(folder, config=settings)
    assert ended.status == 0, ended.message
    return folder, ended


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
