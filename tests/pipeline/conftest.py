"""Whole runs with the toy pieces: one takes about a second, most of it for its charts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import RunConfig, Summary, run
from sftframe.config import Layer, merge
from sftframe.pipeline import Session
from sftframe.progress import Observer

NUM_EXAMPLES = 40
"""34 train, 4 test, 2 validation."""


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty questions after the next number, of uneven lengths, one with two right answers; the same for all tests."""
    path = tmp_path_factory.mktemp("data") / "numbers.json"
    entries = [
        {"instruction": f"After {n}?", "input": "", "output": f"It is {n + 1}." + " Yes." * (n % 3)}
        for n in range(NUM_EXAMPLES)
    ]
    entries[36]["output"] = [entries[36]["output"], "It is thirty-seven."]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def plain_layer(data_file: Path) -> Layer:
    """The settings of a toy run, but for its folder."""
    pieces = {"model": "toy", "prompt": "brief", "judge": "toy-judge"}
    return {**pieces, "data": {"source": str(data_file)}, "threads": 1, "device": "cpu"}


@pytest.fixture
def layer(plain_layer: Layer, tmp_path: Path) -> Callable[..., Layer]:
    """`layer(train={"epochs": 2}, …)`: the settings of a toy run in `tmp_path / "run"`, changed as told."""

    def make(**changes: Any) -> Layer:
        return merge(plain_layer, {"out": tmp_path / "run"}, changes)

    return make


@pytest.fixture
def start(layer: Callable[..., Layer], toys: Any) -> Callable[..., Session]:
    """`start(observer, force=False, **changes)`: a new run whose stages are called one by one."""

    def go(observer: Observer | None = None, force: bool = False, **changes: Any) -> Session:
        return Session.start(layer(**changes), toys.registry, observer or Observer(), force=force)

    return go


@pytest.fixture
def whole_run(layer: Callable[..., Layer], toys: Any) -> Callable[..., Summary]:
    """`whole_run(observer, **changes)`: all stages, through the public function."""

    def go(observer: Observer | None = None, **changes: Any) -> Summary:
        return run(RunConfig(**layer(**changes)), registry=toys.registry, observer=observer)

    return go


@pytest.fixture(scope="session")
def finished_once(plain_layer: Layer, make_toys: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(RunConfig(**plain_layer, out=folder), registry=make_toys().registry)
    return folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """The folder of a finished run of the plain settings."""
    return Path(shutil.copytree(finished_once, tmp_path / "run"))


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def read_lines() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads a JSON Lines file without the code under test."""
    return lines


@pytest.fixture(scope="session")
def outcome() -> Callable[[Path], dict[str, Any]]:
    """All that two runs of the same settings must have in common, whenever and wherever they ran."""
    return _outcome


def _outcome(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for timing in ("seconds", "tokens_per_s", "peak_memory_bytes"):
        del summary["train"][timing]
    found: dict[str, Any] = {"summary": summary | {"run": None}}
    metrics = lines(folder / "metrics.jsonl")
    found["metrics"] = [{key: value for key, value in line.items() if key != "seconds"} for line in metrics]
    for name in ("responses", "likelihoods", "verdicts"):
        for suffix in ("", "-before"):
            path = folder / f"{name}{suffix}.jsonl"
            found[path.name] = sorted(lines(path), key=lambda line: line["index"])
    found["document"] = json.loads((folder / "responses.json").read_text(encoding="utf-8"))
    found["weights"] = (folder / "model" / "toy.safetensors").read_bytes()
    return found
