"""A run's folder: its files, how a new one is made, how an old one is found, and which process may write to it.

Which folders may be used is decided in `sftframe.files.folders`; files are written by the functions of
`sftframe.files`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sftframe.errors import ConfigError
from sftframe.files import (
    CONFIG,
    MANIFEST,
    RUNS_DIR,
    check_inside,
    check_place,
    explained,
    is_half_made,
    is_marked,
    is_run,
    is_taken,
    make_named,
    make_numbered,
)
from sftframe.files.locks import hold


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run. Making the object reads and writes nothing.

    >>> RunFolder(Path("runs/nano-1")).metrics_path.as_posix()
    'runs/nano-1/metrics.jsonl'
    """

    path: Path

    @classmethod
    def create(cls, path: Path | None, *, label: str, force: bool = False) -> Self:
        """A new folder, empty but for its marker.

        Args:
            path: where; None = `runs/LABEL-N` under the current directory, N one more than the highest there is.
            label: letters, digits, `-`, `_` and `.`.
            force: replace the run in `path`. Only a folder in which a run was made is ever emptied.

        Raises:
            ConfigError: `path` is in use, or cannot be made or written to.
        """
        return cls(make_numbered(label) if path is None else make_named(path, force=force))

    @staticmethod
    def check_place(path: Path | None, *, force: bool = False) -> None:
        """Check that `create` would accept the path, without making anything; for use before a long preparation.

        Raises:
            ConfigError: as `create`.
        """
        if path is not None:
            check_place(path, force=force)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run that is in `path`.

        Raises:
            ConfigError: there is none; the message says what is missing and names the newest run nearby. Or it contains
                links, see `check_inside`.
        """
        run = cls(path)
        if not path.is_dir():
            raise ConfigError(f"no run at {path}: {_nearest(path)}")
        if run.is_half_made:
            raise ConfigError(
                f"{path} is half a run: its process was killed while it made the folder; "
                f"start it with: sftframe run --resume {path}"
            )
        if run.is_empty:
            raise ConfigError(
                f"{path} has no settings: its process was killed before it wrote them; "
                f"run the same command again with --out {path}"
            )
        missing = [file.name for file in (run.config_path, run.manifest_path) if not file.is_file()]
        if missing:
            raise ConfigError(f"{path} is not a run: it has no {' and no '.join(missing)}; {_nearest(path)}")
        check_inside(path)
        return run

    @property
    def is_half_made(self) -> bool:
        """Whether its process was killed after it wrote the configuration and before the manifest: nothing was
        started."""
        return is_half_made(self.path)

    @property
    def is_empty(self) -> bool:
        """Whether its process was killed after it made the folder and before it wrote anything else."""
        return is_marked(self.path) and not is_taken(self.path)

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG

    @property
    def manifest_path(self) -> Path:
        """Versions, plugin ids, hashes, seeds and the machine."""
        return self.path / MANIFEST

    @property
    def metrics_path(self) -> Path:
        """`StepRecord`s and `EvalRecord`s, one per line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints_dir(self) -> Path:
        """A folder `step-N` per checkpoint."""
        return self.path / "checkpoints"

    @property
    def model_dir(self) -> Path:
        """What `CausalLM.save` wrote after training."""
        return self.path / "model"

    @property
    def responses_path(self) -> Path:
        """`Response`s of the fine-tuned model to the test examples, one per line."""
        return self.path / "responses.jsonl"

    @property
    def responses_json_path(self) -> Path:
        """The test entries with `model_response` added, in the chapter's format."""
        return self.path / "responses.json"

    @property
    def verdicts_path(self) -> Path:
        """`Verdict`s on `responses_path`, one per line."""
        return self.path / "verdicts.jsonl"

    @property
    def before_responses_path(self) -> Path:
        """`Response`s of the model before fine-tuning."""
        return self.path / "responses-before.jsonl"

    @property
    def before_verdicts_path(self) -> Path:
        """`Verdict`s on `before_responses_path`."""
        return self.path / "verdicts-before.jsonl"

    @property
    def likelihoods_path(self) -> Path:
        """`Likelihood`s of the fine-tuned model on the test examples, one per line."""
        return self.path / "likelihoods.jsonl"

    @property
    def before_likelihoods_path(self) -> Path:
        """`Likelihood`s of the model before fine-tuning."""
        return self.path / "likelihoods-before.jsonl"

    @property
    def items_path(self) -> Path:
        """`ItemResult`s, one per line: every test item with its answer, likelihood and verdict."""
        return self.path / "items.jsonl"

    @property
    def train_path(self) -> Path:
        """The `TrainSummary`, once training is done."""
        return self.path / "train.json"

    @property
    def summary_path(self) -> Path:
        """The `Summary`."""
        return self.path / "summary.json"

    @property
    def loss_png_path(self) -> Path:
        """The loss curves."""
        return self.path / "loss.png"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    def free_bytes(self) -> int:
        """Free bytes on the disk of the folder; the folder need not exist yet."""
        path = self.path.absolute()
        with explained(path):
            return shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free

    def require_space(self, num_bytes: int) -> None:
        """Check early that a run fits on the disk.

        Raises:
            ConfigError: it does not.
        """
        free = self.free_bytes()
        if num_bytes > free:
            raise ConfigError(
                f"not enough disk: the run in {self.path} needs {_gigabytes(num_bytes)}, {_gigabytes(free)} are free; "
                "make room, or choose a folder on another disk with --out"
            )

    def lock(self) -> AbstractContextManager[None]:
        """Lock the run, so that no other process writes to it; the lock ends with its process.

        Raises:
            ConfigError: another process has the lock; the message says which.
        """
        return hold(self.path)


def _nearest(path: Path) -> str:
    """What to try instead of a path that is no run: the newest run in it, next to it or in `runs/`."""
    for folder in (path, path.parent, RUNS_DIR):
        found = list(_runs_in(folder))
        if found:
            newest = max(found, key=lambda run: run.manifest_path.stat().st_mtime)
            return f"the newest run nearby is {newest.path}"
    return "there are no runs nearby; `sftframe run` makes one"


def _runs_in(folder: Path) -> Iterable[RunFolder]:
    return (RunFolder(path) for path in folder.glob("*") if is_run(path))


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
