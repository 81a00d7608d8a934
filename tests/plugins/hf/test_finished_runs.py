"""What can be done with a run on a model of transformers: continue it, chat with it, export it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import Callback, Example, Observer, PluginError, RunConfig, StepRecord, load_registry, resume, run
from sftframe.pipeline import FinishedRun
from sftframe.prompts import write_export

ROWS = [
    {"instruction": f"Say {word}.", "input": "", "output": f"the {word}"} for word in ("hello", "help", "tell", "tale")
]


@pytest.fixture
def go(llama_original: Path, tmp_path: Path) -> Callable[..., Path]:
    """Trains the tiny Llama on a few rows, into a folder with this name."""
    data = tmp_path / "data.json"
    data.write_text(json.dumps(ROWS * 6), encoding="utf-8")

    def trained(name: str, *callbacks: Callback, **train: Any) -> Path:
        settings: dict[str, Any] = {
            "model": {"name": f"hf:{llama_original}"},
            "prompt": {"name": "phi3"},
            "data": {"source": str(data)},
            "train": {"max_steps": 6, "batch_size": 4, "lr": 0.01, **train},
            "generate": {"max_new_tokens": 6},
            "device": "cpu",
            "threads": 1,
            "before": False,
        }
        run(RunConfig(**settings, out=tmp_path / name), callbacks=callbacks)
        return tmp_path / name

    return trained


class Broken(Callback):
    """Stops a run after its third step."""

    def on_step(self, record: StepRecord) -> None:
        if record.step == 3:
            raise RuntimeError("the plug is pulled")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("train", [{}, {"lora": {"rank": 2}}], ids=["whole", "adapters"])
def test_a_stopped_run_continues_to_the_same_bytes(
    go: Callable[..., Path], tmp_path: Path, train: dict[str, Any]
) -> None:
    straight = go("straight", **train)
    with pytest.raises(PluginError, match="the plug is pulled"):
        go("stopped", Broken(), checkpoint_every=2, **train)
    resume(tmp_path / "stopped")
    assert contents(tmp_path / "stopped/model") == contents(straight / "model")
    assert (tmp_path / "stopped/responses.jsonl").read_bytes() == (straight / "responses.jsonl").read_bytes()


def test_chat_writes_the_answers_of_the_run_piece_by_piece(go: Callable[..., Path]) -> None:
    folder = go("run")
    tuned = FinishedRun.open(folder, load_registry()).load(Observer())
    for entry in json.loads((folder / "responses.json").read_text(encoding="utf-8")):
        pieces: list[str] = []
        example = Example(index=0, instruction=entry["instruction"], output="")
        response = tuned.answer(example, pieces.append)
        assert response.text == entry["model_response"]
        assert "".join(pieces) == response.text


def test_a_pipeline_on_the_export_gives_the_answers_of_the_run(go: Callable[..., Path], tmp_path: Path) -> None:
    from transformers import pipeline

    folder = go("run")
    finished = FinishedRun.open(folder, load_registry())
    tuned = finished.load(Observer())
    write_export(tuned.model, tuned.style, tmp_path / "out", target="hf", dtype="float32", name="toy", max_new_tokens=6)
    ask = pipeline("text-generation", str(tmp_path / "out"))
    for entry in json.loads((folder / "responses.json").read_text(encoding="utf-8")):
        found = ask([{"role": "user", "content": entry["instruction"]}])[0]["generated_text"][-1]["content"]
        assert finished.style.extract(found).strip() == entry["model_response"].strip()
