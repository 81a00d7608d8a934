"""The same command twice gives the same bytes, whatever the hash seed, the working folder and the time of day are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

QUICK = ("--max-steps", "3", "--batch-size", "2", "--threads", "1", "--set", "generate.max_new_tokens=6")
SAMPLED = ("--set", "generate.temperature=0.8", "--set", "model.dropout=0.1", "--shuffle-split", "5")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of one command, in processes, folders and with hash seeds of their own; all that draws numbers is on."""
    folder = tmp_path_factory.mktemp("twins")
    entries = [{"instruction": f"Write the number after {n}.", "output": f"It is {n + 1}."} for n in range(24)]
    (folder / "data.json").write_text(json.dumps(entries), encoding="utf-8")
    for number in (1, 2):
        home = folder / f"home-{number}"
        home.mkdir()
        call("run", data=folder / "data.json", home=home, hash_seed=number)
    return folder / "home-1/run", folder / "home-2/run"


@pytest.mark.parametrize(
    "name",
    [
        "model/model.safetensors",
        "responses.jsonl",
        "responses-before.jsonl",
        "responses.json",
        "likelihoods.jsonl",
        "verdicts.jsonl",
        "items.jsonl",
        "config.toml",
    ],
)
def test_the_same_command_gives_the_same_bytes(twins: tuple[Path, Path], name: str) -> None:
    first, second = ((run / name).read_bytes() for run in twins)
    assert first == second


def test_metrics_differ_in_nothing_but_time(twins: tuple[Path, Path]) -> None:
    first, second = (metrics(run) for run in twins)
    assert [line["kind"] for line in first].count("step") == 3
    assert first == second


def test_another_seed_gives_other_weights(cli: Any, twins: tuple[Path, Path], tmp_path: Path) -> None:
    """Without which the tests above would prove nothing."""
    data = twins[0].parents[1] / "data.json"
    settings = ("--seed", "7", *QUICK, *SAMPLED, "--set", "before=false")
    assert cli("train", "--data", data, *settings, "--out", tmp_path / "run").code == 0
    other = (tmp_path / "run/model/model.safetensors").read_bytes()
    assert other != (twins[0] / "model/model.safetensors").read_bytes()


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl` without the time that steps took."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def call(command: str, *args: str, data: Path, home: Path, hash_seed: int) -> None:
    """A command in a process and a folder of its own."""
    subprocess.run(
        [sys.executable, "-m", "sftframe", command, "--data", str(data), *QUICK, *SAMPLED, *args, "--out", "run"],
        cwd=home,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "SFTFRAME_CACHE": str(home / "cache")},
        check=True,
        capture_output=True,
    )
