"""The base class of launchers, which run the cells of an ablation somewhere, and what they get and give back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from sftframe.plugins.interfaces import Component

EventKind = Literal["started", "begin", "advance", "end", "note", "warn", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEvent:
    """Something happened in a cell. Can be pickled, and written as JSON."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOutcome:
    """The result of a cell. Can be pickled."""

    number: int
    """The cell's position in the grid, counted from 0."""
    error: str = ""
    """One line; empty where the run is complete."""
    is_stopped: bool = False
    """The cell was asked to stop, and has saved what it had."""
    packed: bytes = b""
    """The run's folder as a tar archive, where the cell ran in a folder that the starting process cannot see."""


class CellTask(ABC):
    """One cell, to be run anywhere. Can be pickled; sftframe must be installed where it is run."""

    number: int
    """The cell's position in the grid, counted from 0."""
    name: str
    """Its folder in the ablation, such as `runs/mask-pad/seed-1`."""

    @abstractmethod
    def run(self, tell: Callable[[CellEvent], None], is_stopped: Callable[[], bool]) -> CellOutcome:
        """Run the cell in this process. A cell that was begun before goes on where its folder is; a cell that is done
        returns at once. Never raises for what goes wrong in the cell.

        Args:
            tell: called for everything that happens in the cell.
            is_stopped: asked twice a second, in a thread of its own; if it is true or raises, the cell saves and ends.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a launcher is told about one call."""

    tell: Callable[[CellEvent], None]
    """Takes the events of all cells, in the order in which they happened in each."""
    is_stopped: Callable[[], bool]
    """Whether the user has asked for a stop; to be asked a few times a second."""
    folder: Path
    """A folder for the launcher's own files, in the ablation's."""
    cpus: int = 1
    """Processors for each cell."""
    gpus: float = 0
    """GPUs for each cell; a fraction shares one."""
    shipped: tuple[Path, ...] = ()
    """Folders that the processes with the cells must be able to import from; only where `can_ship` is true. Each
    folder's parent is to be on their `sys.path`."""


class Launcher(Component):
    """Runs the cells of an ablation somewhere: on a cluster, in a queue, on rented machines.

    >>> class InOrder(Launcher):
    ...     name, summary = "in-order", "One cell after the other, in this process."
    ...
    ...     def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
    ...         for task in tasks:
    ...             if launch.is_stopped():
    ...                 return
    ...             yield task.run(launch.tell, launch.is_stopped)
    """

    can_ship: ClassVar[bool] = False
    """Whether it can send plugins to the machines that run the cells, see `Launch.shipped`."""

    @abstractmethod
    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        """Run every task once, and yield the outcomes as they come.

        When the user asks for a stop, it starts no more tasks, lets those at work save (their own `is_stopped` must
        become true), yields their outcomes and ends. No task is at work any more when it ends.

        Raises:
            ConfigError: what it needs is not there, or the cells ask for more than there is.
        """

    def check(self) -> None:
        """Check that it can work, before any cell is started: packages, programs, the address of a cluster.

        Raises:
            ConfigError: it cannot; the message says what to do.
        """
