"""The command in several processes: stopped, killed, and resumed with another number of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SETTINGS = {
    "data.limit": "60",
    "train.max_steps": "30",  # enough that a stop comes before the end on a fast machine
    "train.batch_size": "4",
    "train.checkpoint_every": "5",
    "train.eval_every": "15",
    "train.eval_examples": "4",
    "generate.max_new_tokens": "6",
    "before": "false",
}

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start("run", "--nproc", "2", …)`: the command, running; what is left of it is killed after the test."""
    started: list[subprocess.Popen[str]] = []

    def go(*words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "sftframe", *words]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield go
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.communicate()


def new_run(out: Path) -> list[str]:
    assignments = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    return ["run", "--out", str(out), "--threads", "1", "--device", "cpu", "--no-config", *assignments]


def wait_for(has_come: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not has_come():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def newest(run: Path) -> int:
    """The step of the newest checkpoint; 0 without any."""
    return max((int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*")), default=0)


def ranks_of(process: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}


def errors(words: str) -> list[str]:
    return [line for line in words.splitlines() if line.startswith(("error:", "Traceback"))]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The run of one process."""
    out = tmp_path / "alone"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "sftframe", *new_run(out), "--quiet"], env=environment, check=True)
    return out


def assert_same_run(run: Path, other: Path) -> None:
    """Both have the same steps of the same examples, the same figures to float32's tolerance, and the same answers."""
    ours, theirs = lines(run / "metrics.jsonl"), lines(other / "metrics.jsonl")
    assert [(line["kind"], line["step"], line["tokens_seen"]) for line in ours] == [
        (line["kind"], line["step"], line["tokens_seen"]) for line in theirs
    ]
    for line, expected in zip(ours, theirs, strict=True):
        for key in {"loss", "grad_norm", "validation_loss", "response_nll_per_token"} & expected.keys():
            assert line[key] == pytest.approx(expected[key], rel=1e-3)
    answers, wanted = (sorted(lines(one / "responses.jsonl"), key=lambda line: line["index"]) for one in (run, other))
    assert answers == wanted
    assert {path.name for path in (run / "model").iterdir()} == {path.name for path in (other / "model").iterdir()}
    assert not (run / "checkpoints").exists()


def test_a_run_that_two_ranks_began_and_three_went_on_with_ends_as_one_process_alone_does(
    start: Start, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(*new_run(run), "--nproc", "2")
    wait_for(lambda: newest(run) >= 5, process)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=200)
    assert process.returncode == 130, words
    assert len(errors(words)) == 1
    assert "everything is saved; continue with: sftframe run --resume" in errors(words)[0]
    stopped_after = newest(run)
    assert len(list((run / f"checkpoints/step-{stopped_after}").glob("shard-*.safetensors"))) == 2

    process = start("run", "--resume", str(run), "--nproc", "3")
    wait_for(lambda: newest(run) > stopped_after, process)
    ranks_of(process)[2].kill()
    _, words = process.communicate(timeout=200)
    assert process.returncode == 7, words
    assert f"resumed after step {stopped_after}" in words
    assert len(errors(words)) == 1
    assert f"rank 2 on {socket.gethostname()} was killed by SIGKILL" in errors(words)[0]

    process = start("run", "--resume", str(run))
    _, words = process.communicate(timeout=200)
    assert process.returncode == 0, words
    assert_same_run(run, alone)
