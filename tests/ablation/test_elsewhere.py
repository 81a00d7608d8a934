"""Cells that a launcher runs: on Ray, as jobs of submitit, and where the ablation's folder cannot be seen.

Real processes; one Ray for all tests. Every wait has an end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from sftframe import CellEvent, CellOutcome, CellTask, Launch, Launcher, hookimpl, load_registry
from sftframe.ablation import Ablation, AblationObserver, Elsewhere, make_plan, read_request, run_and_conclude
from sftframe.ablation.elsewhere import Task, stage
from sftframe.cli.app import app
from sftframe.config import Layer, merge
from sftframe.errors import ConfigError, Interrupted
from sftframe.files.locks import hold
from sftframe.registry import Registry
from sftframe.runs import read_object

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")


class InOrder(Launcher):
    """One cell after the other, in this process."""

    name = "in-order"
    summary = "One cell after the other."

    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        for task in tasks:
            yield task.run(launch.tell, launch.is_stopped)


class FarAway(InOrder):
    """Cells that do not see the ablation's folder."""

    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        for task in tasks:
            assert isinstance(task, Task)
            outcome = replace(task, mark="0" * 32).run(launch.tell, launch.is_stopped)
            assert not task.job.path.exists()
            yield outcome


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What is installed: cells in other processes have nothing else."""
    return load_registry()


@pytest.fixture(scope="module")
def layer(data_file: Path) -> Layer:
    """Two masks, one seed, 60 steps of a tiny network."""
    pieces = {"model": "gpt2-nano", "prompt": "alpaca", "judge": "reference", "device": "cpu", "threads": 1}
    settings = {
        "data": {"source": str(data_file)},
        "before": False,
        "train": {"epochs": 12, "eval_every": 1000, "eval_examples": 2, "checkpoint_every": 10},
    }
    return {**pieces, **settings, "ablate": {"collate": ["mask-pad", "mask-instruction"], "seeds": 1}}


@pytest.fixture
def start(layer: Layer, registry: Registry, tmp_path: Path) -> Callable[..., Ablation]:
    """`start(train={"max_steps": 9})`: a new ablation, changed as told."""

    def make(plugins: Registry = registry, **changes: Any) -> Ablation:
        return Ablation.start(make_plan(read_request(merge(layer, changes)), plugins), plugins, tmp_path / "grid")

    return make


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """A Ray with two processors."""
    module = pytest.importorskip("ray")
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")
    module.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    module.shutdown()


class Disturber(AblationObserver):
    """Does something once, when the first cell has taken some steps of training."""

    def __init__(self, disturb: Callable[[], None]) -> None:
        self.events: list[CellEvent] = []
        self._disturb: Callable[[], None] | None = disturb
        self._num_steps = 0

    def happened(self, event: CellEvent) -> None:
        self.events.append(event)
        self._num_steps += event.kind == "advance" and "loss" in event.figures
        if self._num_steps > 3 and self._disturb:
            disturb, self._disturb = self._disturb, None
            disturb()


def table(ablation: Ablation, observer: Any, **how: Any) -> dict[str, Any]:
    """What the grid shows, without times."""
    finished = run_and_conclude(ablation, observer, **how)
    assert [cell.error for cell in finished.cells] == ["", ""]
    cells = [read_object(cell.path / "summary.json") for cell in finished.cells]
    assert finished.result is not None
    return {
        "cells": [cell.cell.name for cell in finished.cells],
        "verdicts": [(one.candidate, one.verdict) for one in finished.result.told],
        "losses": [summary["after"]["response_nll_per_byte"] for summary in cells],
    }


def check_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one == {**other, "losses": pytest.approx(other["losses"], rel=1e-4)}


@pytest.fixture(scope="module")
def table_here(layer: Layer, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The table of the same grid, run in this process."""
    plan = make_plan(read_request(layer), registry)
    return table(Ablation.start(plan, registry, tmp_path_factory.mktemp("here") / "grid"), AblationObserver())


def test_the_table_is_the_same_in_processes(start: Any, seen: Any, table_here: dict[str, Any]) -> None:
    check_same(table(start(), seen, jobs=2), table_here)


def test_the_table_is_the_same_where_the_folder_is_not_shared(
    start: Any, seen: Any, table_here: dict[str, Any]
) -> None:
    check_same(table(start(), seen, elsewhere=Elsewhere(launcher=FarAway())), table_here)


def processes(words: str) -> list[psutil.Process]:
    """Those that this process has started, with these words in their command."""
    below = psutil.Process().children(recursive=True)
    return [process for process in below if words in " ".join(process.cmdline())]


def started_again(observer: Disturber) -> bool:
    """Whether one of two cells was started twice, and both were done once."""
    started = sorted(event.number for event in observer.events if event.kind == "started")
    done = sorted(event.number for event in observer.events if event.kind == "done")
    return started in ([0, 0, 1], [0, 1, 1]) and done == [0, 1]


def test_the_table_is_the_same_on_ray_also_when_a_process_is_killed(
    ray: None, start: Any, registry: Registry, table_here: dict[str, Any]
) -> None:
    observer = Disturber(lambda: processes("ray::sftframe")[0].kill())
    check_same(table(start(), observer, elsewhere=Elsewhere(launcher=registry.launcher("ray"))), table_here)
    assert started_again(observer)


