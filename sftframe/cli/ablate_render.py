"""Prints an ablation: its progress on stderr, the comparison on stdout.

A terminal shows one live table of all cells. A pipe gets one line for each cell that ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sftframe.ablation import Ablation, AblationObserver, Cell, CellEvent, CellResult, Cost, Plan
from sftframe.analysis import ComparisonResult
from sftframe.cli import console
from sftframe.cli.comparison_render import show_comparison_result
from sftframe.cli.render import note, warn
from sftframe.cli.streams import write_json
from sftframe.files import plain
from sftframe.formatting import duration
from sftframe.report import comparison_document

_SYMBOL = {"waiting": "·", "done": "✓", "failed": "✗"}
_FEW_STEPS = 4
"""Steps of a cell that are enough to estimate its speed."""
_SHOWN = (("judge", "judge", 1, 1), ("exact_match", "exact %", 100, 1), ("response_nll_per_byte", "NLL/byte", 1, 4))


def show_plan(plan: Plan, detectable: str | None) -> None:
    """Print the grid that will run."""
    grid = plan.grid
    fewest, most = plan.num_seeds
    axes = ", ".join(f"{axis.label} ({len(axis.values)})" for axis in grid.axes)
    note(
        f"{len(grid.arms)} arms by {_from_to(fewest, most)} seed{'s' * (most != 1)} = "
        f"{_from_to(len(grid.arms) * fewest, len(grid.arms) * most)} runs; varied: {axes}; verdict on "
        f"{plan.config.yardstick}"
    )
    if plan.config.until_decided:
        looks = ", ".join(map(str, plan.config.planned_looks))
        note(f"seeds are added until every comparison is decided; looks at {looks} seeds")
    if plan.tried:
        num_tried = sum(map(len, plan.tried.values()))
        note(
            f"before that every arm chooses among its settings: {num_tried} in all, {len(plan.tune_seeds)} "
            f"run{'s' * (len(plan.tune_seeds) != 1)} of each"
        )
    for line in grid.notes:
        note(line)
    if len(grid.seeds) == 1:
        warn("one seed: the verdict covers other items, but not other runs; --seeds 3 or more covers both")
    if detectable is not None:
        note(detectable)


def show_cost(found: Cost, *, as_json: bool) -> None:
    """Print what a plan costs."""
    if as_json:
        write_json(plain(found))
        return
    fewest, most = found.num_runs
    tuning = f"{found.num_tuning_runs:,} runs for tuning, then " if found.num_tuning_runs else ""
    seconds = [duration(one) for one in found.training_s]
    time_text = seconds[0] if fewest == most else f"{seconds[0]} to {seconds[1]}"
    console.prose(
        console.out(),
        Text(
            f"Nothing was run. To run: {tuning}{_from_to(fewest, most)} runs, about {time_text} of training, judging "
            "by the first steps of the first arm; answers and verdicts take extra time."
        ),
    )


def _from_to(fewest: int, most: int) -> str:
    return f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"


class GridObserver(AblationObserver):
    """Shows the progress of the grid. Used as a context manager around an ablation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._has_told_estimate = False
        self._console = console.err()
        self._is_quiet = console.talk.get() is console.Talk.QUIET
        self._cells: tuple[Cell, ...] = ()
        self._states: list[_CellState] = []
        self._warned: set[str] = set()
        self._live = Live(self, console=self._console, refresh_per_second=4, transient=False, auto_refresh=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __rich__(self) -> RenderableType:
        return Group(self._grid(), *self._now(), Text(self._pace(), style="dim"))

    def planned(self, cells: Sequence[Cell]) -> None:
        self._cells = tuple(cells)
        self._states = [_CellState(self._clock) for _ in cells]
        if self._console.is_terminal and not self._is_quiet:
            self._live.start()

    def happened(self, event: CellEvent) -> None:
        state = self._states[event.number]
        state.update(event)
        cell = self._cells[event.number]
        is_told_by_lines = not self._console.is_terminal and not self._is_quiet
        if event.kind == "advance" and is_told_by_lines and not self._has_told_estimate:
            self._has_told_estimate = bool(estimate := self._first_estimate())
            if estimate:
                self._say(Text(estimate))
        if event.kind == "warn" and event.text not in self._warned:
            self._warned.add(event.text)  # all cells share the data, so each gives the same warning
            self._say(Text(f"{cell.name}: {event.text}", style="yellow"))
        if event.kind == "failed":
            self._say(Text(f"{cell.name} failed: {event.text}", style="red"))
        if event.kind == "done" and event.seconds and is_told_by_lines:
            number = sum(state.status == "done" for state in self._states)
            parts = (state.figures(), f"{event.seconds:.1f} s", self._pace())
            told = ", ".join(part for part in parts if part)
            self._say(Text(f"[{number}/{len(self._cells)}] {cell.name}: {told}"))

    def note(self, text: str) -> None:
        if not self._is_quiet:
            self._say(Text(text))

    def warn(self, text: str) -> None:
        self._say(Text(f"warning: {text}", style="yellow"))

    def _say(self, text: Text) -> None:
        console.prose(self._console, text)

    def _grid(self) -> Table:
        arms = list(dict.fromkeys(cell.arm.name for cell in self._cells))
        seeds = list(dict.fromkeys(cell.seed for cell in self._cells))
        table = Table(box=None, pad_edge=False)
        table.add_column("arm", overflow="fold")
        for seed in seeds:
            table.add_column(str(seed), justify="right", no_wrap=True)
        for _, label, _, _ in _SHOWN:
            table.add_column(label, justify="right", no_wrap=True, style="cyan")
        by_place = {(cell.arm.name, cell.seed): state for cell, state in zip(self._cells, self._states, strict=True)}
        for arm in arms:
            states = [by_place[arm, seed] for seed in seeds]
            table.add_row(Text(arm), *(state.text() for state in states), *_means(states))
        return table

    def _now(self) -> list[Text]:
        """What the running cells do now."""
        pairs = zip(self._cells, self._states, strict=True)
        return [Text(f"{cell.name}: {state.stage_text()}") for cell, state in pairs if state.status == "running"]

    def _pace(self) -> str:
        """Time left, from the cells that ended in this process, or from the steps so far if none has."""
        spent = [state.seconds for state in self._states if state.status == "done" and state.seconds > 1]
        num_left = sum(state.status in ("waiting", "running") for state in self._states)
        if not num_left:
            return ""
        if not spent:
            return self._first_estimate()
        num_running = max(1, sum(state.status == "running" for state in self._states))
        partly = sum(state.share for state in self._states if state.status == "running")
        return f"about {duration(sum(spent) / len(spent) * (num_left - partly) / num_running)} left"

    def _first_estimate(self) -> str:
        """Training time left, from the speed of the first steps; empty before them and after a cell has ended."""
        if any(state.status == "done" and state.seconds for state in self._states):
            return ""
        training = [state for state in self._states if state.steps_timed >= _FEW_STEPS]
        if not training:
            return ""
        num_timed = sum(state.steps_timed for state in training)
        step_s = sum(state.train_s for state in training) / num_timed
        known = [state.num_steps for state in training]
        is_left = ("waiting", "running")
        totals = [state.num_steps or sum(known) / len(known) for state in self._states if state.status in is_left]
        left = sum(totals) - sum(state.steps_done for state in self._states if state.status in is_left)
        num_running = sum(state.status == "running" for state in self._states)
        return (
            f"about {duration(left * step_s / num_running)} of training left in all cells, estimated from the first "
            f"{num_timed} steps; answers and verdicts take extra time"
        )


class _CellState:
    """The state of one cell."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._train_from = self._train_to = 0.0
        self.num_steps = self.steps_done = self.steps_timed = 0
        """Optimizer steps: all (0 = not known yet), taken, and taken in this process."""
        self.status = "waiting"
        self.seconds = 0.0
        self._summary: Mapping[str, Any] = {}
        self._stage, self._done, self._total = "", 0, 0

    def update(self, event: CellEvent) -> None:
        if event.kind == "started":
            self.status = "running"
        elif event.kind == "begin":
            self._stage, self._done, self._total = event.text, 0, event.total or 0
            if event.text == "train":
                self.num_steps, self._train_from = self._total, self._clock()
        elif event.kind == "advance":
            self._done += event.amount
            if self._stage == "train":
                self.steps_done = self._done
                if event.figures:  # no figures: these steps were taken before an interruption
                    self.steps_timed += event.amount
                    self._train_to = self._clock()
        elif event.kind in ("done", "failed"):
            self.status, self.seconds = event.kind, event.seconds
            self._summary = event.summary or {}

    @property
    def train_s(self) -> float:
        """Seconds from the start of training to the last step."""
        return self._train_to - self._train_from

    @property
    def share(self) -> float:
        """The part of the cell that is done, 0-1; training counts as 0.9."""
        if self._stage == "train":
            return 0.9 * self._done / self._total if self._total else 0.0
        return 0.0 if self._stage in ("data", "tokens", "load model", "") else 0.9

    def text(self) -> Text:
        if self.status == "running":
            return Text(f"{self.share:.0%}", style="bold")
        return Text(_SYMBOL[self.status], style={"done": "green", "failed": "red"}.get(self.status, "dim"))

    def stage_text(self) -> str:
        return f"{self._stage} {self._done} of {self._total}" if self._total else self._stage

    def value(self, key: str) -> float | None:
        after = self._summary.get("after") or {}
        found = (after.get("judge") or {}).get("mean") if key == "judge" else after.get(key)
        return None if found is None else float(found)

    def figures(self) -> str:
        return ", ".join(
            f"{label} {scale * value:.{digits}f}"
            for key, label, scale, digits in _SHOWN
            if (value := self.value(key)) is not None
        )


def _means(states: Sequence[_CellState]) -> list[str]:
    """The mean of each yardstick over the cells that are done."""
    texts = []
    for key, _, scale, digits in _SHOWN:
        values = [value for state in states if (value := state.value(key)) is not None]
        texts.append(f"{scale * sum(values) / len(values):.{digits}f}" if values else "")
    return texts


def show_comparison(
    ablation: Ablation, cells: Sequence[CellResult], result: ComparisonResult | None, *, as_json: bool
) -> None:
    """Print the verdict, the table of differences and the paths of the files."""
    if as_json:
        document = {
            "ablation": str(ablation.folder.path),
            "cells": [
                {"arm": one.cell.arm.name, "seed": one.cell.seed, "run": str(one.path), "error": one.error}
                for one in cells
            ],
            "tuning": plain(ablation.tuning),
            "comparison": None if result is None else comparison_document(result),
        }
        write_json(document)
        return
    if result is None:
        return
    show_comparison_result(result)
    out = console.out()
    out.print(Text(f"Report   {ablation.folder.report_path}"), soft_wrap=True)
    out.print(Text(f"Results  {ablation.folder.results_path}"), soft_wrap=True)
