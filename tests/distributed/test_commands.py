"""The command in several processes: killed, stopped, and resumed with another number of them."""

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
    "train.max_steps": "12",
    "train.checkpoint_every": "2",
    "train.eval_every": "6",
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


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def ranks_of(process: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}


def errors(words: str) -> list[str]:
    return [line for line in words.splitlines() if line.startswith(("error:", "Traceback"))]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
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


def test_a_killed_rank_is_named_in_one_message_and_three_ranks_go_on_from_the_checkpoint_of_two(
    start: Start, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(*new_run(run), "--nproc", "2")
    wait_for(run / "checkpoints/step-2/hashes.json", process)
    ranks_of(process)[1].kill()
    _, words = process.communicate(timeout=120)
    assert process.returncode == 7
    host = socket.gethostname()
    assert errors(words) == [line for line in words.splitlines() if f"rank 1 on {host} was killed by SIGKILL" in line]
    assert len(errors(words)) == 1
    assert any((run / "checkpoints").glob("step-*/shard-00002-*.safetensors"))

    resumed = start("run", "--resume", str(run), "--nproc", "3")
    _, words = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, words
    assert "resumed after step" in words
    assert_same_run(run, alone)


def test_a_stop_saves_once_and_one_process_goes_on(start: Start, alone: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*new_run(run), "--nproc", "2")
    wait_for(run / "checkpoints/step-2/hashes.json", process)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 130, words
    assert len(errors(words)) == 1
    assert "everything is saved; continue with: sftframe run --resume" in errors(words)[0]

    resumed = start("run", "--resume", str(run))
    _, words = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, words
    assert_same_run(run, alone)
