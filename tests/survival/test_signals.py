"""A real run that is asked to stop from outside, by a cluster, a terminal that is closed, or an impatient person."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sftframe.files import read_json_lines
from sftframe.training import checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

LONG = (
    "--epochs",
    "30",
    "--set",
    "before=false",
    "--set",
    "train.eval_every=1000",
    "--set",
    "data.limit=40",
    "--threads",
    "1",
)


def begin(folder: Path, **streams: int) -> subprocess.Popen[bytes]:
    """A run of the bundled model that has many steps before it."""
    command = [sys.executable, "-m", "sftframe", "train", "--out", "run", *LONG]
    return subprocess.Popen(command, cwd=folder, start_new_session=True, **streams)  # type: ignore[call-overload]


def has_trained(folder: Path) -> bool:
    """A few steps are taken."""
    metrics = folder / "run" / "metrics.jsonl"
    return metrics.exists() and metrics.read_bytes().count(b'"step"') > 3


def check_saved(folder: Path) -> None:
    """There is a checkpoint of the last step that was written down."""
    last = read_json_lines(folder / "run" / "metrics.jsonl")[-1]["step"]
    assert checkpoints.steps(folder / "run" / "checkpoints")[0] == last
    assert checkpoints.is_whole(folder / "run" / "checkpoints" / f"step-{last}")


def test_sigterm_ends_behind_the_step_with_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    child = begin(tmp_path, stderr=subprocess.PIPE)
    while child.poll() is None and not has_trained(tmp_path):
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.05)
    child.send_signal(signal.SIGTERM)
    _, talk = child.communicate()
    assert child.returncode == 130, talk.decode()
    assert b"everything is saved; continue with: sftframe run --resume run" in talk.replace(b"\n", b" ")
    assert b"Traceback" not in talk
    check_saved(tmp_path)


def test_a_terminal_that_is_closed_costs_nothing(tmp_path: Path) -> None:
    terminal, end = os.openpty()
    child = begin(tmp_path, stdin=end, stdout=end, stderr=end)
    os.close(end)
    while not has_trained(tmp_path):
        assert os.read(terminal, 1000)  # the bars move
    os.close(terminal)  # from now on writing to it fails
    child.send_signal(signal.SIGHUP)
    assert child.wait(240) == 130
    check_saved(tmp_path)
