"""What hears of a training as it goes on: trackers, the progress, and all that keeps files or ends it early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sftframe.errors import ConfigError, PluginError, brief
from sftframe.plugins import CausalLM
from sftframe.plugins.guard import describe, passes
from sftframe.progress import Observer, Sample
from sftframe.records import EvalRecord, StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """The training of a run starts, or it is resumed."""

    run: Path
    """The run's folder."""
    settings: Mapping[str, Any]
    """The run's configuration, by section and key."""
    model: CausalLM
    """The model in training, to be read and not changed. Its weights are those of a certain step only in `on_pause` and
    `on_evaluation`. With `train.lora` its module has the adapters.
    """
    num_steps: int
    """Optimizer steps of the whole training, if nothing ends it early."""
    num_done: int = 0
    """Steps that an earlier process did: the training goes on after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The training waits: the weights are those after `last`, and no step is queued."""

    last: StepRecord
    is_last: bool
    """The training ends here, because its steps are done or something stops it."""


Ending = Literal["finished", "stopped-early", "interrupted", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """The training has ended."""

    how: Ending
    """`finished` = all steps are done; `stopped-early` = a callback's `wants_stop`; `interrupted` = by the user."""
    num_done: int
    """Steps done, those of earlier processes included."""
    num_steps: int
    error: BaseException | None = None
    """What ended it, if it failed."""


class Callback:
    """Hears of a run's training. Override any of the methods, or none, and pass an object to `run(callbacks=[...])`.

    An exception in a callback ends the run with a `PluginError` that names the callback; the checkpoints stay whole. On
    a GPU the figures of several steps are read together, so the records come a few steps late and in groups, but all of
    them come, in order.

    A tracker that writes the losses to a file:

    >>> class Losses(Callback):
    ...     def on_run_start(self, start):
    ...         self.file = (start.run / "losses.txt").open("a")
    ...     def on_step(self, record):
    ...         print(record.step, record.loss, record.lr, record.grad_norm, file=self.file)
    ...     def on_run_end(self, end):
    ...         self.file.close()
    """

    def on_run_start(self, start: RunStart) -> None:
        """The first step comes next, or the first step after an interruption."""

    def on_step(self, record: StepRecord) -> None:
        """An optimizer step was done. A resumed run repeats those after its last checkpoint."""

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        """The validation examples were measured, and one of them was answered."""

    def pauses_after(self, step: int) -> bool:
        """Whether `on_pause` is wanted after a step; it must depend on the step's number alone."""
        return False

    def on_pause(self, pause: Pause) -> None:
        """The training waits because a callback wanted it, or because it ends: the time to save the weights."""

    @property
    def wants_stop(self) -> bool:
        """Whether training should end now; asked before every step but the first.

        If a run is resumed, a new object is asked: it must know the past by itself.
        """
        return False

    def on_run_end(self, end: RunEnd) -> None:
        """The training has ended, whatever the reason. Called for each callback whose `on_run_start` went well."""


class Progress(Callback):
    """Tells an observer of steps and evaluations."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def on_run_start(self, start: RunStart) -> None:
        self._observer.begin("train", start.num_steps, "steps")
        self._observer.advance(start.num_done)

    def on_step(self, record: StepRecord) -> None:
        self._observer.advance(loss=record.loss, tokens=record.tokens_seen, seconds=record.seconds)

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        self._observer.evaluated(record, sample)

    def on_run_end(self, end: RunEnd) -> None:
        if end.how == "stopped-early":
            self._observer.note(f"stopped early after step {end.num_done} of {end.num_steps}")
        if end.how in ("finished", "stopped-early"):
            self._observer.end()


class EarlyStopping(Callback):
    """Ends the training after `patience` evaluations in a row without a new lowest response NLL.

    Args:
        past: response NLLs from before an interruption, without the untuned model's, which does not count.
    """

    def __init__(self, patience: int, *, past: Iterable[float] = ()) -> None:
        self._patience = patience
        self._lowest: float | None = None
        self._num_since = 0
        for response_nll in past:
            self._see(response_nll)

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        if record.step:
            self._see(record.response_nll_per_token)

    @property
    def wants_stop(self) -> bool:
        return self._num_since >= self._patience

    def _see(self, response_nll: float) -> None:
        if self._lowest is None or response_nll < self._lowest:
            self._lowest, self._num_since = response_nll, 0
        else:
            self._num_since += 1


class _Walled(Callback):
    """Somebody's callback behind a wall: its errors name it."""

    def __init__(self, own: Callback) -> None:
        self._own = own
        self._run: Path | None = None

    def on_run_start(self, start: RunStart) -> None:
        self._run = start.run
        self._call("on_run_start", start)

    def on_step(self, record: StepRecord) -> None:
        self._call("on_step", record)

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        self._call("on_evaluation", record, sample)

    def pauses_after(self, step: int) -> bool:
        return bool(self._call("pauses_after", step))

    def on_pause(self, pause: Pause) -> None:
        self._call("on_pause", pause)

    @property
    def wants_stop(self) -> bool:
        return bool(self._call("wants_stop"))

    def on_run_end(self, end: RunEnd) -> None:
        self._call("on_run_end", end)

    def _call(self, name: str, *given: object) -> object:
        kind = type(self._own)
        try:
            member = getattr(self._own, name)
            return member(*given) if given else member
        except BaseException as error:  # SystemExit too: a callback must not end the program
            if passes(error):
                raise
            package = kind.__module__.partition(".")[0]
            raise PluginError(
                f"callback {kind.__module__}.{kind.__qualname__} failed in {name}: {describe(error, package)}; "
                f"what was saved before is kept, continue without it: sftframe run --resume {self._run}"
            ) from error


def walled(callbacks: Iterable[Callback]) -> list[Callback]:
    """The callbacks that a caller gave, each behind a wall.

    Raises:
        ConfigError: one is no `Callback`.
    """
    given = list(callbacks)
    for one in given:
        if not isinstance(one, Callback):
            shown = f"the class {one.__name__}" if isinstance(one, type) else brief(one)
            raise ConfigError(f"callbacks: expected objects of classes made from sftframe.Callback, not {shown}")
    return [_Walled(one) for one in given]
