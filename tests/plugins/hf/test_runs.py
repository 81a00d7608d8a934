"""Whole runs with a tiny model of transformers: named by a folder, stopped, and resumed from another place."""

import json
import shutil

import pytest

from sftframe import RunConfig, load_registry, resume, run
from sftframe.config import read_toml
from sftframe.errors import ConfigError
from sftframe.pipeline import Session
from sftframe.progress import Observer
from sftframe.runs import RunStore, read_changed_config


class Killed(BaseException):
    """The process ends here."""


class Stop(Observer):
    """Ends the run at its third step."""

    steps = 0

    def advance(self, amount=1, **figures):
        self.steps += "loss" in figures
        if self.steps == 3:
            raise Killed


def layer(out):
    return {
        "model": "hf:./llama",
        "before": False,
        "data": {"limit": 20},
        "train": {"max_steps": 4, "checkpoint_every": 2, "batch_size": 4},
        "generate": {"max_new_tokens": 2},
        "threads": 1,
        "out": out,
    }


@pytest.fixture
def here(llama_original, tmp_path, monkeypatch):
    """The working directory, with the model in it."""
    (tmp_path / "here").mkdir()
    shutil.copytree(llama_original, tmp_path / "here" / "llama")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_a_run_is_resumed_from_another_place_and_ends_with_the_same_bytes(here, tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    summary = run(RunConfig(**layer(straight)))
    assert summary.model == "hf:./llama"
    registry = load_registry()
    with pytest.raises(Killed):
        Session.start(layer(stopped), registry, Stop()).run_all()
    monkeypatch.chdir(tmp_path)
    resume(stopped, registry=registry)
    assert read_toml(stopped / "config.toml")["model"] == {
        "name": f"hf:{here / 'llama'}",
        "weights": "pretrained",
        "allow_pickle": False,
        "ignore_unused": False,
    }
    weights = [(path / "model" / "model.safetensors").read_bytes() for path in (straight, stopped)]
    assert weights[0] == weights[1]
    manifest = json.loads((stopped / "manifest.json").read_text())
    assert manifest["components"]["model"]["name"] == "hf"
    assert manifest["weights"]["weights"] == str(here / "llama")
    assert "transformers" in manifest["versions"]
    assert read_changed_config(RunStore(stopped), {"model": "hf:./here/llama"}).model.name == f"hf:{here / 'llama'}"
    with pytest.raises(ConfigError, match=r"^model\.\w+ is .* cannot become"):
        read_changed_config(RunStore(stopped), {"model": "hf:./elsewhere"})
