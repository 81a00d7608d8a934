"""A clock that goes backwards, as after a correction over the network: no negative time, no name twice."""

from __future__ import annotations

import ast
import re
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sftframe import RunConfig, run
from sftframe.files import read_json_lines
from sftframe.runs import RunStore

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("sftframe/**/*.py"), *ROOT.glob("plugins/**/*.py")])
REPLACES_THE_TIME = ROOT / "sftframe/testing/elsewhere.py"  # to see whether a prompt style reads it


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day, an hour earlier at every look."""
    hours = count()
    start = time.time()
    monkeypatch.setattr(time, "time", lambda: start - 3600 * next(hours))
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * (start - 3600 * next(hours))))


@pytest.mark.usefixtures("backwards")
def test_seconds_never_run_backwards(settings: dict[str, Any], toys: Any, tmp_path: Path) -> None:
    summary = run(RunConfig(**settings, out=tmp_path / "run"), registry=toys.registry)
    seconds = [line["seconds"] for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "seconds" in line]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert summary.train is not None
    assert summary.train.tokens_per_s > 0


@pytest.mark.usefixtures("backwards")
def test_folders_of_runs_are_numbered_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [RunStore.create(None, label="nano").path.name for _ in range(3)]
    assert names == ["nano-1", "nano-2", "nano-3"]


@pytest.fixture(scope="module")
def looks_at_a_clock() -> list[tuple[str, int, str]]:
    """File, line and name of all that could be a look at a clock."""
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCES if path != REPLACES_THE_TIME}
    return [
        (path.relative_to(ROOT).as_posix(), node.lineno, ast.unparse(node))
        for path, text in texts.items()
        if re.search(r"\b(time|time_ns|now)\b", text)  # without these words no attribute has such a name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in ("time", "time_ns", "now")
    ]


def test_no_duration_is_taken_from_the_time_of_day(looks_at_a_clock: list[tuple[str, int, str]]) -> None:
    assert [look for look in looks_at_a_clock if look[2] in ("time.time", "time.time_ns")] == []


def test_the_date_is_only_written_down(looks_at_a_clock: list[tuple[str, int, str]]) -> None:
    asking = {path for path, _, name in looks_at_a_clock if name == "datetime.now"}
    assert asking == {"sftframe/files/locks.py", "sftframe/pipeline/manifest.py", "sftframe/runs/settings.py"}
