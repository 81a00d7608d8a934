"""A resume from whatever state a run's folder is in."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock  # noqa: F401  imported on use, which nobody may do
import pytest

from sftframe.errors import ConfigError
from sftframe.runs import RunStore

STAGES = ("mend", "measure_before", "train", "answer", "judge")


REPORT = ("loss.png", "report.html", "summary.json", "items.jsonl")


@pytest.fixture(scope="module")
def killed_once(launch: Callable, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed behind its sixth step; checkpoints of steps 4 and 6, the best weights those of step 6."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    operations = launch(folder.with_name("counted"), config=settings, stages=STAGES).operations
    saved = operations.index("rename step-6")
    assert launch(folder, config=settings, stages=STAGES, kill_at=saved + 2).status == -signal.SIGKILL
    assert {path.name for path in (folder / "checkpoints").iterdir()} >= {"step-4", "step-6", "best-3", "best-6"}
    return folder


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """A copy of the killed run."""
    return Path(shutil.copytree(killed_once, tmp_path / "run"))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove_first_line(path: Path) -> None:
    path.write_bytes(path.read_bytes().partition(b"\n")[2])


def spoil_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'{"kind"', b"{kind", 3))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("metrics.jsonl", Path.unlink),
        ("metrics.jsonl", cut_in_half),
        ("metrics.jsonl", remove_first_line),
        ("metrics.jsonl", spoil_a_line),
        ("responses-before.jsonl", cut_in_half),
        ("verdicts-before.jsonl", Path.unlink),
        ("likelihoods-before.jsonl", Path.unlink),
        ("checkpoints/step-6/optimizer.safetensors", cut_in_half),
        ("checkpoints/step-6/hashes.json", Path.unlink),
        ("checkpoints/best-6/module.safetensors", cut_in_half),
        ("checkpoints/best-3/module.safetensors", cut_in_half),
    ],
)
def test_a_file_that_is_damaged_or_missing_costs_time_and_nothing_else(
    name: str, damage: Callable, killed: Path, straight: Any, launch: Callable, left_behind: Callable
) -> None:
    damage(killed / name)
    resumed = launch(killed, resume=True, stages=STAGES)  # the report is made of the files that are compared
    assert resumed.status == 0, resumed.message
    assert left_behind(killed) == left_behind(straight[0], but=REPORT)


def test_without_any_checkpoint_training_starts_anew(
    killed: Path, straight: Any, launch: Callable, left_behind: Callable
) -> None:
    for path in (killed / "checkpoints").glob("*-*/*"):
        path.unlink()
    assert launch(killed, resume=True).status == 0
    assert left_behind(killed) == left_behind(straight[0])


def test_a_folder_that_was_made_by_half_is_begun_by_resume_and_by_the_same_command_again(
    straight: Any, settings: dict[str, Any], launch: Callable, left_behind: Callable, tmp_path: Path
) -> None:
    folder, ended = straight
    for name, moment in (("config", "rename config.toml"), ("mark", "rename .sftframe")):
        for is_resumed in (True, False):
            run = tmp_path / f"{name}-{is_resumed}"
            launch(run, config=settings, kill_at=ended.operations.index(moment) + 2)
            result = launch(run, resume=is_resumed, config=settings, stages=STAGES)
            if name == "mark" and is_resumed:
                assert (result.status, "its process was killed before it wrote them" in result.message) == (
                    2,
                    True,
                )
            else:
                assert result.status == 0, result.message
                wanted = left_behind(folder)
                assert all(content == wanted[name] for name, content in left_behind(run).items())


def test_a_finished_run_is_finished_again_in_a_moment(
    straight: Any, launch: Callable, left_behind: Callable, tmp_path: Path
) -> None:
    shutil.copytree(straight[0], tmp_path / "run")
    again = launch(tmp_path / "run", resume=True)
    assert again.status == 0
    assert not any(operation.startswith("fill") for operation in again.operations), "nothing is trained or saved again"
    assert left_behind(tmp_path / "run") == left_behind(straight[0])


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written_is_refused_with_the_reason(killed: Path, tmp_path: Path) -> None:
    for place in (killed, *killed.parents[:2]):
        place.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match=rf"run: {os.strerror(errno.EACCES)}"), RunStore(killed).lock():
            pytest.fail("it was locked")
    finally:
        os.seteuid(0)
