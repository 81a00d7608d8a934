"""An ablation's folder: its files, how a new one is made and how an old one is found.

Its runs are ordinary runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from annotated_types import Ge

from sftframe.ablation.grid import Arm, Cell
from sftframe.ablation.tuning import Tuning
from sftframe.analysis import TakenLook
from sftframe.config import read_toml
from sftframe.errors import ConfigError
from sftframe.files import check_inside, check_target, next_numbered, write_json, write_whole
from sftframe.files.locks import hold
from sftframe.runs import read_json, read_record, read_records

ABLATIONS_DIR = Path("ablations")
"""Folder under the current directory for ablations without `--out`."""
_PLAN = "ablation.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """The state of a cell."""

    run: str
    """Its folder, relative to the ablation's."""
    error: str = ""
    """Why it failed; empty if it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNoise:
    """How much the judge's gradings of the same answers differ."""

    repeats: int
    variance: Annotated[float, Ge(0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The part of `ablation.json` that is read again."""

    cells: tuple[CellState, ...] = ()
    judge_noise: KnownNoise | None = None
    comparison: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLooks:
    """What `looks.json` contains."""

    looks: tuple[TakenLook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientCosine:
    """Two arms' gradients of one step's loss: for all weights, before clipping, without dropout."""

    step: int
    """The baseline's next step, counted from 1."""
    baseline: str
    candidate: str
    cosine: float | None
    """Cosine of the angle between the two, over all trainable parameters together; None if one of them is zero."""
    norm_ratio: float | None
    """L2 norm of the candidate's gradient divided by that of the baseline's."""


@dataclass(frozen=True, slots=True)
class AblationFolder:
    """The folder of one ablation. Making the object reads and writes nothing."""

    path: Path

    @classmethod
    def create(cls, path: Path | None, plan: Mapping[str, Any]) -> Self:
        """A new folder with its plan in it.

        Args:
            path: where; None = `ablations/N` under the current directory.
            plan: the configuration, with the table `[ablate]`.

        Raises:
            ConfigError: the folder is in use, or cannot be made.
        """
        try:
            folder = cls(next_numbered(ABLATIONS_DIR) if path is None else _taken_over(path))
            folder.write_plan(plan)
        except OSError as error:
            raise ConfigError(f"cannot make the ablation's folder {path or ABLATIONS_DIR}: {error}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ablation that is in `path`, with files that can be read.

        Raises:
            ConfigError: there is none; it contains links, see `check_inside`; or one of its files is damaged.
        """
        folder = cls(path)
        if not folder.plan_path.is_file():
            raise ConfigError(f"no ablation in {path}: it has no {_PLAN}; `sftframe ablate` makes one")
        check_inside(path)
        folder.read_results(), folder.read_gradients()  # checked before its cells are run
        folder.read_looks(), folder.read_tuning()
        return folder

    @property
    def plan_path(self) -> Path:
        """The plan."""
        return self.path / _PLAN

    @property
    def results_path(self) -> Path:
        """Cells, arms, comparisons and verdicts."""
        return self.path / "ablation.json"

    @property
    def looks_path(self) -> Path:
        """What was seen each time that all cells were complete, with how many seeds."""
        return self.path / "looks.json"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    @property
    def gradients_path(self) -> Path:
        """Cosines between the arms' gradients, if they were measured."""
        return self.path / "gradients.jsonl"

    @property
    def labels_path(self) -> Path:
        """People's labels on a scale from 0 to 100, if the verdict is from them too."""
        return self.path / "labels.csv"

    @property
    def workers_dir(self) -> Path:
        """Locks of worker processes while they work on cells."""
        return self.path / ".workers"

    def run_path(self, cell: Cell) -> Path:
        """The folder of a cell's run."""
        return self.path / "runs" / cell.arm.slug / f"seed-{cell.seed}"

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Replace the plan."""
        write_whole(self.plan_path, tomli_w.dumps(dict(plan)))

    def read_plan(self) -> dict[str, Any]:
        """The plan.  Raises: ConfigError: it cannot be read."""
        return read_toml(self.plan_path)

    def read_results(self) -> Results:
        """The results so far; empty before the first cell is done.

        Raises:
            ConfigError: the file is damaged.
        """
        if not self.results_path.exists():
            return Results()
        return read_record(Results, read_json(self.results_path), self.results_path)

    @property
    def tuning_path(self) -> Path:
        """What every arm tried and chose, once all have chosen."""
        return self.path / "tuning.json"

    def tried_path(self, arm: Arm, number: int, seed: int) -> Path:
        """The folder of the run with an arm's value of this number."""
        return self.path / "tuning" / arm.slug / f"value-{number}" / f"seed-{seed}"

    def write_tuning(self, tuning: Tuning) -> None:
        """Replace it."""
        write_json(self.tuning_path, tuning)

    def read_tuning(self) -> Tuning:
        """What the arms chose so far; empty before.

        Raises:
            ConfigError: the file is damaged.
        """
        if not self.tuning_path.exists():
            return Tuning()
        return read_record(Tuning, read_json(self.tuning_path), self.tuning_path)

    def write_looks(self, looks: Sequence[TakenLook]) -> None:
        """Replace the looks."""
        write_json(self.looks_path, {"looks": list(looks)})

    def read_looks(self) -> tuple[TakenLook, ...]:
        """The looks so far; of an ablation of an older version the last one, if its results are complete.

        Raises:
            ConfigError: the file is damaged.
        """
        if self.looks_path.exists():
            return read_record(KnownLooks, read_json(self.looks_path), self.looks_path).looks
        results = self.read_results()
        tables = (results.comparison or {}).get("yardsticks")
        if not tables or any(cell.error for cell in results.cells):
            return ()
        return (read_record(_OlderLook, {"yardstick": tables[0].get("key"), **tables[0]}, self.results_path).look,)

    def read_gradients(self) -> list[GradientCosine]:
        """The measured gradients; empty if they were not measured.

        Raises:
            ConfigError: the file is damaged.
        """
        if not self.gradients_path.exists():
            return []
        return read_records(GradientCosine, self.gradients_path)

    def lock(self) -> AbstractContextManager[None]:
        """Lock the ablation, so that no other process works on it.

        Raises:
            ConfigError: another process has the lock; the message says which.
        """
        return hold(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OlderLook:
    """A table in the results of a version that kept no looks."""

    yardstick: str
    margin: float
    seeds: tuple[int, ...]

    @property
    def look(self) -> TakenLook:
        return TakenLook(seeds=self.seeds, yardstick=self.yardstick, margin=self.margin, is_corrected=False)


def _taken_over(path: Path) -> Path:
    if (path / _PLAN).exists():
        raise ConfigError(
            f"{path} contains an ablation already: continue it with --resume {path}, or choose another --out"
        )
    check_target(path, "an ablation", lambda _: "is not empty")
    path.mkdir(parents=True, exist_ok=True)
    return path
