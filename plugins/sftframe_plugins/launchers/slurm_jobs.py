"""Runs cells as jobs of Slurm, by submitit. The ablation's folder must be on a disk that all machines see."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sftframe import CellEvent, CellOutcome, CellTask, ConfigError, Launch, Launcher, option

_LOOK_S = 0.25
"""How often the driver looks for events, results and a stop."""
_STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """Options of the launcher `slurm`."""

    partition: str = option("", "Slurm's partition; empty: its default")
    account: str = option("", "the account that pays; empty: the user's default")
    qos: str = option("", "Slurm's quality of service; empty: the default")
    minutes: int = option(720, "the time limit of a job; a cell that needs longer is queued again and goes on", ge=1)
    memory_gb: int = option(0, "memory of a job in GB; 0: Slurm's default", ge=0)
    requeues: int = option(10, "how often a job that ran out of time is queued again", ge=0)
    cluster: str = option("slurm", "slurm, or local: as processes of this machine, to try it out")


class CellJob:
    """What a job of Slurm does. Can be pickled."""

    def __init__(self, task: CellTask, folder: Path) -> None:
        self.task = task
        self.folder = folder

    @property
    def events_path(self) -> Path:
        """One event a line, as JSON."""
        return self.folder / f"{self.task.number}.jsonl"

    def __call__(self) -> CellOutcome:
        """Run the cell."""
        stop = self.folder / _STOP
        if stop.exists():
            return CellOutcome(number=self.task.number, is_stopped=True)
        with self.events_path.open("a", encoding="utf-8", buffering=1) as events:
            return self.task.run(lambda event: _write(event, events), stop.exists)

    def checkpoint(self) -> Any:
        """What submitit queues again when Slurm takes the machine away: the same cell, which goes on."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _write(event: CellEvent, events: Any) -> None:
    events.write(json.dumps(asdict(event)) + "\n")


class SlurmLauncher(Launcher):
    """Every cell is one job; all of them are one array."""

    name = "slurm"
    summary = "cells as jobs of Slurm; needs a disk that all machines share"
    Options = SlurmOptions
    argument = "partition"

    def check(self) -> None:
        """Check that submitit and Slurm's programs are here."""
        if find_spec("submitit") is None:
            raise ConfigError("--on slurm needs the package submitit: pip install 'sftframe[slurm]'")
        if self.options.cluster not in ("slurm", "local"):
            raise ConfigError(f"--on-set cluster={self.options.cluster}: expected slurm or local")
        if self.options.cluster == "slurm" and shutil.which("sbatch") is None:
            raise ConfigError(
                "--on slurm: there is no program sbatch here; start this on a machine from which jobs can be queued, "
                "or try it out with --on-set cluster=local"
            )

    def launch(self, tasks: Sequence[CellTask], launch: Launch) -> Iterator[CellOutcome]:
        """See `Launcher.launch`."""
        folder = launch.folder / "slurm"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        work = [CellJob(task, folder) for task in tasks]
        executor = self._executor(launch, folder)
        with executor.batch():
            queued = [executor.submit(job) for job in work]
        yield from _outcomes(dict(zip(queued, work, strict=True)), launch, folder)

    def _executor(self, launch: Launch, folder: Path) -> Any:
        import submitit

        if launch.gpus != int(launch.gpus):
            raise ConfigError(f"--gpus-per-cell {launch.gpus:g}: Slurm gives out whole GPUs; --on ray can share one")
        chosen = self.options
        executor = submitit.AutoExecutor(folder=folder, cluster=chosen.cluster, slurm_max_num_timeout=chosen.requeues)
        executor.update_parameters(
            name="sftframe", timeout_min=chosen.minutes, cpus_per_task=launch.cpus, gpus_per_node=int(launch.gpus)
        )
        named = {"partition": chosen.partition, "account": chosen.account, "qos": chosen.qos}
        executor.update_parameters(**{f"slurm_{key}": value for key, value in named.items() if value})
        if chosen.memory_gb:
            executor.update_parameters(mem_gb=chosen.memory_gb)
        return executor


def _outcomes(work: dict[Any, CellJob], launch: Launch, folder: Path) -> Iterator[CellOutcome]:
    read = dict.fromkeys((cell.events_path for cell in work.values()), 0)
    started: set[int] = set()
    try:
        while work:
            ended = [job for job in work if job.done()]
            for path, place in read.items():
                events, read[path] = _events(path, place)
                for event in events:
                    started.add(event.number)
                    launch.tell(event)
            if launch.is_stopped() and not (folder / _STOP).exists():
                (folder / _STOP).touch()
            if launch.is_stopped():
                for job in [job for job, cell in work.items() if cell.task.number not in started]:
                    job.cancel(check=False)  # it may wait in the queue for days
                    yield CellOutcome(number=work.pop(job).task.number, is_stopped=True)
            for job in ended:
                if job in work:
                    yield _outcome(job, work.pop(job), launch)
            time.sleep(_LOOK_S if work else 0)
    finally:
        for job in work:
            job.cancel(check=False)


def _events(path: Path, place: int) -> tuple[list[CellEvent], int]:
    """The whole lines of a file from a byte on, and where the next begins."""
    try:
        with path.open("rb") as file:
            file.seek(place)
            found = file.read()
    except FileNotFoundError:
        return [], place
    whole = found[: found.rfind(b"\n") + 1]
    return [CellEvent(**json.loads(line)) for line in whole.splitlines()], place + len(whole)


def _outcome(job: Any, cell: CellJob, launch: Launch) -> CellOutcome:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        outcome = job.result()
        assert isinstance(outcome, CellOutcome), "a job returns its outcome"
        return outcome
    except (FailedJobError, UncompletedJobError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        message = f"job {job.job_id} of Slurm failed: {lines[-1].strip()[:300] if lines else type(error).__name__}"
        if (cell.folder / _STOP).exists():
            return CellOutcome(number=cell.task.number, is_stopped=True)
        launch.tell(CellEvent(number=cell.task.number, kind="failed", text=message))
        return CellOutcome(number=cell.task.number, error=message)
