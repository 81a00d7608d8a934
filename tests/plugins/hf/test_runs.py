"""Whole runs on models of transformers: what is said, what is kept, and comparisons between models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import Observer, RunConfig, run


class Hearing(Observer):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def layer(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Settings of a short run on a folder with a model."""
    rows = [{"instruction": f"Say {i}.", "input": "", "output": f"the {i}"} for i in range(24)]
    data = tmp_path / "data.json"
    data.write_text(json.dumps(rows), encoding="utf-8")

    def settings(folder: Path, **train: Any) -> dict[str, Any]:
        return {
            "model": {"name": f"hf:{folder}"},
            "prompt": {"name": "phi3"},
            "data": {"source": str(data)},
            "train": {"max_steps": 2, "batch_size": 4, **train},
            "generate": {"max_new_tokens": 4},
            "device": "cpu",
        }

    return settings


def test_a_run_says_once_why_batches_are_padded(
    layer: Callable[..., dict[str, Any]], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    heard = Hearing()
    run(RunConfig(**layer(make_folder("stablelm")), out=tmp_path / "run"), observer=heard)
    said = [note for note in heard.notes if "padded" in note]
    assert said == [
        "batches of this model are computed padded, which is exact but slower: its layers do not pass arguments on to "
        "their attention"
    ]


def test_a_compact_model_needs_no_words(
    layer: Callable[..., dict[str, Any]], llama_original: Path, tmp_path: Path
) -> None:
    heard = Hearing()
    run(RunConfig(**layer(llama_original), out=tmp_path / "run"), observer=heard)
    assert not [note for note in heard.notes if "padded" in note]


def test_adapters_half_precision_and_layers_computed_again_work_together(
    layer: Callable[..., dict[str, Any]], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    settings = layer(make_folder("qwen2", tie_word_embeddings=True), lora={"rank": 2}, gradient_checkpointing=True) | {
        "dtype": "bfloat16"
    }
    run(RunConfig(**settings, out=tmp_path / "run"))
    written = (tmp_path / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in written if "loss" in json.loads(line)]
    assert len(losses) >= 2
    from transformers import AutoModelForCausalLM

    tuned = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")
    assert tuned.lm_head.weight is tuned.model.embed_tokens.weight
