"""What an ablation tells while its cells run: events, made in whatever process runs a cell, and an observer of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sftframe.ablation.grid import Cell
from sftframe.progress import Observer

EventKind = Literal["started", "begin", "advance", "end", "note", "warn", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEvent:
    """Something happened in a cell. Can be pickled."""

    number: int
    """Which cell of the grid, counted from 0 in its order."""
    kind: EventKind
    text: str = ""
    """The stage that begins, the note or warning, or why the cell failed."""
    total: int | None = None
    """Units of work in the stage that begins."""
    amount: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    summary: Mapping[str, Any] | None = None
    """Of a cell that is done: its run's `summary.json`."""
    seconds: float = 0.0
    """Of a cell that is done or failed: what it took this time; 0 where nothing was left to do."""


class AblationObserver:
    """Told of every cell; every method may be overridden, none has to be."""

    def planned(self, cells: Sequence[Cell]) -> None:
        """The cells, in the order in which they start."""

    def happened(self, event: CellEvent) -> None:
        """Something happened in a cell."""

    def note(self, text: str) -> None:
        """Something worth knowing of the ablation as a whole, one line."""

    def warn(self, text: str) -> None:
        """Something worth worrying about, one line."""


class CellObserver(Observer):
    """A run's observer that tells of the run as of a cell."""

    def __init__(self, number: int, tell: Callable[[CellEvent], None]) -> None:
        self._number = number
        self._tell = tell

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        self._tell(CellEvent(number=self._number, kind="begin", text=stage, total=total))

    def advance(self, amount: int = 1, **figures: float) -> None:
        self._tell(CellEvent(number=self._number, kind="advance", amount=amount, figures=figures))

    def end(self) -> None:
        self._tell(CellEvent(number=self._number, kind="end"))

    def note(self, text: str) -> None:
        self._tell(CellEvent(number=self._number, kind="note", text=text))

    def warn(self, text: str) -> None:
        self._tell(CellEvent(number=self._number, kind="warn", text=text))
