"""The training loop: steps, evaluations in between, and callbacks that hear of both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from types import TracebackType

from sftframe.interrupts import StopRequest
from sftframe.progress import Sample
from sftframe.records import EvalRecord, StepData, StepRecord
from sftframe.training.callbacks import Callback, Ending, Pause, RunEnd, RunStart
from sftframe.training.trainer import Trainer


class Evaluation(ABC):
    """A measurement of the model that is repeated during training."""

    @abstractmethod
    def is_due(self, step: int) -> bool:
        """Whether the model is measured after a step."""

    @abstractmethod
    def measure(self, last: StepRecord | None) -> tuple[EvalRecord, Sample]:
        """Measure the model as it is now.

        Args:
            last: the last step; None = the model is untuned.

        Raises:
            TrainingError: the model cannot be used any more.
        """


def train(
    steps: Iterator[StepData],
    trainer: Trainer,
    evaluation: Evaluation,
    callbacks: Sequence[Callback],
    *,
    start: RunStart,
    stop: StopRequest,
) -> None:
    """Take all steps, or as many as there are before a callback or the user stops it.

    Args:
        steps: the data of the steps that are left; nothing is drawn after the last step that is taken.
        callbacks: called one after the other, in this order.
        stop: looked at after each step; callbacks then get a last pause.

    Raises:
        TrainingError: the loss is not finite, or memory ran out.
    """
    with _told_of_both_ends(trainer, callbacks, start, stop):
        if not start.num_done:
            _evaluate(evaluation, None, callbacks)
        while not (trainer.last and _is_over(callbacks)) and (data := next(steps, None)) is not None:
            trainer.take(data)
            is_evaluated, is_pause = evaluation.is_due(data.number), _is_pause(data.number, callbacks)
            if not (trainer.is_due or is_evaluated or is_pause or stop.requested):
                continue  # on a GPU it is queued, and the CPU goes on with the next batch
            for record in trainer.read():
                for callback in callbacks:
                    callback.on_step(record)
            if is_evaluated:
                _evaluate(evaluation, record, callbacks)
            is_last = stop.requested or _is_over(callbacks) or record.step == start.num_steps
            if is_pause or is_last:
                for callback in callbacks:
                    callback.on_pause(Pause(last=record, is_last=is_last))
                if stop.requested:
                    return


def _evaluate(evaluation: Evaluation, last: StepRecord | None, callbacks: Sequence[Callback]) -> None:
    record, sample = evaluation.measure(last)
    for callback in callbacks:
        callback.on_evaluation(record, sample)


def _is_pause(step: int, callbacks: Sequence[Callback]) -> bool:
    return any(callback.pauses_after(step) for callback in callbacks)


def _is_over(callbacks: Sequence[Callback]) -> bool:
    return any(callback.wants_stop for callback in callbacks)


@contextmanager
def _told_of_both_ends(
    trainer: Trainer, callbacks: Sequence[Callback], start: RunStart, stop: StopRequest
) -> Iterator[None]:
    """Call `on_run_start`, run the body, and call `on_run_end` in the opposite order; the first error is raised."""
    with ExitStack() as ends:
        for callback in callbacks:
            callback.on_run_start(start)
            ends.push(partial(_tell_of_end, callback, trainer, start, stop))
        yield


def _tell_of_end(
    callback: Callback,
    trainer: Trainer,
    start: RunStart,
    stop: StopRequest,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _traceback: TracebackType | None,
) -> None:
    num_done = trainer.last.step if trainer.last else 0
    how: Ending = "finished" if num_done == start.num_steps else "stopped-early"
    if error is not None:
        how = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    elif stop.requested:
        how = "interrupted"
    with suppress(Exception) if error is not None else nullcontext():
        callback.on_run_end(RunEnd(how=how, num_done=num_done, num_steps=start.num_steps, error=error))
