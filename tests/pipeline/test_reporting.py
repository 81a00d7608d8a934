"""The report part of a run: made from the folder's files alone, and made again from them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe import Summary
from sftframe.pipeline import Session
from sftframe.pipeline.answers import answered_items
from sftframe.progress import Observer


@pytest.fixture
def session(finished: Path, toys: Any) -> Session:
    """A finished run, opened again."""
    return Session.reopen(finished, toys.registry, Observer())


def test_a_report_made_again_says_the_same(session: Session, finished: Path) -> None:
    written = {name: (finished / name).read_bytes() for name in ("summary.json", "report.html", "loss.png")}
    for name in written:
        (finished / name).unlink()
    session.report()
    again = json.loads((finished / "summary.json").read_bytes())
    assert {**again, "run": ""} == {**json.loads(written["summary.json"]), "run": ""}
    assert all((finished / name).stat().st_size > 1000 for name in ("report.html", "loss.png"))


def test_the_summary_has_the_length_report(whole_run: Callable[..., Summary]) -> None:
    # every third answer has no "Yes." (23 tokens and more), the others 28 and more
    summary = whole_run(
        tokens={"max_length": 27, "over_long": "drop"}, before=False, train={"max_steps": 1, "batch_size": 2}
    )
    assert summary.length_report == {
        "num_examples": 40,
        "longest": 36,
        "max_length": 27,
        "num_over": 26,
        "num_dropped": 26,
        "num_truncated": 0,
        "num_tokens_cut": 0,
    }
    assert summary.after is not None
    assert summary.after.judge is not None
    assert summary.after.judge.num_items == 1


def test_a_run_without_training_has_no_figures_of_it(start: Callable[..., Session]) -> None:
    summary = start().report()
    assert (summary.train, summary.before, summary.after) == (None, None, None)


def test_answered_items_come_in_the_order_of_the_data_with_their_verdicts(session: Session) -> None:
    found = answered_items(session.folder.answers("after"), session.setup.prepared, "toy-judge v1")
    assert [item.index for item in found] == [34, 35, 36, 37]
    assert [item.reference for item in found] == [example.output for example in session.setup.prepared.test_examples()]
    verdicts = {verdict.index: verdict.score for verdict in session.folder.answers("after").all_verdicts()}
    assert {item.index: item.score for item in found} == verdicts
    assert {item.verdict for item in found} == {"ok"}


def test_the_report_shows_the_first_training_examples_as_they_are_trained_on(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "After" in page
    assert "toy-judge v1" in page
    assert "mask-pad" in page


def test_every_test_item_has_a_line_with_all_that_is_known_of_it(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = {
        record["index"]: record["text"]
        for record in map(json.loads, (finished / "responses.jsonl").read_text(encoding="utf-8").splitlines())
    }
    assert [line["index"] for line in lines] == [34, 35, 36, 37]  # 34 of 40 train
    assert {line["index"]: line["answer"] for line in lines} == answers
    first = lines[0]
    assert (first["instruction"], first["reference"]) == ("After 34?", "It is 35. Yes.")
    assert first["num_response_bytes"] == 14
    assert (first["verdict"], first["score"]) == ("ok", 50.0)
    assert sum(line["response_nll"] for line in lines) / sum(line["num_response_bytes"] for line in lines) == (
        pytest.approx(json.loads((finished / "summary.json").read_text())["after"]["response_nll_per_byte"])
    )
