"""Likelihoods, answers and verdicts in files that can be gone on with."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sftframe import CausalLM, Judge, JudgeItem, ModelBackend, Summary, Verdict, hookimpl, run
from sftframe.config import Layer, RunConfig
from sftframe.errors import ConfigError, ModelError
from sftframe.pipeline import Session
from sftframe.pipeline.answers import read_yardsticks
from sftframe.progress import Observer

pytestmark = pytest.mark.usefixtures("plain_drawings")


@pytest.fixture
def session(finished: Path, toys: Any) -> Session:
    """A finished run, opened again."""
    return Session.reopen(finished, toys.registry, Observer())


def test_the_files_come_back_as_the_records_that_were_written(session: Session, read_lines: Callable) -> None:
    files = session.folder.answers("after")
    responses = files.known_responses()
    assert {type(response.ids) for response in responses} == {tuple}
    assert [response.text for response in responses] == [line["text"] for line in read_lines(files.responses)]
    assert [item.index for item in files.known_likelihoods()] == [34, 35, 36, 37]
    assert [verdict.index for verdict in files.known_verdicts("toy-judge v1")] == [34, 35, 36, 37]


def test_verdicts_of_other_judges_are_left_aside(session: Session) -> None:
    assert session.folder.answers("after").known_verdicts("ollama llama3") == []


def verdict_line(index: int, score: float, judge: str) -> str:
    return json.dumps({"index": index, "status": "ok", "score": score, "judge": judge}) + "\n"


def test_a_judges_last_word_on_an_item_counts(session: Session) -> None:
    files = session.folder.answers("after")
    with files.verdicts.open("a", encoding="utf-8") as file:
        file.write(verdict_line(35, 7.0, "toy-judge v1") + verdict_line(36, 1.0, "another"))
    found = {verdict.index: verdict.score for verdict in files.known_verdicts("toy-judge v1")}
    assert found == {34: 50.0, 35: 7.0, 36: 50.0, 37: 50.0}


def test_a_judge_that_is_not_through_has_its_mean_over_what_it_scored_of_all_answers(session: Session) -> None:
    files = session.folder.answers("after")
    files.verdicts.write_text(verdict_line(34, 10.0, "new") + verdict_line(35, 20.0, "new"), encoding="utf-8")
    measured = read_yardsticks(files, session.setup.prepared, "new")
    assert measured is not None
    assert measured.judge is not None
    assert (measured.judge.mean, measured.judge.num_scored, measured.judge.num_items) == (15.0, 2, 4)


def test_without_likelihoods_nothing_was_measured(session: Session) -> None:
    files = session.folder.answers("after")
    files.forget()
    assert read_yardsticks(files, session.setup.prepared, "toy-judge v1") is None


def test_a_file_of_another_version_is_told(session: Session) -> None:
    files = session.folder.answers("after")
    files.responses.write_text('{"index": 1, "answer": "x"}\n', encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"responses\.jsonl, line 1: text: expected a value, found none; .*another version"
    ):
        files.known_responses()


def test_likelihoods_are_those_of_the_weights_in_the_folder(
    session: Session, toy_backend: type[ModelBackend], finished: Path
) -> None:
    model = toy_backend().load(device="cpu", dtype="float32", seed=0, saved=finished / "model")
    found = session.folder.answers("after").known_likelihoods()[0]
    text = "Q: After 34?\nA: It is 35. Yes."
    ids = torch.tensor([[*text.encode(), 256]])
    with torch.no_grad():
        nll = -model.module(ids)[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]  # (T - 1,)
    num_prompt = len("Q: After 34?\nA:")
    assert found.response_nll == pytest.approx(float(nll[num_prompt - 1 :].sum()), rel=1e-5)
    assert found.prompt_nll == pytest.approx(float(nll[: num_prompt - 1].sum()), rel=1e-5)
    assert (found.num_prompt_tokens, found.num_response_tokens) == (num_prompt - 1, len(" It is 35. Yes.") + 1)
    assert found.num_response_bytes == len("It is 35. Yes.")


def test_an_answer_that_was_cut_is_measured_over_the_bytes_that_are_left(
    whole_run: Callable[..., Summary], read_lines: Callable, tmp_path: Path
) -> None:
    # "Q: After 35?" and so on with two more "Yes.": 15 tokens of prompt, 20 of response and the end
    whole_run(tokens={"max_length": 25, "over_long": "truncate-end"}, before=False, train={"max_steps": 1})
    cut = {line["index"]: line for line in read_lines(tmp_path / "run" / "likelihoods.jsonl")}[35]
    assert (cut["num_response_tokens"], cut["num_response_bytes"]) == (10, 10)


def test_damaged_weights_are_named_before_anything_is_spent_on_them(
    layer: Callable[..., Layer], make_toys: Callable[..., Any], toy_backend: type[ModelBackend]
) -> None:
    class Damaged(toy_backend):  # type: ignore[misc,valid-type]
        def load(self, **given: Any) -> CausalLM:
            model = super().load(**given)
            with torch.no_grad():
                model.module.head.weight[0, 0] = math.nan
            return model

    with pytest.raises(
        ModelError, match=r"the model \(before fine-tuning\) gives test example 34 a likelihood that is not finite"
    ):
        run(RunConfig(**layer()), registry=make_toys(backend=Damaged).registry)


def test_a_verdict_is_filed_under_the_judges_identity_whatever_it_says_itself(
    layer: Callable[..., Layer], toys: Any, read_lines: Callable, tmp_path: Path
) -> None:
    class Vague(Judge):
        name = "vague"
        summary = "calls itself otherwise in every verdict"

        def score(self, items: Sequence[JudgeItem]) -> Any:
            for item in items:
                yield Verdict(index=item.index, status="ok", score=1.0, judge=f"I, {item.index}")

    class Plugin:
        @hookimpl
        def sftframe_judges(self) -> list[type[Judge]]:
            return [Vague]

    registry = toys.registry.with_plugin(Plugin(), "vague")
    summary = run(RunConfig(**layer(judge="vague", before=False, train={"max_steps": 1})), registry=registry)
    assert {line["judge"] for line in read_lines(tmp_path / "run" / "verdicts.jsonl")} == {"vague"}
    assert summary.after is not None
    assert summary.after.judge is not None
    assert summary.after.judge.num_scored == 4
