"""Checks the contract of launchers, with cells that do next to nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sftframe.plugins import CellEvent, CellOutcome, CellTask, Launch, Launcher
from sftframe.testing.contract import Check, require, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(CellTask):
    """A cell that tells two events and ends, or fails."""

    number: int
    name: str
    error: str = ""

    def run(self, tell: Callable[[CellEvent], None], is_stopped: Callable[[], bool]) -> CellOutcome:
        """Do nothing, as the fields say."""
        tell(CellEvent(number=self.number, kind="started"))
        if is_stopped():
            return CellOutcome(number=self.number, is_stopped=True)
        tell(CellEvent(number=self.number, kind="failed" if self.error else "done", text=self.error))
        return CellOutcome(number=self.number, error=self.error)


PROBES = (
    Probe(number=4, name="runs/one/seed-1"),
    Probe(number=7, name="runs/two/seed-1", error="this cell fails on purpose"),
    Probe(number=9, name="runs/three/seed-1"),
)


def check_launcher(launcher: Launcher) -> None:
    """Check that a launcher runs every cell once, brings back what happened, and ends when it is asked to.

    Raises:
        ContractError: every promise that is broken.
    """
    verify(launcher, CHECKS, launcher)


def runs_every_cell_once(launcher: Launcher) -> None:
    """Every cell is run once, its outcome and its events come back, and a cell that fails ends no other."""
    events, outcomes = _launched(launcher, is_stopped=False)
    numbers = sorted(outcome.number for outcome in outcomes)
    require(numbers == [4, 7, 9], f"of the cells 4, 7 and 9 it gave outcomes of {numbers}; expected each once")
    for outcome in outcomes:
        wanted = next(probe.error for probe in PROBES if probe.number == outcome.number)
        require(
            outcome.error == wanted,
            f"the outcome of cell {outcome.number} has the error {outcome.error!r}; the cell gave {wanted!r}",
        )
    for probe in PROBES:
        kinds = [event.kind for event in events if event.number == probe.number]
        last = "failed" if probe.error else "done"
        require(
            kinds == ["started", last],
            f"of cell {probe.number} it told {kinds}; expected ['started', '{last}'], each before the outcome",
        )


def ends_when_it_is_stopped(launcher: Launcher) -> None:
    """After a stop no cell is done any more, and the launcher ends."""
    events, _ = _launched(launcher, is_stopped=True)
    done = [event.number for event in events if event.kind == "done"]
    require(not done, f"is_stopped() was true from the start, and the cells {done} were run to their end")


def _launched(launcher: Launcher, *, is_stopped: bool) -> tuple[list[CellEvent], Sequence[CellOutcome]]:
    events: list[CellEvent] = []
    with tempfile.TemporaryDirectory() as folder:
        launch = Launch(tell=events.append, is_stopped=lambda: is_stopped, folder=Path(folder))
        return events, list(launcher.launch(PROBES, launch))


CHECKS: Sequence[Check[Launcher]] = (runs_every_cell_once, ends_when_it_is_stopped)
