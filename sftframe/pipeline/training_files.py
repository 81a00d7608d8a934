"""The files of a training that is under way, and the way back to them after an interruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sftframe.config import TrainConfig
from sftframe.errors import ConfigError
from sftframe.files import DiskError, JsonLines, disk, read_json_lines, write_json_lines
from sftframe.progress import Observer, Sample
from sftframe.records import EvalRecord, StepRecord
from sftframe.runs import RunStore, last_change, read_record
from sftframe.training import (
    Callback,
    Checkpoint,
    Pause,
    RunEnd,
    RunStart,
    TargetCounts,
    TrainingParts,
    checkpoints,
)


class MetricsFile(Callback):
    """Writes every step and every evaluation as a line of `metrics.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_run_start(self, start: RunStart) -> None:
        self._lines = JsonLines(self._path)

    def on_step(self, record: StepRecord) -> None:
        self._lines.append({"kind": "step", **asdict(record)})

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        self._lines.append({"kind": "eval", **asdict(record)})

    def on_run_end(self, end: RunEnd) -> None:
        self._lines.close()

    def sync(self) -> None:
        """Flush to the disk."""
        self._lines.sync()


class BestWeights(Callback):
    """Watches the response NLL on the validation examples and keeps the weights of its lowest value.

    They are next to the checkpoints as `best-N`, N the step. Replaced best weights stay until the next checkpoint, so
    that a run can go back to any checkpoint and finds the best weights before it.

    Args:
        folder: where the checkpoints are.
        module: the weights, as they are at each evaluation.
        past: step and response NLL of the evaluations before an interruption.
    """

    def __init__(self, folder: Path, module: torch.nn.Module, *, past: Iterable[tuple[int, float]] = ()) -> None:
        self._folder = folder
        self._module = module
        self._seen = list(past)

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        """Keep the weights if they are the best so far.

        Raises:
            DiskError: they cannot be written.
        """
        if record.step:
            self._seen.append((record.step, record.response_nll_per_token))
            if _best_step(self._seen) == record.step:
                checkpoints.save_weights(self._place(record.step), self._module)

    def forget_others(self) -> None:
        """Delete all weights but the best, and the best before each checkpoint that is kept."""
        ends = [*checkpoints.steps(self._folder), self._seen[-1][0]] if self._seen else []
        wanted = {self._place(step) for end in ends if (step := _best_step(self._seen, end)) is not None}
        for path in self._folder.glob("best-*"):
            if path not in wanted:
                with suppress(OSError):  # the next checkpoint tries again
                    disk().remove(path)

    def restore(self) -> None:
        """Put the best weights into the module.

        Raises:
            DiskError: they are damaged.
        """
        step = _best_step(self._seen)
        if step is None:
            return
        place = self._place(step)
        if not checkpoints.is_whole(place):
            raise DiskError(f"the best weights in {place} are damaged: train again")
        checkpoints.load_weights(place, self._module)

    def _place(self, step: int) -> Path:
        return self._folder / f"best-{step}"


def missing_best(folder: Path, past: Sequence[tuple[int, float]]) -> str | None:
    """Why the best weights up to now cannot be read; None if they can, or nothing was evaluated."""
    step = _best_step(past)
    if step is None or checkpoints.is_whole(folder / f"best-{step}"):
        return None
    return f"the best weights before it, best-{step}, are missing or damaged"


def _best_step(seen: Sequence[tuple[int, float]], end: int | None = None) -> int | None:
    """The step of the lowest value up to a step, the first of equals; None without any."""
    values = [(value, step) for step, value in seen if end is None or step <= end]
    return min(values)[1] if values else None


class Checkpoints(Callback):
    """Saves a checkpoint every few steps and at the end, and deletes those that are no longer wanted.

    Args:
        before_saving: flushes the metrics to the disk, or a power cut leaves a checkpoint of steps that the metrics
            have lost.
        best: what it keeps of the past is deleted with the checkpoints that needed it.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        parts: TrainingParts,
        *,
        before_saving: Callable[[], None],
        best: BestWeights | None = None,
    ) -> None:
        self._folder = folder
        self._keep = config.keep_checkpoints
        self._parts = parts
        loader = parts.loader
        self._every = config.checkpoint_every or max(loader.steps_per_epoch, loader.num_steps // 10)
        self._num_steps = loader.num_steps
        self._before_saving = before_saving
        self._best = best

    def pauses_after(self, step: int) -> bool:
        return step % self._every == 0 or step == self._num_steps

    def on_pause(self, pause: Pause) -> None:
        """Save a checkpoint.

        Raises:
            DiskError: it cannot be written; the checkpoints before it stay.
        """
        if not (pause.is_last or self.pauses_after(pause.last.step)):
            return
        if self._keep:
            self._before_saving()
            self._parts.save(self._folder, step=pause.last.step, state=_state(pause.last, self._parts))
        self._forget_older(pause.last.step)

    def on_run_end(self, end: RunEnd) -> None:
        if end.how in ("finished", "stopped-early"):
            self._forget_older(end.num_done)  # the process that wrote the last checkpoint may have ended before this

    def _forget_older(self, step: int) -> None:
        """Delete the checkpoints that are no longer wanted, then the best weights that belonged to them."""
        checkpoints.prune(self._folder, step=step, keep=self._keep)
        if self._best is not None:
            self._best.forget_others()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The state that training writes next to the weights of a checkpoint."""

    last: StepRecord
    """The step after which it was written."""
    counts: Mapping[str, list[int]]
    """`TargetCounts.state`."""
    is_halving: bool
    """Micro-batches were halved because memory ran out."""


def _state(last: StepRecord, parts: TrainingParts) -> dict[str, Any]:
    """A `SavedState` as it is written."""
    return {"last": asdict(last), "counts": parts.loader.counts.state, "is_halving": parts.trainer.is_halving}


def read_state(checkpoint: Checkpoint) -> SavedState:
    """The state of a checkpoint.

    Raises:
        ConfigError: it is not what this version of sftframe writes.
    """
    value, last = dict(checkpoint.state), checkpoint.state.get("last")
    if isinstance(last, Mapping):  # JSON has no NaN
        value["last"] = {key: math.nan if found is None else found for key, found in last.items()}
    state = read_record(SavedState, value, checkpoint.folder / "state.json")
    if state.last.step != checkpoint.step or not TargetCounts.is_state(state.counts):
        raise ConfigError(f"{checkpoint.folder} is of another step than its name says, or counts other roles")
    return state


def go_back(
    folder: RunStore,
    config: TrainConfig,
    parts: TrainingParts,
    observer: Observer,
    *,
    is_evaluated: Callable[[int], bool],
) -> list[tuple[int, float]]:
    """Go back to the newest usable checkpoint, and cut the metrics after its step; without any, start again.

    Args:
        is_evaluated: whether there must be an evaluation after a step.

    Returns:
        Step and response NLL of the evaluations up to there; the untuned model's does not count.
    """
    lines = _metrics_so_far(folder.metrics_path, observer)
    checkpoint, passed_over = checkpoints.latest(
        folder.checkpoints_dir, objection=lambda found: _objection(found, folder, config, lines, is_evaluated)
    )
    for one in passed_over:
        observer.warn(f"checkpoint {one.folder} was skipped: {one.reason}")
    if checkpoint is not None:
        parts.restore(checkpoint)
        state = read_state(checkpoint)
        parts.trainer.last = state.last
        parts.trainer.is_halving = state.is_halving
        parts.loader.counts = TargetCounts.from_state(state.counts)
        observer.note(f"resumed after step {checkpoint.step} of {parts.loader.num_steps}")
    elif lines:
        observer.note("no checkpoint to resume from: training starts from its first step")
    known = _up_to(checkpoint.step, lines) if checkpoint is not None else []
    if len(known) < len(lines):
        write_json_lines(folder.metrics_path, known)
    return _evaluations(known)


def _metrics_so_far(path: Path, observer: Observer) -> list[dict[str, Any]]:
    """Lines of an earlier attempt; none if the file is missing or damaged; then no checkpoint can be used either."""
    if not path.exists():
        return []
    try:
        lines = read_json_lines(path)
        if _are_metrics(lines):
            return lines
        raise ConfigError(f"{path} has lines without kind and step: the file was changed")
    except ConfigError as error:
        observer.warn(f"{error}: training starts from its first step")
        disk().remove(path)
        return []


def _are_metrics(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every line has its kind and its step."""
    return all(line.get("kind") in ("step", "eval") and type(line.get("step")) is int for line in lines)


def _objection(
    checkpoint: Checkpoint,
    folder: RunStore,
    config: TrainConfig,
    lines: Sequence[dict[str, Any]],
    is_evaluated: Callable[[int], bool],
) -> str | None:
    """Why the run cannot resume from a checkpoint, although its files are whole."""
    known = _up_to(checkpoint.step, lines)
    taken, evaluated = ([line["step"] for line in known if line["kind"] == kind] for kind in ("step", "eval"))
    steps = range(1, checkpoint.step + 1)
    changed = last_change(folder)  # before it, the old settings decided how often to evaluate
    wanted = [0, *(step for step in steps if step > changed and is_evaluated(step))]
    if taken != list(steps) or [step for step in evaluated if step > changed or step == 0] != wanted:
        return f"{folder.metrics_path} lacks lines before it"
    try:
        read_state(checkpoint)
    except ConfigError:
        return "it was not written by this version of sftframe"
    if config.keeps_best:
        return missing_best(folder.checkpoints_dir, _evaluations(known))
    return None


def _up_to(step: int, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["step"] <= step]


def _evaluations(lines: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Step and response NLL; the untuned model's evaluation does not count."""
    return [(line["step"], line["response_nll_per_token"]) for line in lines if line["kind"] == "eval" and line["step"]]
