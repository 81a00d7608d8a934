"""Callbacks: what ends a training early, what an observer hears, and the wall around other people's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import Callback, CausalLM, ConfigError, EvalRecord, PluginError, Sample, StepRecord
from sftframe.training import EarlyStopping, Pause, RunEnd, RunStart, walled

STEP = StepRecord(step=1, epoch=0.1, loss=2.0, lr=0.5, grad_norm=3.0, tokens_seen=7, examples_seen=1, seconds=0.5)
SAMPLE = Sample(instruction="Why?", input="", reference="So.", answer="So.")


def evaluation(step: int, value: float) -> EvalRecord:
    return EvalRecord(
        step=step,
        tokens_seen=step,
        validation_loss=1.0,
        response_nll_per_token=value,
        response_nll_per_byte=1.0,
        prompt_nll_per_token=1.0,
        sample_index=0,
        sample_text="So.",
    )


def verdicts(stopping: EarlyStopping, *values: float, first: int = 1) -> list[bool]:
    found = []
    for step, value in enumerate(values, start=first):
        stopping.on_evaluation(evaluation(step, value), SAMPLE)
        found.append(stopping.wants_stop)
    return found


def test_training_is_over_after_so_many_evaluations_without_a_new_lowest() -> None:
    over = verdicts(EarlyStopping(2), 3.0, 2.0, 2.5, 1.9, 1.9, 2.2)
    assert over == [False, False, False, False, False, True]


def test_evaluations_before_an_interruption_count() -> None:
    stopping = EarlyStopping(2, past=[2.0, 2.5])
    assert not stopping.wants_stop
    assert verdicts(stopping, 2.4, first=15) == [True]


def test_the_untuned_models_evaluation_is_no_mark_to_beat() -> None:
    assert verdicts(EarlyStopping(1), 0.1, 2.0, 3.0, first=0) == [False, False, True]


CALLS: dict[str, Callable[[Callback], Any]] = {
    "on_run_start": lambda callback: None,
    "on_step": lambda callback: callback.on_step(STEP),
    "on_evaluation": lambda callback: callback.on_evaluation(evaluation(1, 2.0), SAMPLE),
    "pauses_after": lambda callback: callback.pauses_after(1),
    "on_pause": lambda callback: callback.on_pause(Pause(last=STEP, is_last=False)),
    "wants_stop": lambda callback: callback.wants_stop,
    "on_run_end": lambda callback: callback.on_run_end(RunEnd(how="finished", num_done=9, num_steps=9)),
}
"""Calls after the start, by the method's name."""


def started_and_called(callback: Callback, name: str, model: CausalLM) -> None:
    callback.on_run_start(RunStart(run=Path("runs/one"), settings={}, model=model, num_steps=9))
    CALLS[name](callback)


def test_every_method_of_a_callback_is_called_through_the_wall() -> None:
    assert set(CALLS) == {name for name in vars(Callback) if not name.startswith("_")}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("error", [ValueError("full"), SystemExit(0)])
def test_an_error_in_a_callback_names_it_with_its_place_and_says_how_to_continue(
    name: str, error: BaseException, make_model: Callable[..., CausalLM]
) -> None:
    def fail(*_: object) -> None:
        raise error

    kind = type("Board", (Callback,), {name: property(fail) if name == "wants_stop" else fail})
    (callback,) = walled([kind()])
    with pytest.raises(PluginError) as caught:
        started_and_called(callback, name, make_model())
    told = str(caught.value)
    assert told.startswith(f"callback {__name__}.Board failed in {name}: {type(error).__name__}: ")
    assert Path(__file__).name in told
    assert told.endswith("continue without it: sftframe run --resume runs/one")


def test_ctrl_c_and_messages_for_the_user_pass_the_wall() -> None:
    for error in (KeyboardInterrupt(), ConfigError("no such board")):

        class Stopping(Callback):
            def on_step(self, record: StepRecord, error: BaseException = error) -> None:
                raise error

        with pytest.raises(type(error)):
            walled([Stopping()])[0].on_step(STEP)


def test_what_a_callback_answers_passes_the_wall() -> None:
    class Wilful(Callback):
        wants_stop = True

        def pauses_after(self, step: int) -> bool:
            return step == 3

    (callback,) = walled([Wilful()])
    assert ([callback.pauses_after(step) for step in (2, 3)], callback.wants_stop) == ([False, True], True)
    (silent,) = walled([Callback()])
    assert (silent.pauses_after(1), silent.wants_stop) == (False, False)


@pytest.mark.parametrize(("given", "shown"), [(Callback, "the class Callback"), ("tracker", "'tracker'")])
def test_what_is_no_callback_is_refused(given: Any, shown: str) -> None:
    with pytest.raises(ConfigError, match=rf"expected objects of classes made from sftframe\.Callback, not {shown}"):
        walled([given])
