"""`sftframe ablate`: runs a grid of paired runs and shows the verdict on the settings that vary."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sftframe.ablation import Ablation, AblationObserver, Cell, CellEvent, CellResult, Plan
from sftframe.analysis import ComparisonResult
from sftframe.cli import completion, console
from sftframe.cli.comparison import show_comparison_result
from sftframe.cli.render import note, warn
from sftframe.cli.settings import Settings, flag_values, takes_settings
from sftframe.cli.streams import saved, write_json
from sftframe.errors import ConfigError
from sftframe.report import comparison_document

if TYPE_CHECKING:
    from sftframe.ablation import Axis, Request
    from sftframe.config import Layer
    from sftframe.registry import Registry


_SYMBOL = {"waiting": "·", "done": "✓", "failed": "✗"}
_FEW_STEPS = 4
"""Steps of a cell that are enough to estimate its speed."""
_SHOWN = (("judge", "judge", 1, 1), ("exact_match", "exact %", 100, 1), ("response_nll_per_byte", "NLL/byte", 1, 4))


def show_plan(plan: Plan, detectable: str | None) -> None:
    """Print the grid that will run."""
    grid = plan.grid
    num_cells = len(grid.arms) * len(grid.seeds)
    axes = ", ".join(f"{axis.label} ({len(axis.values)})" for axis in grid.axes)
    note(
        f"{len(grid.arms)} arms by {len(grid.seeds)} seed{'s' * (len(grid.seeds) != 1)} = {num_cells} runs; "
        f"varied: {axes}; verdict on {plan.config.yardstick}"
    )
    if len(grid.seeds) == 1:
        warn("one seed: the verdict covers other items, but not other runs; --seeds 3 or more covers both")
    if detectable is not None:
        note(detectable)


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
        state.take(event)
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

    def take(self, event: CellEvent) -> None:
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


def duration(seconds: float) -> str:
    """A time as text.

    >>> duration(42), duration(330), duration(9000), duration(400000)
    ('42 s', '5.5 min', '2.5 h', '4.6 days')
    """
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


_PANEL = "Ablation"
_VERDICT = "Verdict"
_MANY_CELLS = 60
"""A larger grid starts only with --yes."""

Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds", help="Number of seeds, or a list: 5, or 1,2,3. Default: 3.", rich_help_panel=_PANEL, metavar="N"
    ),
]
YardstickKey = Annotated[
    str | None,
    typer.Option(
        "--yardstick",
        help="The yardstick that decides: judge (default), response_nll_per_byte, exact_match, stop_rate or "
        "length_ratio. All are reported.",
        rich_help_panel=_VERDICT,
        metavar="KEY",
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        help="Smaller differences count as none. Default: judge, exact_match and stop_rate 2 points, length_ratio "
        "0.05, response_nll_per_byte 2 % of the baseline.",
        rich_help_panel=_VERDICT,
        metavar="X",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        help="The arm that the others are compared with. Default: the first.",
        rich_help_panel=_VERDICT,
        metavar="ARM",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", help="Number of runs at the same time. Default: 1.", rich_help_panel=_PANEL, metavar="N"),
]
Deviation = Annotated[
    float | None,
    typer.Option(
        "--sd",
        help="Standard deviation of an item's paired difference. Shows the smallest difference that the grid can find.",
        rich_help_panel=_PANEL,
        metavar="X",
    ),
]
Pilot = Annotated[
    Path | None,
    typer.Option(
        "--pilot",
        help="An earlier ablation to take that standard deviation from.",
        rich_help_panel=_PANEL,
        metavar="DIR",
        autocompletion=completion.ablations,
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        help="Judge one run's answers K times, to measure the judge's noise.",
        rich_help_panel=_PANEL,
        metavar="K",
    ),
]
Gradients = Annotated[
    bool,
    typer.Option(
        "--gradients",
        help="Also measure the cosine between the arms' gradients on the same batches.",
        rich_help_panel=_PANEL,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="The ablation's folder. Default: a new one under ablations/.",
        rich_help_panel=_PANEL,
        metavar="DIR",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        help="Continue an ablation. With --seeds 5 or --collate NAME, add seeds or arms; finished runs are kept.",
        rich_help_panel=_PANEL,
        metavar="DIR",
        autocompletion=completion.ablations,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Start grids of more than 60 cells too.", rich_help_panel=_PANEL)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_PANEL)]


@takes_settings(takes_several=True)
def ablate(
    settings: Settings,
    seeds: Seeds = None,
    yardstick: YardstickKey = None,
    margin: Margin = None,
    baseline: Baseline = None,
    jobs: Jobs = None,
    sd: Deviation = None,
    pilot: Pilot = None,
    repeats: Repeats = None,
    gradients: Gradients = False,
    out: Out = None,
    resume: Resume = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Compare prompts, masks, models or any setting with paired runs over several seeds.

    Give --prompt, --collate, --model, --epochs, --lr or --set several values, with commas between.

    Example: sftframe ablate --prompt alpaca,phi3 --collate mask-pad,mask-instruction --seeds 5
    """

    table = {
        "seeds": _seeds(seeds),
        "yardstick": yardstick,
        "margin": margin,
        "baseline": baseline,
        "jobs": jobs,
        "repeats": repeats,
    }
    given = {key: value for key, value in table.items() if value is not None}
    settings = settings if resume else settings.with_found_config()
    registry = settings.registry()
    ablation = _reopened(resume, settings, given, out, registry) if resume else None
    plan = ablation.plan if ablation else _planned(settings, given, registry)
    show_plan(plan, _detectable(plan, registry, sd, pilot))
    if ablation is None:
        _check_size(plan, registry, is_wanted=yes)
        ablation = _started(plan, registry, out)
    with GridObserver() as observer:
        cells = ablation.run(observer, jobs=plan.config.jobs, disabled=settings.disabled)
        result = _concluded(ablation, cells, registry, observer, with_gradients=gradients)
    with saved(ablation.folder.path):
        show_comparison(ablation, cells, result, as_json=as_json)
    _leave_if_partial(ablation, cells)


