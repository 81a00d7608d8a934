"""Whole runs on models of transformers: what is said, what is kept, and comparisons between models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import Observer, RunConfig, load_registry, run
from sftframe.ablation import Ablation, AblationObserver, make_plan, read_request


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


def test_models_are_compared_in_an_ablation(
    layer: Callable[..., dict[str, Any]], make_folder: Callable[..., Path], llama_original: Path, tmp_path: Path
) -> None:
    """Arms are the models' names as they were given; the likelihood of a byte compares their tokenizers too."""
    names = [f"hf:{llama_original}", f"hf:{make_folder('gpt2', tokens=262)}", "gpt2-nano"]
    settings = layer(llama_original) | {"ablate": {"model": names, "seeds": 1}}
    registry = load_registry()
    plan = make_plan(read_request(settings), registry)
    ablation = Ablation.start(plan, registry, tmp_path / "grid")
    ablation.run(AblationObserver())
    assert [arm.name for arm in plan.grid.arms] == names
    summaries = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "grid").rglob("summary.json")]
    assert len(summaries) == 3
    assert len({summary["after"]["response_nll_per_byte"] for summary in summaries}) == 3
