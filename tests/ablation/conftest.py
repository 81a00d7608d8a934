"""Small ablations with the toy pieces."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sftframe.ablation import AblationObserver, Cell, CellEvent, Plan, make_plan, read_request
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
