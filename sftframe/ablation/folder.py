"""An ablation's folder: what lies where in it, how a new one is made and an old one found.

Its runs are ordinary runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from annotated_types import Ge

from sftframe.ablation.grid import Cell
from sftframe.config import read_toml
from sftframe.errors import ConfigError
from sftframe.files import write_whole
from sftframe.locks import hold
from sftframe.places import check_inside, is_number
from sftframe.stored import read_json, read_record, read_records

ABLATIONS_DIR = Path("ablations")
"""Where ablations go that were given no folder, under the current directory."""
_PLAN = "ablation.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """What became of a cell."""

    run: str
    """Its folder, from the ablation's."""
    error: str = ""
    """Why it failed; empty where it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeNoise:
    """How far the judge's gradings of the same answers come apart."""

    repeats: int
    variance: Annotated[float, Ge(0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What `ablation.json` says, as far as it is read again."""

    cells: tuple[CellState, ...] = ()
    judge_noise: JudgeNoise | None = None
    comparison: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientCosine:
    """Two arms' gradients of the loss of one step's examples: of all weights, before clipping, without dropout."""

    step: int
    """Counted from 1: the step that the baseline was about to take."""
    baseline: str
    candidate: str
    cosine: float | None
    """Of the angle between the two, over all trainable parameters together; None where one of them is zero."""
    norm_ratio: float | None
    """L2 norm of the candidate's over that of the baseline's."""


@dataclass(frozen=True, slots=True)
class AblationFolder:
    """The folder of one ablation. Nothing is read or written before it is asked for."""

    path: Path

    @classmethod
    def create(cls, path: Path | None, plan: Mapping[str, Any]) -> Self:
        """A new folder with its plan in it.

        Args:
            path: where; None = `ablations/N` under the current directory.
            plan: the configuration, table `[ablate]` and all.

        Raises:
            ConfigError: the folder is taken, or cannot be made.
        """
        try:
            folder = cls(_numbered() if path is None else _taken_over(path))
            folder.write_plan(plan)
        except OSError as error:
            raise ConfigError(f"cannot make the ablation's folder {path or ABLATIONS_DIR}: {error}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ablation that is in `path`, with files that can be read.

        Raises:
            ConfigError: there is none; it holds links, see `check_inside`; or one of its files is damaged.
        """
        folder = cls(path)
        if not folder.plan_path.is_file():
            raise ConfigError(f"no ablation in {path}: it has no {_PLAN}; `sftframe ablate` makes one")
        check_inside(path)
        folder.read_results(), folder.read_gradients()  # before anything is spent on its cells
        return folder

    @property
    def plan_path(self) -> Path:
        """What was asked for."""
        return self.path / _PLAN

    @property
    def results_path(self) -> Path:
        """Cells, arms, comparisons and verdicts."""
        return self.path / "ablation.json"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    @property
    def gradients_path(self) -> Path:
        """Cosines between the arms' gradients, where they were asked for."""
        return self.path / "gradients.jsonl"

    @property
    def workers_dir(self) -> Path:
        """What worker processes hold while they work on cells."""
        return self.path / ".workers"

    def run_path(self, cell: Cell) -> Path:
        """The folder of a cell's run."""
        return self.path / "runs" / cell.arm.slug / f"seed-{cell.seed}"

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write down what is asked for, in place of what was."""
        write_whole(self.plan_path, tomli_w.dumps(dict(plan)))

    def read_plan(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            ConfigError: it cannot be read.
        """
        return read_toml(self.plan_path)

    def read_results(self) -> Results:
        """What was found out so far; empty before the first cell was done.

        Raises:
            ConfigError: the file is damaged.
        """
        if not self.results_path.exists():
            return Results()
        return read_record(Results, read_json(self.results_path), self.results_path)

    def read_gradients(self) -> list[GradientCosine]:
        """What was measured of gradients; empty where it was not asked for.

        Raises:
            ConfigError: the file is damaged.
        """
        if not self.gradients_path.exists():
            return []
        return read_records(GradientCosine, self.gradients_path)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the ablation, so that no other process works on it.

        Raises:
            ConfigError: another holds it; the message says who.
        """
        return hold(self.path)


def _numbered() -> Path:
    ABLATIONS_DIR.mkdir(exist_ok=True)
    number = 1 + max((int(path.name) for path in ABLATIONS_DIR.glob("*") if is_number(path.name)), default=0)
    while True:
        path = ABLATIONS_DIR / str(number)
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _taken_over(path: Path) -> Path:
    if (path / _PLAN).exists():
        raise ConfigError(
            f"{path} holds an ablation already: go on with it by --resume {path}, or choose another --out"
        )
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError(f"{path} is not an empty folder: choose another --out")
    path.mkdir(parents=True, exist_ok=True)
    return path
