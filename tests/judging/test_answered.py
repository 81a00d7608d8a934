"""Answers read back from a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sftframe.errors import ConfigError
from sftframe.judging import is_answer_file
from sftframe.judging.files import read_answered_run

QUESTION = {
    "index": 40,
    "instruction": "Name it.",
    "input": "France",
    "reference": "Paris.",
    "answer": "Lyon.",
    "stop_reason": "end",
    "response_nll": 1.0,
    "num_response_bytes": 6,
    "score": 0.0,
    "verdict": "ok",
    "reason": "another city",
}


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """What comparing reads of a run, and nothing else."""
    (tmp_path / "config.toml").write_text("seed = 1\n")
    (tmp_path / "manifest.json").write_text('{"data": {"sha256": "abc"}}')
    (tmp_path / "items.jsonl").write_text(lines(QUESTION))
    (tmp_path / "responses.jsonl").write_text(lines({"index": 40, "text": "Nice.", "ids": [1], "stop_reason": "end"}))
    verdict = {"index": 40, "status": "ok", "score": 5.0, "reason": "", "raw": "", "judge": "j#1"}
    (tmp_path / "verdicts.jsonl").write_text(lines(verdict, {**verdict, "score": 6.0}))
    return tmp_path


def test_the_answer_is_that_of_the_last_generation_whatever_the_report_had(run_dir: Path) -> None:
    found = read_answered_run(run_dir)
    assert [(item.index, item.input, item.reference, item.answer) for item in found.items] == [
        (40, "France", "Paris.", "Nice.")
    ]
    assert found.data_sha256 == "abc"


def test_a_judges_last_word_is_known(run_dir: Path) -> None:
    assert read_answered_run(run_dir).verdicts["j#1"][40].score == 6.0


@pytest.mark.parametrize("name", ["items.jsonl", "responses.jsonl"])
def test_a_run_that_is_not_finished_is_refused_with_the_remedy(run_dir: Path, name: str) -> None:
    (run_dir / name).unlink()
    with pytest.raises(ConfigError, match=f"is not finished: continue it with sftframe run --resume {run_dir}"):
        read_answered_run(run_dir)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("items.jsonl", '{"index": "forty"}\n', r"items\.jsonl, line 1: index: expected"),
        ("responses.jsonl", "{}\n", r"responses\.jsonl, line 1: index: expected a value, found none"),
        ("responses.jsonl", "", "has no answer to test item 40"),
        ("verdicts.jsonl", '{"index": 1}\n', r"verdicts\.jsonl, line 1"),
        ("manifest.json", "[]", r"manifest\.json: expected a JSON object"),
        ("manifest.json", "{}", r"manifest\.json does not record the data"),
    ],
)
def test_a_damaged_file_is_named(run_dir: Path, name: str, content: str, message: str) -> None:
    (run_dir / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_answered_run(run_dir)


def test_a_path_is_a_file_of_answers_when_it_is_one_or_looks_like_one(tmp_path: Path) -> None:
    (tmp_path / "odd.name").write_text("[]")
    (tmp_path / "folder.json").mkdir()
    assert is_answer_file(tmp_path / "odd.name")
    assert is_answer_file(tmp_path / "lost.jsonl")
    assert not is_answer_file(tmp_path / "folder.json")
    assert not is_answer_file(tmp_path / "runs" / "gpt2-nano-1")


def test_a_run_keeps_all_accepted_references(run_dir: Path) -> None:
    (run_dir / "items.jsonl").write_text(lines({**QUESTION, "references": ["Lutetia."]}))
    (item,) = read_answered_run(run_dir).items
    assert item.accepted == ("Paris.", "Lutetia.")
