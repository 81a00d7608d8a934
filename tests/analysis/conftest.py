"""Finished runs made of nothing but the files that a comparison reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from sftframe.runs import LoadedRun, RunStore

PAIRING = {"data": "d", "split": "s", "test": "t", "initial_weights": "w", "order": "o"}


def item(index: int, score: float | None, **changes: Any) -> dict[str, Any]:
    """A line of `items.jsonl`."""
    plain = {
        "index": index,
        "instruction": f"Question {index}?",
        "input": "",
        "reference": "right",
        "answer": "right" if score == 100 else "wrong!!",
        "stop_reason": "end",
        "response_nll": 1.0 + index,
        "num_response_bytes": 5,
        "score": score,
        "verdict": "ok" if score is not None else "timeout",
        "reason": "",
    }
    return plain | changes


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run("a", scores=[100, 0], seed=1, collate="mask-pad")`: a finished run in `tmp_path / "a"`."""

    def make(
        name: str,
        *,
        scores: Sequence[float | None] = (100, 0, 50),
        seed: int = 1,
        collate: str = "mask-pad",
        pairing: Mapping[str, str] | None = None,
        judge: str = "toy",
        items: Sequence[Mapping[str, Any]] | None = None,
        manifest: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        settings = {"seed": seed, "collate": {"name": collate}, "prompt": {"name": "alpaca"}, **config}
        (folder / "config.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
        entries = {"seed": seed, "pairing": {**PAIRING, **(pairing or {})}, "judge": judge, **(manifest or {})}
        (folder / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
        lines = items or [item(index, score) for index, score in enumerate(scores)]
        (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        (folder / "summary.json").write_text(json.dumps({"train": {"counted_share": {"response": 1.0}}}))
        return folder

    return make


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Callable[..., LoadedRun]:
    """As `make_run`, read."""
    return lambda *args, **kwargs: RunStore.open(make_run(*args, **kwargs)).load()
