"""Lists of runs, and what is deleted of them: nothing that is no run, no link, and nothing that is in use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from sftframe.errors import ConfigError
from sftframe.files.locks import hold
from sftframe.runs import delete_run, free_run, runs_in


def make_run(folder: Path, *, steps: int = 12, is_trained: bool = True, mean: float | None = 41.5) -> Path:
    """A run as sftframe 0.1 left it: checkpoints beside the model, no word of `keep_optimizer`."""
    for name in ("model", "checkpoints/step-6", "checkpoints/step-12", "checkpoints/best-6"):
        (folder / name).mkdir(parents=True)
        (folder / name / "module.safetensors").write_bytes(b"w" * 1000)
    names = {"prompt": "phi3", "collate": "prompt-weight", "model": "toy"}
    config: dict[str, Any] = {seam: {"name": name} for seam, name in names.items()}
    (folder / "config.toml").write_text(tomli_w.dumps({**config, "seed": 7, "data": {"source": "x.json"}}))
    manifest = {"created": "2026-01-02T03:04:05+00:00", "components": config, "data": {"source": "x.json"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "metrics.jsonl").write_text(f'{{"kind": "step", "step": {steps}}}\n{{"kind": "st')
    if is_trained:
        (folder / "train.json").write_text(json.dumps({"steps": steps}))
        judge = None if mean is None else {"mean": mean}
        (folder / "summary.json").write_text(json.dumps({"after": {"exact_match": 0.25, "judge": judge}}))
    else:
        shutil.rmtree(folder / "model")
    return folder


def test_a_run_is_listed_with_all_that_tells_it_from_others(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "one")
    (run,) = runs_in(tmp_path / "runs")
    assert (run.model, run.prompt, run.collate, run.data, run.seed) == ("toy", "phi3", "prompt-weight", "x.json", 7)
    assert (run.steps, run.state, run.judge_mean, run.exact_match) == (12, "finished", 41.5, 0.25)
    assert run.created == "2026-01-02T03:04:05+00:00"
    assert run.freeable_bytes == 3000
    assert run.num_bytes > 4000


def test_runs_of_ablations_are_found_and_links_are_not_followed(tmp_path: Path) -> None:
    cell = make_run(tmp_path / "here/exp/runs/arm-a/seed-1")
    make_run(tmp_path / "elsewhere/two")
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere")
    assert [run.path for run in runs_in(tmp_path / "here")] == [str(cell)]


def test_states_are_told_apart(tmp_path: Path) -> None:
    make_run(tmp_path / "a-cut", is_trained=False, steps=5)
    make_run(tmp_path / "b-trained")
    (tmp_path / "b-trained/summary.json").unlink()
    make_run(tmp_path / "c-busy")
    with hold(tmp_path / "c-busy"):
        found = runs_in(tmp_path)
        assert [run.state for run in found] == ["interrupted", "trained", "in use"]
        with pytest.raises(ConfigError, match="in use by another process"):
            delete_run(tmp_path / "c-busy")
        with pytest.raises(ConfigError, match="in use by another process"):
            free_run(tmp_path / "c-busy")
    assert found[0].steps == 5


@pytest.mark.parametrize("name", ["manifest.json", "config.toml", "summary.json", "train.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[" * 100_000, b'{"after": 3, "steps": "x", "components": []}'])
def test_a_damaged_run_is_listed_all_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    make_run(tmp_path / "one")
    (tmp_path / "one" / name).write_bytes(content)
    assert len(runs_in(tmp_path)) == 1


def test_freeing_takes_the_checkpoints_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path / "one")
    assert free_run(run) == 3000
    assert not (run / "checkpoints").exists()
    assert (run / "model/module.safetensors").exists()
    assert free_run(run) == 0


def test_deleting_takes_the_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "one")
    make_run(tmp_path / "two")
    delete_run(run)
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


@pytest.mark.parametrize("change", [delete_run, free_run])
def test_what_is_no_run_or_a_link_is_left_alone(tmp_path: Path, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.txt").write_text("meow")
    with pytest.raises(ConfigError, match="photos is not a run: nothing in it was touched"):
        change(tmp_path / "photos")
    run = make_run(tmp_path / "one")
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(ConfigError, match="link is a link to"):
        change(tmp_path / "link")
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").symlink_to(tmp_path / "photos")
    with pytest.raises(ConfigError, match="is a link to"):
        change(run)
    assert (tmp_path / "photos/cat.txt").exists()
    assert (run / "model/module.safetensors").exists()


def test_the_working_directory_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "one")
    monkeypatch.chdir(run)
    with pytest.raises(ConfigError, match="not a folder that sftframe made for a run"):
        delete_run(run)
    assert (run / "config.toml").exists()
