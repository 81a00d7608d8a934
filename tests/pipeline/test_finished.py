"""A finished run put to use: opened without its data, answering as it did, told while it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from sftframe import CausalLM, Completion, ConfigError, Example, ModelError, PluginError, PromptStyle, RunConfig
from sftframe.files import read_json_lines
from sftframe.pipeline import FinishedRun, Session, TunedModel
from sftframe.progress import Observer
from sftframe.records import GenerationSettings

Start = Callable[..., Session]


@pytest.fixture
def run_dir(start: Start, tmp_path: Path) -> Path:
    """A run of two steps with its answers."""
    session = start(train={"max_steps": 2})
    session.train()
    session.answer()
    return tmp_path / "run"


def test_it_answers_as_the_run_did_without_its_data(run_dir: Path, toys: Any, data_file: Path) -> None:
    config = (run_dir / "config.toml").read_text(encoding="utf-8")
    (run_dir / "config.toml").write_text(config.replace(str(data_file), "/gone.json"), encoding="utf-8")
    tuned = FinishedRun.open(run_dir, toys.registry).load(Observer())
    written = read_json_lines(run_dir / "responses.jsonl")
    assert len(written) == 4
    for line in written:
        example = Example(index=line["index"], instruction=f"After {line['index']}?", output="")
        response = tuned.answer(example, lambda text: None)
        assert (response.text, list(response.ids), response.stop_reason) == (
            line["text"],
            line["ids"],
            line["stop_reason"],
        )


def test_a_run_without_a_model_says_how_to_make_one(start: Start, toys: Any, tmp_path: Path) -> None:
    start()
    with pytest.raises(ConfigError, match=r"run has no model yet: train it first with sftframe run --resume .*run$"):
        FinishedRun.open(tmp_path / "run", toys.registry)


def test_a_style_that_renders_otherwise_than_in_training_is_refused(run_dir: Path, toys: Any) -> None:
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    manifest["template"]["sha256"] = "0" * 64
    (run_dir / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(PluginError, match="prompt style 'brief' renders differently from when this run was trained"):
        FinishedRun.open(run_dir, toys.registry)


def test_what_the_run_was_made_with_cannot_be_set(run_dir: Path, toys: Any) -> None:
    with pytest.raises(ConfigError, match=r"prompt\.name is 'brief' in the run .* and cannot become 'alpaca'"):
        FinishedRun.open(run_dir, toys.registry, {"prompt": {"name": "alpaca"}})


def test_how_it_answers_can_be_set(run_dir: Path, toys: Any) -> None:
    run = FinishedRun.open(run_dir, toys.registry, {"generate": {"max_new_tokens": 2}})
    response = run.load(Observer()).answer(Example(index=0, instruction="After 3?", output=""), lambda text: None)
    assert (len(response.ids), response.stop_reason) == (2, "length")


class Reciter(CausalLM):
    """Streams fixed pieces, and remembers how it was asked."""

    def __init__(self, tokenizer: Any, pieces: Sequence[str]) -> None:
        super().__init__(nn.Linear(1, 1), tokenizer, context_length=32)
        self.pieces = pieces
        self.asked: list[GenerationSettings] = []

    def stream(self, prompt: Sequence[int], settings: GenerationSettings, on_text: Callable[[str], None]) -> Completion:
        self.asked.append(settings)
        for piece in self.pieces:
            on_text(piece)
        return Completion(position=0, ids=(1, 2), text="".join(self.pieces), stop_reason="end")

    def generate(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> Iterator[Completion]:
        raise AssertionError("a single answer is streamed")

    def save(self, folder: Path) -> None:
        raise AssertionError("never saved")


@pytest.fixture
def make_tuned(tokenizer: Any, brief_style: PromptStyle) -> Callable[..., TunedModel]:
    def make(*pieces: str, style: PromptStyle = brief_style, **generate: Any) -> TunedModel:
        config = RunConfig(seed=40, generate=generate)
        return TunedModel(config=config, style=style, model=Reciter(tokenizer, pieces))

    return make


QUESTION = Example(index=3, instruction="Hi?", output="")
"""`Q: Hi?` and `A:` on the next line: 9 bytes, which are 9 tokens here."""


def told(tuned: TunedModel) -> tuple[list[str], str]:
    pieces: list[str] = []
    return pieces, tuned.answer(QUESTION, pieces.append).text


def test_the_white_space_around_an_answer_is_not_told(make_tuned: Callable[..., TunedModel]) -> None:
    assert told(make_tuned(" ", " Well", ",", " ", "\n", "yes ", "\n")) == (["Well", ",", " \nyes"], "Well, \nyes")


def test_an_answer_of_nothing_but_white_space_tells_nothing(make_tuned: Callable[..., TunedModel]) -> None:
    assert told(make_tuned(" ", "\n")) == ([], "")


def test_a_style_that_extracts_in_its_own_way_is_told_when_the_answer_is_whole(
    make_tuned: Callable[..., TunedModel], brief_style: PromptStyle
) -> None:
    class LastLine(type(brief_style)):  # type: ignore[misc]
        def extract(self, text: str) -> str:
            return text.splitlines()[-1]

    assert told(make_tuned("thinking", "…\n", "fo", "ur", style=LastLine())) == (["four"], "four")


def test_sampling_starts_with_the_runs_seed_unless_another_is_given(make_tuned: Callable[..., TunedModel]) -> None:
    tuned = make_tuned("x", temperature=0.5)
    tuned.answer(QUESTION, lambda text: None)
    tuned.answer(QUESTION, lambda text: None, seed=7)
    assert [(settings.seed, settings.temperature) for settings in tuned.model.asked] == [(40, 0.5), (7, 0.5)]


@pytest.mark.parametrize(("wanted", "given"), [(5, 5), (23, 23), (24, 23), (1000, 23)])
def test_an_answer_gets_no_more_than_the_context_has_left(
    make_tuned: Callable[..., TunedModel], wanted: int, given: int
) -> None:
    """Of 32 positions the prompt takes 9."""
    tuned = make_tuned("x", max_new_tokens=wanted)
    tuned.answer(QUESTION, lambda text: None)
    assert tuned.model.asked[0].max_new_tokens == given


def test_a_model_that_forgets_may_write_as_much_as_was_asked_for(make_tuned: Callable[..., TunedModel]) -> None:
    tuned = make_tuned("x", max_new_tokens=1000, on_overflow="slide")
    tuned.answer(QUESTION, lambda text: None)
    assert tuned.model.asked[0].max_new_tokens == 1000


def test_a_prompt_that_fills_the_context_is_refused(make_tuned: Callable[..., TunedModel]) -> None:
    long = Example(index=0, instruction="x" * 26, output="")
    with pytest.raises(ModelError, match="the prompt has 32 tokens, but the model's context is 32: shorten it, or "):
        make_tuned("x").answer(long, lambda text: None)
