"""An ablation from its plan to runs that are all there: cells run, gone on with, and written down.

Takes a plan and a folder, gives the state of every cell. What the runs say is not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftframe.ablation.cells import Job, Outcome, is_done, run_here, run_in_processes
from sftframe.ablation.folder import AblationFolder
from sftframe.ablation.grid import Cell
from sftframe.ablation.planning import Plan, read_plan
from sftframe.ablation.progress import AblationObserver
from sftframe.config import merge
from sftframe.consent import claims_of, remember, require
from sftframe.device import physical_cores
from sftframe.errors import Interrupted
from sftframe.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """A cell and what became of it."""

    cell: Cell
    path: Path
    """The folder of its run."""
    error: str = ""
    """Why it failed, one line; empty where the run is complete."""


class Ablation:
    """A plan in a folder. Made by `start` or `reopen`."""

    def __init__(self, plan: Plan, folder: AblationFolder, registry: Registry) -> None:
        self.plan = plan
        self.folder = folder
        self.registry = registry

    @classmethod
    def start(cls, plan: Plan, registry: Registry, out: Path | None = None) -> Ablation:
        """Make the folder.

        Raises:
            ConfigError: it is taken, or cannot be made.
        """
        document = plan.document()
        remember(claims_of(document, registry))
        return cls(plan, AblationFolder.create(out, document), registry)

    @classmethod
    def reopen(
        cls, path: Path, registry: Registry, changes: dict[str, Any] | None = None, *, is_run: bool = True
    ) -> Ablation:
        """Go on with an ablation, from what its folder says.

        Args:
            changes: keys of `[ablate]` that differ from then on: what is compared and how, never what is run.
            is_run: whether its cells are going to be run; a report asks no judge and needs no data.

        Raises:
            ConfigError: the folder is no ablation, or its plan asks for what the user has not accepted.
            SftframeError: something in its plan is no longer there.
        """
        folder = AblationFolder.open(path)
        document = folder.read_plan()
        claims = claims_of(document, registry, inside=[path], asks_judge=is_run)
        require(path, claims if is_run else [claim for claim in claims if claim.key == "prompt.name"])
        plan = read_plan(merge(document, {"ablate": changes or {}}), registry, is_run=is_run)
        return cls(plan, folder, registry)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in the order in which they start."""
        return tuple(self.plan.grid.cells())

    def state(self) -> list[CellResult]:
        """Every cell's state as its folder tells it; nothing is run."""
        known = {line["run"]: line["error"] for line in self.folder.read_results().get("cells", [])}
        cells = [(cell, self.folder.run_path(cell)) for cell in self.cells]
        return [
            CellResult(cell=cell, path=path, error="" if is_done(path) else self._why_not(path, known))
            for cell, path in cells
        ]

    def run(self, observer: AblationObserver, *, jobs: int = 1, disabled: Sequence[str] = ()) -> list[CellResult]:
        """Run what is not complete yet, and give every cell's state in the order of the cells.

        Args:
            jobs: cells at the same time. More than one needs plugins that are installed.
            disabled: plugins that are to be left alone.

        Raises:
            Interrupted: the user asked for a stop; the cells at work are saved.
        """
        cells = self.cells
        observer.planned(cells)
        errors: dict[int, str] = {}
        with self.folder.lock():
            try:
                for outcome in self._outcomes(self._jobs(cells, jobs), observer, jobs, disabled):
                    errors[outcome.number] = outcome.error
            except (KeyboardInterrupt, Interrupted):
                num_done = sum(is_done(self.folder.run_path(cell)) for cell in cells)
                raise Interrupted(
                    f"stopped with {num_done} of {len(cells)} cells complete, the one at work is saved; "
                    f"go on with: sftframe ablate --resume {self.folder.path}"
                ) from None
        return [
            CellResult(cell=cell, path=self.folder.run_path(cell), error=errors[number])
            for number, cell in enumerate(cells)
        ]

    def _why_not(self, path: Path, known: Mapping[str, str]) -> str:
        return known.get(str(path.relative_to(self.folder.path))) or "it is not complete"

    def _outcomes(
        self, jobs: Sequence[Job], observer: AblationObserver, num_processes: int, disabled: Sequence[str]
    ) -> Iterator[Outcome]:
        left = [job for job in jobs if not is_done(job.path)]
        yield from run_here([job for job in jobs if job not in left], self.registry, observer)
        if num_processes == 1:
            yield from run_here(left, self.registry, observer)
        else:
            yield from run_in_processes(left, num_processes=num_processes, disabled=disabled, observer=observer)

    def _jobs(self, cells: Sequence[Cell], num_processes: int) -> list[Job]:
        shared: dict[str, Any] = {"before": self.plan.config.before}
        if num_processes > 1:
            total = self.plan.base.get("threads") or physical_cores()
            shared["threads"] = max(1, total // num_processes)
        return [
            Job(
                number=number,
                path=self.folder.run_path(cell),
                layer=merge(cell.arm.layer, shared, {"seed": cell.seed}),
            )
            for number, cell in enumerate(cells)
        ]
