"""A fine-tuning run that never was, with all that a real one leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import pytest

from sftframe.records import (
    EvalRecord,
    Example,
    JudgeSummary,
    Response,
    StepRecord,
    Summary,
    TrainSummary,
    Verdict,
    Yardsticks,
)
from sftframe.report import ReportInput, read_curves
from sftframe.report.run_tables import ShownToken

ITEMS = (
    ("Name the opposite of the adjective.", "heavy", "The opposite of heavy is light."),
    ("Rewrite the sentence in the passive voice.", "The keeper fed the seal.", "The seal was fed by the keeper."),
    ("Convert 3 kilometers to meters.", "", "3 kilometers is 3,000 meters."),
    ("What is the capital of Portugal?", "", "The capital of Portugal is Lisbon."),
    ("Sort the list from A to Z.", "pear, apple, fig", "The sorted list is apple, fig, pear."),
    ("Complete the sentence with a simile: The night was as dark as", "", "The night was as dark as coal."),
    ("Turn the question into a statement.", "Did the fox cross the river?", "The fox crossed the river."),
)
WRONG = "The opposite of the list is the list of the list."


@pytest.fixture(scope="session")
def metrics_lines() -> Callable[..., list[dict[str, Any]]]:
    """Lines of `metrics.jsonl`: `(num_steps, eval_every)`, 0 for no evaluations."""

    def make(num_steps: int, eval_every: int = 0) -> list[dict[str, Any]]:
        steps = [_step(step) for step in range(1, num_steps + 1)]
        evals = [_eval(step) for step in range(0, num_steps + 1, eval_every)] if eval_every else []
        lines = [{"kind": "step", **asdict(step)} for step in steps]
        return lines + [{"kind": "eval", **asdict(evaluation)} for evaluation in evals]

    return make


@pytest.fixture(scope="session")
def summary() -> Summary:
    """The summary of `report_input(7)`'s run, but for figures that are told apart by their digits."""
    return Summary(
        run="runs/2024-05-17-alpaca-mask-pad",
        prompt="alpaca",
        collate="mask-pad",
        model="gpt2-nano",
        data="starter",
        seed=123,
        before=Yardsticks(
            response_nll_per_token=3.4127,
            response_nll_per_byte=0.9283,
            prompt_nll_per_token=2.8719,
            exact_match=0.0,
            stop_rate=0.0364,
            length_ratio=7.6512,
            judge=JudgeSummary(name="reference", mean=12.34, ci95=(10.87, 13.81), num_scored=110, num_items=110),
        ),
        after=Yardsticks(
            response_nll_per_token=0.4061,
            response_nll_per_byte=0.1105,
            prompt_nll_per_token=0.7394,
            exact_match=0.6182,
            stop_rate=0.9909,
            length_ratio=1.0238,
            judge=JudgeSummary(name="reference", mean=78.91, ci95=(72.46, 85.36), num_scored=107, num_items=110),
        ),
        train=TrainSummary(
            steps=234,
            examples_seen=1870,
            tokens_seen=105_468,
            seconds=27.4,
            tokens_per_s=3849.2,
            peak_memory_bytes=611 * 2**20,
            counted_share={
                "template": 0.9612,
                "instruction": 1.0,
                "input": 1.0,
                "response": 1.0,
                "end": 1.0,
                "padding": 0.0,
            },
        ),
        length_report={"num_examples": 935, "longest": 131, "num_dropped": 0, "num_truncated": 2},
    )


@pytest.fixture(scope="session")
def report_input(summary: Summary, metrics_lines: Callable[..., list[dict[str, Any]]]) -> Callable[[int], ReportInput]:
    """A whole run with so many test items."""

    def make(num_items: int) -> ReportInput:
        examples = [_example(index) for index in range(935, 935 + num_items)]
        before = [_untuned(example) for example in examples]
        after = [_tuned(example) for example in examples]
        return ReportInput(
            summary=summary,
            curves=read_curves(metrics_lines(234, 26)),
            examples=examples,
            responses_before=before,
            responses=after,
            verdicts_before=[_verdict(example, answer) for example, answer in zip(examples, before, strict=True)],
            verdicts=[_verdict(example, answer) for example, answer in zip(examples, after, strict=True)],
            token_examples=[_tokens(example) for example in examples[:3]],
            manifest=MANIFEST,
            config_toml='seed = 123\n\n[prompt]\nname = "alpaca"\n\n[train]\nepochs = 2.0\nlr = 5e-05\n',
        )

    return make


