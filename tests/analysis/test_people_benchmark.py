"""The benchmark of people's labels keeps what the docs say of it, on few draws."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.people_labels import overlap, read, row, rows
from sftframe import JudgeItem


def test_the_plain_judge_takes_points_from_words():
    def judged(answer: str) -> float:
        item = JudgeItem(index=0, instruction="Who?", input="", reference="Ada Lovelace/Lovelace", answer=answer)
        return overlap(item)

    assert judged("Lovelace") == 100
    assert judged("It was Ada Lovelace.") == pytest.approx(200 * 2 / 6)
    assert judged("") == 0


def test_every_judge_pair_and_number_has_a_row(tmp_path: Path):
    entries = [
        {
            "instruction": f"Question {i}?",
            "input": "",
            "output": "yes",
            **{f"answer_{name}": "yes" if i % (2 + k) else "it is no" for k, name in enumerate("abc")},
            **{f"human_{name}": bool(i % (2 + k)) for k, name in enumerate("abc")},
        }
        for i in range(60)
    ]
    (tmp_path / "f.json").write_text(json.dumps(entries))
    found = rows(tmp_path / "f.json", 3, numbers=(20,))
    assert [(one.judge, one.pair) for one in found] == [
        (judge, pair) for judge in ("reference", "overlap") for pair in ("a and b", "a and c", "b and c")
    ]
    assert found[0].people == pytest.approx(100 * (40 - 30) / 60)


def test_labels_correct_a_judge_that_reverses_the_truth():
    folder = os.environ.get("SFTFRAME_TEST_DATA") or Path(__file__).parents[2] / "../shared/data"
    path = Path(folder) / "judged/natural-questions.json"
    if not path.is_file():
        pytest.skip(f"no answers with people's labels at {path}; SFTFRAME_TEST_DATA names the folder above")
    items, people = read(path)
    pair = ("fid", "gpt4")
    judge = np.array([[overlap(item) for item in items[name]] for name in pair])
    found = row("overlap", pair, judge, np.array([people[name] for name in pair]), 100, 60)
    assert found.judge_alone < -40
    assert found.people > 10
    assert found.coverage >= 0.88
    assert found.wrong == 0
    assert found.right > 0.5
