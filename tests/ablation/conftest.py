"""Small ablations with the toy pieces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import (
    Ablation,
    AblationObserver,
    Cell,
    CellEvent,
    CellResult,
    Plan,
    make_plan,
    read_request,
)
from sftframe.config import Layer, merge


@dataclass(slots=True)
class Seen(AblationObserver):
    """An observer that remembers."""

    cells: list[str] = field(default_factory=list)
    events: list[CellEvent] = field(default_factory=list)

    def planned(self, cells: Sequence[Cell]) -> None:
        self.cells = [cell.name for cell in cells]

    def happened(self, event: CellEvent) -> None:
        self.events.append(event)

    def of(self, kind: str) -> list[int]:
        """Numbers of the cells to which something of this kind happened, in order."""
        return [event.number for event in self.events if event.kind == kind]


@pytest.fixture
def seen() -> Seen:
    """An observer that remembers."""
    return Seen()


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty questions: 34 train, 4 test, 2 validation."""
    path = tmp_path_factory.mktemp("data") / "numbers.json"
    entries = [{"instruction": f"After {n}?", "input": "", "output": f"It is {n + 1}."} for n in range(40)]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def toy_layer(data_file: Path) -> Layer:
    """Two masks, two seeds, toy pieces, three steps a run."""
    pieces = {"model": "toy", "prompt": "brief", "judge": "toy-judge"}
    settings = {"data": {"source": str(data_file)}, "threads": 1, "device": "cpu", "train": {"max_steps": 3}}
    return {**pieces, **settings, "ablate": {"collate": ["mask-pad", "mask-instruction"], "seeds": 2}}


@pytest.fixture
def plan(toy_layer: Layer, toys: Any) -> Callable[..., Plan]:
    """`plan(ablate={"seeds": 1}, …)`: a plan of the toy ablation, changed as told."""

    def make(**changes: Any) -> Plan:
        return make_plan(read_request(merge(toy_layer, changes)), toys.registry)

    return make


@pytest.fixture(scope="session")
def finished_once(
    toy_layer: Layer,
    make_toys: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
    drawing_nothing: Callable[..., Any],
) -> Callable[..., Path]:
    """`finished_once(ablate={"seeds": 1})`: a toy ablation whose cells are run, once for all tests; not to be changed.

    The cells' reports have no charts.
    """
    folders: dict[str, Path] = {}
    registry = make_toys().registry

    def go(**changes: Any) -> Path:
        key = json.dumps(changes, sort_keys=True)
        if key not in folders:
            plan = make_plan(read_request(merge(toy_layer, changes)), registry)
            ablation = Ablation.start(plan, registry, tmp_path_factory.mktemp("finished") / "grid")
            with drawing_nothing():
                ablation.run(AblationObserver())
            folders[key] = ablation.folder.path
        return folders[key]

    return go


@pytest.fixture
def ran(
    finished_once: Callable[..., Path], toys: Any, tmp_path: Path
) -> Callable[..., tuple[Ablation, list[CellResult]]]:
    """`ran(ablate={"seeds": 1})`: an ablation whose cells are run, and their states; a copy of this test's own."""

    def go(**changes: Any) -> tuple[Ablation, list[CellResult]]:
        folder = Path(shutil.copytree(finished_once(**changes), tmp_path / "grid"))
        ablation = Ablation.reopen(folder, toys.registry)
        return ablation, ablation.state()

    return go
