"""The progress of an ablation: events from the processes that run cells, and an observer that gets them."""

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
    """The cell's position in the grid, counted from 0."""
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
    """Of a cell that is done or failed: seconds that it took this time; 0 if nothing was left to do."""


class AblationObserver:
    """Gets the events of all cells; every method may be overridden, none has to be."""

    def planned(self, cells: Sequence[Cell]) -> None:
        """The cells, in the order in which they start."""

    def happened(self, event: CellEvent) -> None:
        """Something happened in a cell."""

    def note(self, text: str) -> None:
        """Useful information about the whole ablation, one line."""

    def warn(self, text: str) -> None:
        """A warning, one line."""


class CellObserver(Observer):
    """A run's observer that passes on its events as those of a cell."""

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
