"""Worker processes of an ablation end with the process that started them, whatever it dies of, and save first.

Real processes throughout. Every wait has an end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation.cells import await_earlier_workers
from sftframe.errors import ConfigError
from sftframe.files import read_json_lines
from sftframe.files.locks import hold
from sftframe.training import checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

LONG_S = 200.0
"""Longer than anything here takes on a busy machine, and far shorter than the cells would train."""
GRID = (
    *("ablate", "--collate", "mask-pad,mask-instruction", "--seeds", "1", "--jobs", "2", "--epochs", "300"),
    *("--set", "train.eval_every=100000", "--set", "train.eval_examples=2", "--set", "data.limit=40"),
    *("--set", "before=false", "--set", "threads=1"),
)
"""Cells that train from the start, and for long: what is before and after training is not stopped here."""
START = """
import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_IGN if name == sys.argv[1] else signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "sftframe", *sys.argv[2:]])
"""
"""Runs a command with one signal ignored and the others not, whatever started the tests."""

Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """`begin("ablate", …, ignoring="SIGINT")`: a command in an empty folder. After the test no process is left."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str, ignoring: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", START, ignoring, *args]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (tmp_path / "talk.txt").open("w") as talk:
            child = subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stdout=talk, stderr=talk)
        started.append(child)
        return child

    yield start
    for pid in [*(child.pid for child in started if child.poll() is None), *workers(tmp_path)]:
        os.kill(pid, signal.SIGKILL)


def workers(folder: Path) -> list[int]:
    """Process ids of the workers that hold their locks."""
    owners = (folder / "grid" / ".workers").glob("*/.lock-owner.json")
    return [pid for owner in owners if is_alive(pid := json.loads(owner.read_text())["pid"])]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in status(pid)


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""


def wait_until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def num_steps(metrics: Path) -> int:
    return metrics.read_bytes().count(b'"step"')


def both_train(folder: Path, child: subprocess.Popen[str]) -> list[int]:
    """Wait until both cells have taken a few steps; the workers' process ids."""

    def found() -> bool:
        assert child.poll() is None, (folder / "talk.txt").read_text()
        metrics = list(folder.glob("grid/runs/*/*/metrics.jsonl"))
        return len(metrics) == 2 and all(num_steps(path) > 3 for path in metrics)

    wait_until(found, "no cell trains")
    return workers(folder)


def check_saved(folder: Path) -> None:
    """Every cell has a checkpoint of the last step that it wrote down."""
    runs = list(folder.glob("grid/runs/*/*"))
    assert len(runs) == 2
    for run in runs:
        last = read_json_lines(run / "metrics.jsonl")[-1]["step"]
        assert checkpoints.steps(run / "checkpoints")[0] == last
        assert checkpoints.is_whole(run / "checkpoints" / f"step-{last}")


def check_ended(folder: Path, parent: subprocess.Popen[str], pids: list[int]) -> None:
    """The parent waited until its workers had saved, and says how to go on."""
    assert parent.wait(LONG_S) == 130, (folder / "talk.txt").read_text()
    assert [pid for pid in pids if is_alive(pid)] == []
    check_saved(folder)
    talk = (folder / "talk.txt").read_text()
    assert "continue with: sftframe ablate --resume grid" in talk
    assert "Traceback" not in talk


def test_workers_of_a_parent_that_was_killed_save_and_end_and_the_ablation_can_be_resumed_at_once_and_stopped(
    begin: Begin, tmp_path: Path
) -> None:
    """One story, because each start of three processes takes seconds; all signals are alike, see `test_interrupts`."""
    parent = begin(*GRID, "--out", "grid")
    pids = both_train(tmp_path, parent)
    parent.kill()
    parent.wait(LONG_S)
    again = begin("ablate", "--resume", "grid", ignoring="SIGINT")
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "workers live on without their parent")
    check_saved(tmp_path)
    before = [num_steps(path) for path in tmp_path.glob("grid/runs/*/*/metrics.jsonl")]
    wait_until(
        lambda: all(
            num_steps(path) > known
            for path, known in zip(tmp_path.glob("grid/runs/*/*/metrics.jsonl"), before, strict=True)
        ),
        "the resumed ablation does not train",
    )
    pids = workers(tmp_path)
    assert len(pids) == 2
    again.send_signal(signal.SIGHUP)  # its terminal is closed; SIGTERM is the first signal of the next test
    check_ended(tmp_path, again, pids)
    assert "in use by" not in (tmp_path / "talk.txt").read_text()


def test_workers_end_before_they_have_begun_when_their_parent_is_killed(begin: Begin, tmp_path: Path) -> None:
    parent = begin(*GRID, "--out", "grid")
    wait_until(lambda: workers(tmp_path), "no worker starts")
    parent.kill()
    parent.wait(LONG_S)
    wait_until(lambda: not workers(tmp_path), "workers live on without their parent")


def test_a_second_signal_stops_the_workers_at_once_and_none_is_left(begin: Begin, tmp_path: Path) -> None:
    parent = begin(*GRID, "--out", "grid")
    pids = both_train(tmp_path, parent)
    parent.send_signal(signal.SIGTERM)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(LONG_S) == 130
    assert [pid for pid in pids if is_alive(pid)] == []
    assert "Traceback" not in (tmp_path / "talk.txt").read_text()


def test_an_earlier_worker_that_still_saves_is_named(tmp_path: Path, seen: Any) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    await_earlier_workers(tmp_path, seen)  # nobody holds anything
    with (
        hold(tmp_path / "1"),
        pytest.raises(ConfigError, match=rf"process {os.getpid()} .* is still busy with a cell of .* try again later"),
    ):
        await_earlier_workers(tmp_path, seen, patience_s=0.1)
