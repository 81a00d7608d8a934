"""A run whose config.toml was edited is not resumed or compared as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from sftframe.config import read_toml
from sftframe.errors import ConfigError, DataError
from sftframe.pipeline import Session
from sftframe.progress import Observer
from sftframe.runs import RunStore, check_settings, load_run

pytestmark = pytest.mark.usefixtures("plain_drawings")


class Killed(BaseException):
    """The process ends here."""


class Stop(Observer):
    """Stops the run at its fourth step."""

    steps = 0

    def advance(self, amount: int = 1, **figures: float) -> None:
        self.steps += "loss" in figures
        if self.steps == 4:
            raise Killed


def stop_a_run(data_file: Path, folder: Path, toys: Any) -> Path:
    """Stop a run after step 4, with a checkpoint of step 2."""
    pieces = {"model": "toy", "prompt": "brief", "judge": "toy-judge", "before": False}
    train = {"max_steps": 8, "checkpoint_every": 2, "eval_every": 3, "lr": 0.01}
    layer = {**pieces, "train": train, "data": {"source": str(data_file)}, "threads": 1, "out": str(folder)}
    with pytest.raises(Killed):
        Session.start(layer, toys.registry, Stop()).run_all()
    return folder


@pytest.fixture(scope="module")
def stopped_once(make_toys: Any, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stop_a_run(data_file, tmp_path_factory.mktemp("stopped") / "run", make_toys())


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """A copy of a run that was stopped after step 4, with a checkpoint of step 2."""
    return Path(shutil.copytree(stopped_once, tmp_path / "run"))


def edit(run: Path, section: str, **values: Any) -> None:
    path = run / "config.toml"
    document = read_toml(path)
    part = {**document.get(section, {}), **values}
    path.write_text(tomli_w.dumps({**document, section: part}), encoding="utf-8")


@pytest.mark.parametrize(
    ("section", "key", "value", "was"),
    [
        ("train", "lr", 0.5, "0.01"),
        ("train", "batch_size", 2, "4"),
        ("train", "weight_decay", 0.0, "0.1"),
        ("train", "schedule", "cosine", "'constant'"),
        ("train", "shuffle", False, "True"),
        ("train", "epochs", 5.0, "1.0"),
        ("train", "max_steps", 6, "8"),
        ("train", "clip_norm", 1.0, "not set"),
        ("model", "dropout", 0.5, "0.0"),
        ("data", "limit", 30, "not set"),
        ("tokens", "max_length", 100, "not set"),
    ],
)
def test_a_changed_setting_is_named(toys: Any, stopped: Path, section: str, key: str, value: Any, was: str) -> None:
    edit(stopped, section, **{key: value})
    with pytest.raises(ConfigError, match=rf"{section}\.{key} is .* and was {was}"):
        Session.resume(stopped, toys.registry, Observer())


def test_a_changed_seed_is_named(toys: Any, stopped: Path) -> None:
    path = stopped / "config.toml"
    path.write_text(tomli_w.dumps({**read_toml(path), "seed": 7}))
    with pytest.raises(ConfigError, match=r"seed is 7 and was 123.*--accept-changes"):
        Session.resume(stopped, toys.registry, Observer())


@pytest.mark.parametrize("key", ["keep_checkpoints", "checkpoint_every", "log_every"])
def test_what_changes_nothing_that_is_trained_may_change(toys: Any, stopped: Path, key: str) -> None:
    edit(stopped, "train", **{key: 3})
    Session.resume(stopped, toys.registry, Observer())


def test_an_accepted_change_goes_on_where_the_run_was_and_is_written_down(toys: Any, stopped: Path, heard: Any) -> None:
    edit(stopped, "train", lr=0.5, eval_every=2, max_steps=10)
    Session.resume(stopped, toys.registry, heard, accepts_changes=True).run_all()
    steps = [json.loads(line) for line in (stopped / "metrics.jsonl").read_text().splitlines()]
    rates = {line["step"]: line["lr"] for line in steps if line["kind"] == "step"}
    (entry,) = json.loads((stopped / "manifest.json").read_text())["changes"]
    behind = entry["behind_step"]
    assert behind > 0
    assert [rates[step] for step in (behind, behind + 1)] == [0.01, 0.5]
    assert list(rates) == list(range(1, 10))  # an epoch has nine
    assert entry["settings"]["train.lr"] == {"was": 0.01, "is": 0.5}
    assert any("train.lr 0.01 → 0.5" in text for text in heard.warnings)
    Session.resume(stopped, toys.registry, Observer()).run_all()


def test_what_a_run_keeps_cannot_be_accepted(toys: Any, stopped: Path) -> None:
    edit(stopped, "data", limit=30)
    with pytest.raises(ConfigError, match=r"data\.limit is 30 and was not set: a run keeps it"):
        Session.resume(stopped, toys.registry, Observer(), accepts_changes=True)


def test_more_steps_of_a_finished_run_are_not_passed_over_in_silence(toys: Any, stopped: Path) -> None:
    Session.resume(stopped, toys.registry, Observer()).run_all()
    edit(stopped, "train", max_steps=100)
    for accepts_changes in (False, True):
        with pytest.raises(ConfigError, match=r"max_steps is 100 and was 8.*in a new run"):
            Session.resume(stopped, toys.registry, Observer(), accepts_changes=accepts_changes)


def test_a_run_of_an_older_version_is_gone_on_with(toys: Any, stopped: Path) -> None:
    path = stopped / "manifest.json"
    document = json.loads(path.read_text())
    del document["settings"]
    path.write_text(json.dumps(document))
    Session.resume(stopped, toys.registry, Observer()).run_all()


def test_moved_data_are_named_by_their_new_place(toys: Any, data_file: Path, tmp_path: Path) -> None:
    old = Path(shutil.copy(data_file, tmp_path / "own.json"))
    stopped = stop_a_run(old, tmp_path / "run", toys)
    new = tmp_path / "elsewhere" / "moved.json"
    new.parent.mkdir()
    old.rename(new)
    with pytest.raises(DataError, match=r"--set data\.source=FILE"):
        Session.resume(stopped, toys.registry, Observer())
    Session.resume(stopped, toys.registry, Observer(), layer={"data": {"source": str(new)}}).run_all()
    assert read_toml(stopped / "config.toml")["data"]["source"] == str(new)
    Session.reopen(stopped, toys.registry, Observer()).report()
    new.write_text(new.read_text().replace("After 3?", "After 33?"))
    with pytest.raises(ConfigError, match="have changed since"):
        Session.reopen(stopped, toys.registry, Observer(), layer={"data": {"source": str(new)}})


def test_a_finished_run_whose_settings_were_edited_is_not_compared(finished: Path) -> None:
    assert load_run(finished).settings["train.lr"] == 0.003
    edit(finished, "train", lr=0.5)
    with pytest.raises(ConfigError, match=r"train\.lr is 0\.5 and was 0\.003"):
        load_run(finished)


@pytest.mark.parametrize(("value", "is_change"), [(0.1, False), (0.2, True)], ids=["its default", "another value"])
def test_a_setting_that_an_older_version_did_not_know_is_a_change_only_with_another_value_than_its_default(
    stopped: Path, value: float, is_change: bool
) -> None:
    # as after `sftframe judge` of the newer version, which writes every setting
    manifest = json.loads((stopped / "manifest.json").read_text(encoding="utf-8"))
    del manifest["settings"]["train.weight_decay"]
    (stopped / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    edit(stopped, "train", weight_decay=value)
    if is_change:
        with pytest.raises(ConfigError, match=r"train\.weight_decay is 0\.2 and was not set"):
            check_settings(RunStore.open(stopped), is_trained=False)
    else:
        check_settings(RunStore.open(stopped), is_trained=False)