def test_the_table_is_the_same_as_jobs_of_slurm_also_when_one_loses_its_machine(
    start: Any, registry: Registry, table_here: dict[str, Any]
) -> None:
    pytest.importorskip("submitit")
    observer = Disturber(lambda: processes("submitit.core._submit")[0].send_signal(signal.SIGUSR2))
    launcher = registry.launcher("slurm", {"cluster": "local"})
    check_same(table(start(), observer, elsewhere=Elsewhere(launcher=launcher)), table_here)
    assert started_again(observer)


@pytest.mark.parametrize(("name", "options"), [("ray", {}), ("slurm", {"cluster": "local"})])
def test_a_stop_saves_the_cells_and_the_ablation_goes_on_in_this_process(
    ray: None, start: Any, registry: Registry, name: str, options: dict[str, Any]
) -> None:
    pytest.importorskip("submitit")
    ablation = start(train={"epochs": 800, "eval_every": 1_000_000, "checkpoint_every": 100_000})
    observer = Disturber(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="0 of 2 cells complete"):
        ablation.run(observer, elsewhere=Elsewhere(launcher=registry.launcher(name, options)))
    number = next(event.number for event in observer.events if event.kind == "advance")
    saved = ablation.state()[number].path
    assert list((saved / "checkpoints").glob("step-*"))


class Local:
    """A plugin that no other process has."""

    @hookimpl
    def sftframe_prompt_styles(self) -> list[type[Any]]:
        from sftframe import PromptStyle, Segment

        class Plain(PromptStyle):
            name = "plain"
            summary = "The instruction and the answer."

            def segments(self, example: Any) -> Iterator[Segment]:
                from sftframe import Role

                yield Segment(text=example.instruction, role=Role.INSTRUCTION)
                yield Segment(text=example.output, role=Role.RESPONSE)

        return [Plain]


def test_a_plugin_that_is_missing_where_a_cell_runs_is_named(start: Any, seen: Any, registry: Registry) -> None:
    ablation = start(registry.with_plugin(Local(), "sftframe-far:plain"), prompt="plain")
    first, _ = ablation.run(seen, elsewhere=Elsewhere(launcher=InOrder()))
    assert "does not have the prompt style 'plain' from sftframe-far:plain: install the plugin there" in first.error
    assert seen.of("failed") == [0, 1]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """A registry with the plugin `sftframe-short`, which only this process finds."""
    place = tmp_path / "only-here"
    facts = place / "sftframe_short-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Name: sftframe-short\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[sftframe]\nshort = sftframe_short\n")
    (place / "sftframe_short.py").write_text(SHORT)
    monkeypatch.syspath_prepend(place)
    return load_registry()


def test_a_plugin_that_was_sent_is_found_as_if_it_were_installed(short: Registry, tmp_path: Path) -> None:
    (plugin,) = [one for one in short.plugins if one.distribution == "sftframe-short"]
    folders = stage([plugin], tmp_path / "staged")
    code = "from sftframe.registry import Seam, load_registry as l; print(l().provider(Seam.PROMPT, 'short').label)"
    path = os.pathsep.join(str(folder.parent) for folder in folders)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout == "sftframe-short:short 1.0\n"


SHORT = """
from sftframe import PromptStyle, Role, Segment, hookimpl


class Short(PromptStyle):
    name = "short"
    summary = "The instruction and the answer."

    def segments(self, example):
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.RESPONSE, example.output)


@hookimpl
def sftframe_prompt_styles():
    return [Short]
"""


def test_what_a_launcher_cannot_do_is_said(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="--ship: launcher in-order cannot send plugins"):
        Elsewhere(launcher=InOrder(), ships=True)
    with pytest.raises(ConfigError, match="1 CPU or more"):
        Elsewhere(launcher=InOrder(), cpus=0)
    with pytest.raises(ConfigError, match="cluster=moon: expected slurm or local"):
        registry.launcher("slurm", {"cluster": "moon"}).check()


def test_an_address_follows_the_name(registry: Registry) -> None:
    assert registry.launcher("ray://host:10001").options.address == "//host:10001"
    assert registry.launcher("slurm:gpu").options.partition == "gpu"


def test_a_second_ablation_on_the_same_folder_is_refused(start: Any, seen: Any) -> None:
    ablation = start()
    with hold(ablation.folder.path), pytest.raises(ConfigError, match="is in use by process"):
        ablation.run(seen, elsewhere=Elsewhere(launcher=InOrder()))
    assert seen.events == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ship",), "--ship is about a launcher: give --on too"),
        (("--cpus-per-cell", "2"), "--cpus-per-cell is about a launcher: give --on too"),
        (("--on", "ray", "--jobs", "2"), "--jobs is for processes of this machine"),
        (("--on", "raay"), "no launcher 'raay'; did you mean 'ray'?"),
        (("--on", "slurm", "--on-set", "moon=1"), "moon"),
    ],
)
def test_flags_that_do_not_fit_are_refused_before_anything_runs(
    flags: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["ablate", "--collate", "mask-pad,mask-instruction", *flags])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_without_files_cannot_be_sent(registry: Registry, tmp_path: Path) -> None:
    (local,) = [one for one in registry.with_plugin(Local(), "mine").plugins if one.id == "mine"]
    with pytest.raises(ConfigError, match="plugin mine has no files to send"):
        stage([local], tmp_path / "staged")


def test_ray_sends_plugins(start: Any, seen: Any, short: Registry) -> None:
    """Last, because this Ray is its own: plugins are sent when a process connects."""
    pytest.importorskip("ray").shutdown()
    elsewhere = Elsewhere(launcher=short.launcher("ray"), ships=True)
    assert [one.error for one in start(short, prompt="short").run(seen, elsewhere=elsewhere)] == ["", ""]