def _seeds(text: str | None) -> int | list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--seeds: expected a number of seeds, or seeds with commas between, found {text!r}"
        ) from None
    if min(numbers) < 0 or numbers == [0]:
        raise ConfigError(
            f"--seeds: expected a number of seeds (1 or more), or a list of seeds (0 or more), found {text!r}"
        )
    return numbers[0] if "," not in text else numbers


def _planned(settings: Settings, table: dict[str, Any], registry: Registry) -> Plan:
    from sftframe.ablation import make_plan

    return make_plan(_request(settings, table), registry)


def _request(settings: Settings, table: dict[str, Any]) -> Request:
    """What the user asked for. Flags win over `--set`, which wins over the file. Several values make an axis."""
    from sftframe.ablation import read_request
    from sftframe.config import merge

    axes, fixed = _varied(settings)
    return read_request(merge(settings.file_layer(), {"ablate": table}), axes, settings=fixed)


def _varied(settings: Settings) -> tuple[list[Axis], Layer]:
    """The settings of flags and `--set`: those with several values, and those with one."""
    from sftframe.ablation import Axis, split_axes
    from sftframe.config import merge, nested

    layer, axes = split_axes(settings.assignments)
    flags, named = [], []
    for key, value in settings.flags.items():
        values = flag_values(key, value)
        if len(values) > 1:
            named.append(Axis(key=key, values=tuple(values)))
        else:
            flags.append(nested(key, values[0]))
    flagged = {axis.key for axis in named}
    return [*named, *(axis for axis in axes if axis.key not in flagged)], merge(layer, *flags)


def _reopened(path: Path, settings: Settings, table: dict[str, Any], out: Path | None, registry: Registry) -> Ablation:
    from sftframe.ablation import Ablation

    if settings.config_path is not None or out is not None:
        raise ConfigError(
            "--resume DIR keeps the settings and the folder of the ablation: do not give --config or --out; add "
            "seeds and values with --seeds, --prompt, --collate, --model and --set"
        )
    axes, fixed = _varied(settings)
    if not axes and not fixed and "seeds" not in table:
        return Ablation.reopen(path, registry, table)
    changes = {key: value for key, value in table.items() if key != "seeds"}
    return Ablation.extend(path, registry, changes, seeds=table.get("seeds"), axes=axes, settings=fixed)


def _started(plan: Plan, registry: Registry, out: Path | None) -> Ablation:
    from sftframe.ablation import Ablation

    return Ablation.start(plan, registry, out)


def _detectable(plan: Plan, registry: Registry, sd: float | None, pilot: Path | None) -> str | None:
    """The smallest difference that the grid can find, in words; None if the spread is not known."""
    from sftframe.ablation import detectable_difference

    if sd is None and pilot is None:
        return None
    return detectable_difference(plan, registry, sd=sd, pilot=pilot)


def _check_size(plan: Plan, registry: Registry, *, is_wanted: bool) -> None:
    from sftframe.ablation import estimated_training_s

    num_cells = len(plan.grid.arms) * len(plan.grid.seeds)
    if num_cells <= _MANY_CELLS or is_wanted:
        return
    seconds = num_cells * estimated_training_s(plan.grid.arms[0].layer, registry)
    raise ConfigError(
        f"this grid has {num_cells:,} cells ({len(plan.grid.arms):,} arms by {len(plan.grid.seeds)} seeds); training "
        f"alone would take about {duration(seconds)}, judging by the first steps of the first arm: "
        "vary less, or start it with --yes"
    )


def _concluded(
    ablation: Ablation, cells: list[CellResult], registry: Registry, observer: Any, *, with_gradients: bool
) -> ComparisonResult | None:
    from sftframe.ablation import conclude, write_gradient_cosines

    if with_gradients:
        write_gradient_cosines(ablation, registry, observer)
    return conclude(ablation, cells)


def _leave_if_partial(ablation: Ablation, cells: list[CellResult]) -> None:
    from sftframe.errors import PartialError

    failed = [cell for cell in cells if cell.error]
    if failed:
        names = "; ".join(f"{result.cell.name}: {result.error}" for result in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        raise PartialError(
            f"{len(failed)} of {len(cells)} cells failed: {names}{more}; fix the cause, then try them again with "
            f"sftframe ablate --resume {ablation.folder.path}"
        )
