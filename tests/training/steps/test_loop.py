"""The training loop: what callbacks hear, in which order, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sftframe import Callback, CausalLM, EvalRecord, PluginError, Sample, StepRecord, TrainingError
from sftframe.config import TrainConfig
from sftframe.interrupts import StopRequest
from sftframe.records import StepData
from sftframe.training import Evaluation, Pause, RunEnd, RunStart, Trainer, train, walled

NUM_STEPS = 6


class EveryThird(Evaluation):
    """Measures nothing; the value is the step."""

    def is_due(self, step: int) -> bool:
        return step % 3 == 0

    def measure(self, last: StepRecord | None) -> tuple[EvalRecord, Sample]:
        step = last.step if last else 0
        record = EvalRecord(
            step=step,
            tokens_seen=0,
            validation_loss=1.0,
            response_nll_per_token=float(step),
            response_nll_per_byte=1.0,
            prompt_nll_per_token=1.0,
            sample_index=0,
            sample_text="",
        )
        return record, Sample(instruction="", input="", reference="", answer="")


class Diary(Callback):
    """Writes down what it hears, and asks for pauses and an end."""

    def __init__(self, pages: list[str], name: str = "", *, pauses: tuple[int, ...] = (), last: int = 99) -> None:
        self.pages = pages
        self.name = name
        self.pauses = pauses
        self.last = last
        self.num_seen = 0
        self.end: RunEnd | None = None

    def on_run_start(self, start: RunStart) -> None:
        self.pages.append(f"{self.name}start {start.num_done}/{start.num_steps}")

    def on_step(self, record: StepRecord) -> None:
        self.num_seen += 1
        self.pages.append(f"{self.name}step {record.step}")

    def on_evaluation(self, record: EvalRecord, sample: Sample) -> None:
        self.pages.append(f"{self.name}eval {record.step}")

    def pauses_after(self, step: int) -> bool:
        return step in self.pauses

    def on_pause(self, pause: Pause) -> None:
        self.pages.append(f"{self.name}{'last' if pause.is_last else 'pause'} {pause.last.step}")

    @property
    def wants_stop(self) -> bool:
        return self.num_seen >= self.last

    def on_run_end(self, end: RunEnd) -> None:
        self.end = end
        self.pages.append(f"{self.name}{end.how} {end.num_done}/{end.num_steps}")


@pytest.fixture
def go(table: Callable[..., CausalLM], step_data: Callable[..., StepData]) -> Callable[..., list[int]]:
    """`go(*callbacks, stop=…, log_every=1, num_done=0)`: train; the numbers of the steps that were drawn."""

    def run(*callbacks: Callback, stop: StopRequest | None = None, num_done: int = 0, **config: Any) -> list[int]:
        drawn = []

        def steps() -> Iterator[StepData]:
            for number in range(num_done + 1, NUM_STEPS + 1):
                drawn.append(number)
                yield step_data(([[0]], [[0]]), number=number)

        earlier = StepRecord(
            step=num_done, epoch=0, loss=1, lr=1, grad_norm=1, tokens_seen=1, examples_seen=1, seconds=1
        )
        model = table([[-1.0, 1.0]])
        trainer = Trainer(model, TrainConfig(**config), num_steps=NUM_STEPS, after=earlier if num_done else None)
        start = RunStart(run=Path("run"), settings={}, model=model, num_steps=NUM_STEPS, num_done=num_done)
        train(steps(), trainer, EveryThird(), callbacks, start=start, stop=stop or StopRequest())
        return drawn

    return run


def test_callbacks_hear_everything_in_order(go: Callable) -> None:
    diary = Diary([], pauses=(2, 3))
    go(diary)
    assert diary.pages == [
        *("start 0/6", "eval 0", "step 1", "step 2", "pause 2", "step 3", "eval 3", "pause 3"),
        *("step 4", "step 5", "step 6", "eval 6", "last 6", "finished 6/6"),
    ]


def test_queued_steps_are_read_together_and_before_the_weights_are_used(go: Callable) -> None:
    class Counting(Diary):
        """Notes how many steps were drawn when it hears of one."""

        def on_step(self, record: StepRecord) -> None:
            self.pages.append(f"step {record.step}")

        def pauses_after(self, step: int) -> bool:
            self.pages.append(f"took {step}")
            return step == 5

    diary = Counting([])
    go(diary, log_every=4)
    assert diary.pages == [
        *("start 0/6", "eval 0", "took 1", "took 2", "took 3", "step 1", "step 2", "step 3", "eval 3"),
        *("took 4", "took 5", "step 4", "step 5", "pause 5", "took 6", "step 6", "eval 6", "last 6", "finished 6/6"),
    ]


def test_a_record_has_all_figures_of_its_step(go: Callable) -> None:
    seen: list[StepRecord] = []

    class Keeping(Callback):
        def on_step(self, record: StepRecord) -> None:
            seen.append(record)

    go(Keeping(), lr=0.5, schedule="linear", log_every=4)
    assert [record.lr for record in seen] == pytest.approx([0.5 * left / 6 for left in (6, 5, 4, 3, 2, 1)])
    # the gradient of ln(1 + e^2) by both logits is -0.8808 and 0.8808
    assert (seen[0].loss, seen[0].grad_norm) == pytest.approx((2.1269, 2**0.5 * 0.8808), abs=1e-4)
    assert [record.tokens_seen for record in seen] == [2, 4, 6, 8, 10, 12]
    assert all(record.seconds > 0 for record in seen)


def test_callbacks_are_called_one_after_the_other_and_ended_in_the_opposite_order(go: Callable) -> None:
    pages: list[str] = []
    go(Diary(pages, "a "), Diary(pages, "b "), num_done=5)
    assert pages == [
        *("a start 5/6", "b start 5/6", "a step 6", "b step 6", "a eval 6", "b eval 6", "a last 6", "b last 6"),
        *("b finished 6/6", "a finished 6/6"),
    ]


def test_nothing_is_drawn_after_the_step_that_a_callback_wants_as_the_last(go: Callable) -> None:
    diary = Diary([], last=2)
    assert go(diary) == [1, 2]
    assert diary.pages[-2:] == ["last 2", "stopped-early 2/6"]


def test_a_callback_that_never_wanted_to_start_still_gets_one_step(go: Callable) -> None:
    diary = Diary([], last=0)
    assert go(diary) == [1]


def test_a_resumed_training_that_was_over_takes_no_step(go: Callable) -> None:
    diary = Diary([], last=0)
    assert go(diary, num_done=3) == []
    assert diary.pages == ["start 3/6", "stopped-early 3/6"]


def test_a_request_to_stop_ends_it_after_the_step_with_a_last_pause(go: Callable) -> None:
    stop = StopRequest()

    class Asking(Diary):
        def on_step(self, record: StepRecord) -> None:
            super().on_step(record)
            stop.requested = record.step == 4

    diary = Asking([])
    assert go(diary, stop=stop) == [1, 2, 3, 4]
    assert diary.pages[-3:] == ["step 4", "last 4", "interrupted 4/6"]


def test_a_request_to_stop_during_a_pause_is_obeyed_there(go: Callable) -> None:
    stop = StopRequest()

    class Asking(Diary):
        def on_pause(self, pause: Pause) -> None:
            super().on_pause(pause)
            stop.requested = True

    diary = Asking([], pauses=(2,))
    assert go(diary, stop=stop) == [1, 2]
    assert diary.pages[-2:] == ["pause 2", "interrupted 2/6"]


@pytest.mark.parametrize(
    ("error", "how"), [(TrainingError("loss nan"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_every_callback_hears_how_it_failed(error: BaseException, how: str, go: Callable) -> None:
    class Failing(Callback):
        def on_step(self, record: StepRecord) -> None:
            raise error

    first, second = Diary([]), Diary([])
    with pytest.raises(type(error)):
        go(first, Failing(), second)
    assert [one.end for one in (first, second)] == [RunEnd(how=how, num_done=1, num_steps=6, error=error)] * 2


def test_the_first_error_is_told_even_if_a_callback_cannot_end(go: Callable) -> None:
    class Failing(Callback):
        def on_step(self, record: StepRecord) -> None:
            raise ValueError("first")

        def on_run_end(self, end: RunEnd) -> None:
            raise ValueError("second")

    diary = Diary([])
    with pytest.raises(PluginError, match="failed in on_step: ValueError: first"):
        go(diary, *walled([Failing()]))
    assert diary.pages[-1] == "failed 1/6"


def test_an_error_at_the_end_is_told_and_the_others_are_still_ended(go: Callable) -> None:
    class Failing(Callback):
        def on_run_end(self, end: RunEnd) -> None:
            raise ValueError("cannot close")

    diary = Diary([])
    with pytest.raises(PluginError, match="failed in on_run_end: ValueError: cannot close"):
        go(diary, *walled([Failing()]))
    assert diary.pages[-1] == "failed 6/6"


def test_a_callback_that_could_not_start_is_not_ended_but_those_before_it_are(go: Callable) -> None:
    class Failing(Diary):
        def on_run_start(self, start: RunStart) -> None:
            raise ValueError("no server")

    pages: list[str] = []
    with pytest.raises(PluginError, match="failed in on_run_start: ValueError: no server"):
        go(Diary(pages, "a "), *walled([Failing(pages, "b ")]))
    assert pages == ["a start 0/6", "a failed 0/6"]