MANIFEST: Mapping[str, Any] = {
    "created": "2024-05-17T09:31:04+00:00",
    "versions": {"sftframe": "0.1.0", "python": "3.11.9", "torch": "2.7.0", "numpy": "2.0.2"},
    "plugins": {
        "prompt": {"id": "sftframe:prompts", "component": "alpaca", "version": "0.1.0"},
        "collate": {"id": "sftframe:collate", "component": "mask-pad", "version": "0.1.0"},
    },
    "data": {"source": "starter", "sha256": "5f2d9c1e" * 8, "train": 935, "test": 110, "validation": 55},
    "template": {"sha256": "a90b4c77" * 8, "stop_strings": []},
    "seeds": {"run": 123},
    "machine": {"platform": "Linux-6.1-x86_64", "cpu": "8 cores", "device": "cpu", "threads": 8},
}


def _step(step: int) -> StepRecord:
    noise = 0.25 * math.sin(12.9 * step) * math.cos(4.1 * step)
    return StepRecord(
        step=step,
        epoch=step / 117,
        loss=3.6 * math.exp(-step / 30) + 0.7 + noise,
        lr=5e-4,
        grad_norm=1.1,
        tokens_seen=450 * step,
        examples_seen=8 * step,
        seconds=0.117 * step,
    )


def _eval(step: int) -> EvalRecord:
    return EvalRecord(
        step=step,
        tokens_seen=450 * step,
        validation_loss=3.7 * math.exp(-step / 30) + 0.82,
        response_nll_per_token=3.0 * math.exp(-step / 40) + 0.41,
        response_nll_per_byte=0.8 * math.exp(-step / 40) + 0.11,
        prompt_nll_per_token=2.1 * math.exp(-step / 30) + 0.74,
        sample_index=1046,
        sample_text=WRONG if step < 60 else "The plural of goose is geese.",
    )


def _example(index: int) -> Example:
    instruction, given, output = ITEMS[index % len(ITEMS)]
    return Example(instruction=instruction, input=given, output=output, index=index)


def _untuned(example: Example) -> Response:
    text = " ".join([example.input or example.instruction, WRONG] * (14 if example.index % 5 == 0 else 2))
    return Response(index=example.index, text=text, ids=tuple(range(60)), stop_reason="length")


def _tuned(example: Example) -> Response:
    if example.index % 17 == 0:
        return Response(index=example.index, text="", ids=(), stop_reason="end")
    text = WRONG if example.index % 3 == 0 else example.output
    is_cut = example.index % 29 == 0
    return Response(index=example.index, text=text, ids=tuple(range(12)), stop_reason="length" if is_cut else "end")


def _verdict(example: Example, answer: Response) -> Verdict:
    if answer.stop_reason == "end" and example.index % 41 == 0:
        return Verdict(index=example.index, status="unparsable", score=None, raw="I would say it is fine.", judge="j")
    if answer.text == example.output:
        return Verdict(
            index=example.index, status="ok", score=100.0, reason="equal to the reference", judge="reference"
        )
    score = float(8 + example.index % 23)
    return Verdict(index=example.index, status="ok", score=score, reason="chrF++ with the reference", judge="reference")


def _tokens(example: Example) -> list[ShownToken]:
    pieces = [
        ("template", "Below is an instruction that describes a task .\n\n### Instruction:\n"),
        ("instruction", example.instruction),
        ("template", "\n\n### Input:\n"),
        ("input", example.input),
        ("template", "\n\n### Response:\n"),
        ("response", example.output),
        ("end", "<|endoftext|>"),
    ]
    words = [(word, role) for role, text in pieces for word in _words(text)]
    return [
        ShownToken(word, role, position > 0, 1.0 if position else 0.0) for position, (word, role) in enumerate(words)
    ]


def _words(text: str) -> list[str]:
    return [f" {word}" if position else word for position, word in enumerate(text.split(" ")) if word]
