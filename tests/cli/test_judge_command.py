"""`sftframe judge` on runs and files; the judge is `installed/sftframe_fickle.py` where `reference` is too reliable."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("plain_drawings")

INSTALLED = Path(__file__).parent / "installed"
QUICK = ("--max-steps", "1", "--set", "generate.max_new_tokens=4", "--set", "before=false")


def answers(*texts: str) -> list[dict[str, str]]:
    """Entries in the chapter's shape, each with a question of its own."""
    return [
        {"instruction": f"Question {number}?", "input": "", "output": "Yes.", "model_response": text}
        for number, text in enumerate(texts)
    ]


def written(path: Path, entries: list[dict[str, str]]) -> Path:
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.fixture
def fickle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The judge `fickle` is installed, with a cache of its own; the log of its questions."""
    monkeypatch.syspath_prepend(INSTALLED)
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "log.txt"


def asked(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def test_a_files_verdicts_are_the_documented_document(cli: Any, tmp_path: Path) -> None:
    outcome = cli("judge", written(tmp_path / "a.json", answers("Yes.", "No.", "yes")), "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.json
    assert (document["judge"], document["num_items"], document["num_scored"]) == ("reference@3", 3, 3)
    assert [(row["index"], row["status"], row["score"]) for row in document["verdicts"]] == [
        (0, "ok", 100.0),
        (1, "ok", 0.0),
        (2, "ok", 100.0),
    ]
    assert document["mean"] == pytest.approx(200 / 3)
    assert document["ci95"][0] < document["mean"] < document["ci95"][1]
    assert all(isinstance(row["reason"], str) for row in document["verdicts"])


def test_json_lines_and_other_names_are_read(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"q": "Say yes.", "gold": "Yes.", "said": "Yes."}\n', encoding="utf-8")
    names = ("instruction=q", "output=gold", "response=said")
    outcome = cli("judge", "a.jsonl", "--json", *(word for name in names for word in ("--set", f"data.fields.{name}")))
    assert (outcome.code, outcome.json["mean"]) == (0, 100.0)


def test_a_run_gives_the_same_document_and_keeps_its_files(cli: Any, finished_run: Any, tmp_path: Path) -> None:
    shutil.copytree(finished_run.path, tmp_path / "mine")
    document = cli("judge", "mine", "--json").json
    assert (document["judge"], document["num_items"], document["num_scored"]) == ("reference@3", 2, 2)
    assert [row["index"] for row in document["verdicts"]] == [17, 18]
    summary = json.loads((tmp_path / "mine/summary.json").read_text(encoding="utf-8"))
    assert document["mean"] == summary["after"]["judge"]["mean"]


def test_a_run_without_answers_says_how_to_get_them(cli: Any, data_file: Path) -> None:
    assert cli("train", "--data", data_file, "--out", "mine", *QUICK).code == 0
    outcome = cli("judge", "mine")
    assert (outcome.code, outcome.last_line) == (
        2,
        "error: mine has no answers to judge yet: sftframe run --resume mine writes them",
    )


def test_the_table_shows_mean_interval_counts_and_the_lowest_scores(cli: Any, tmp_path: Path) -> None:
    outcome = cli("judge", written(tmp_path / "a.json", answers("Yes.", "No.", "Yes.", "Yes.")))
    assert "75.0 of 100, 95 % interval 0.0 to 100.0" in outcome.out
    assert "4 of 4" in outcome.out
    assert "Question 1?" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("Next      sftframe judge ")


def test_questions_that_look_like_families_are_told_unless_groups_are_named_or_ruled_out(
    cli: Any, tmp_path: Path
) -> None:
    words = [" ".join(f"w{n}x{k}" for k in range(6)) for n in range(10)]
    entries = [
        {
            "instruction": f"What is {n} plus 1?" if n < 4 else words[n],
            "output": f"x{n}",
            "model_response": f"x{n}" if n < 4 else "no",
            "topic": "plus" if n < 4 else f"own {n}",
        }
        for n in range(10)
    ]
    path = written(tmp_path / "alike.json", entries)
    shown = cli("judge", path).out
    assert "4 of the 10 test questions look alike in 1 family" in shown
    found = re.findall(r"95 %\s+interval (?:of the mean would be )?([\d.]+) to ([\d.]+)", shown)
    (low, high), (low_of_families, high_of_families) = (tuple(map(float, pair)) for pair in found)
    # the four right answers are one unit of seven, so less is known
    assert low_of_families < low < 40.0 < high < high_of_families
    for setting in ("data.group=topic", "data.group=false"):
        assert "look alike" not in cli("judge", path, "--set", setting).out


def test_too_many_failures_end_with_6_and_every_item_has_its_verdict(cli: Any, tmp_path: Path, fickle: Path) -> None:
    path = written(tmp_path / "a.json", answers("a", "bb", "ccc", "dddd"))
    outcome = cli("judge", path, "--judge", "fickle", "--set", "judge.failing=1", "--json", "--out", "v.json")
    assert outcome.code == 6
    assert "gave no score for 1 of 4 items (1 timeout; the first is item 0: asleep)" in outcome.last_line
    document = outcome.json
    assert (document["num_items"], document["num_scored"], document["mean"]) == (4, 3, 3.0)
    assert document["failures"] == {"timeout": 1}
    assert [(row["index"], row["status"], row["score"]) for row in document["verdicts"]] == [
        (0, "timeout", None),
        (1, "ok", 2.0),
        (2, "ok", 3.0),
        (3, "ok", 4.0),
    ]
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8")) == document


def test_failures_stand_beside_the_mean(cli: Any, tmp_path: Path, fickle: Path) -> None:
    path = written(tmp_path / "a.json", answers("a", "bb"))
    settings = ("--judge", "fickle", "--set", "judge.failing=1", "--set", "max_failures=0.5")
    outcome = cli("judge", path, *settings)
    assert outcome.code == 0
    assert "1 of 2 (1 timeout)" in outcome.out


def test_a_run_whose_judge_fails_ends_with_6_and_shows_what_there_is(
    cli: Any, data_file: Path, tmp_path: Path, fickle: Path
) -> None:
    outcome = cli("run", "--data", data_file, "--out", "mine", *QUICK, "--judge", "fickle", "--set", "judge.failing=1")
    assert outcome.code == 6
    summary = json.loads((tmp_path / "mine/summary.json").read_text(encoding="utf-8"))
    assert (summary["after"]["judge"]["num_scored"], summary["after"]["judge"]["num_items"]) == (1, 2)
    again = cli("judge", "mine", "--set", "judge.failing=0", "--json")
    assert (again.code, again.json["num_scored"]) == (0, 2)


def test_a_dead_judge_is_not_asked_about_everything_and_no_item_is_left_out(
    cli: Any, tmp_path: Path, fickle: Path
) -> None:
    path = written(tmp_path / "a.json", answers(*["x"] * 40))
    outcome = cli(
        "judge", path, "--judge", "fickle", "--set", "judge.failing=40", "--set", f"judge.log={fickle}", "--json"
    )
    assert outcome.code == 6
    assert len(asked(fickle)) == 10
    assert [row["index"] for row in outcome.json["verdicts"]] == list(range(40))
    assert outcome.json["failures"] == {"not asked": 30, "timeout": 10}
    assert outcome.json["mean"] is None


def test_what_was_judged_once_is_not_asked_again_until_it_shall_be(cli: Any, tmp_path: Path, fickle: Path) -> None:
    settings = ("--judge", "fickle", "--set", f"judge.log={fickle}", "--json")
    path = written(tmp_path / "a.json", answers("a", "bb"))
    first = cli("judge", path, *settings).json
    second = cli("judge", written(tmp_path / "b.json", answers("a", "bb", "ccc")), *settings).json
    assert asked(fickle) == ["Question 0?", "Question 1?", "Question 2?"]
    assert second["verdicts"][:2] == first["verdicts"]
    cli("judge", path, *settings, "--no-cache")
    assert len(asked(fickle)) == 5
    cli("judge", path, *settings, "--set", "judge.cache=false")
    assert len(asked(fickle)) == 7


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
def test_a_judge_killed_after_600_of_1000_is_asked_for_400(cli: Any, tmp_path: Path, fickle: Path) -> None:
    path = written(tmp_path / "a.json", answers(*(f"answer {number}" for number in range(1000))))
    settings = ("--judge", "fickle", "--set", f"judge.log={fickle}", "--json")
    command = [sys.executable, "-m", "sftframe", "judge", str(path), *settings, "--set", "judge.killed_at=601"]
    environment = {**os.environ, "PYTHONPATH": str(INSTALLED)}
    killed = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert killed.returncode == -9
    assert len(asked(fickle)) == 601  # the last of them was not answered
    fickle.unlink()
    outcome = cli("judge", path, *settings)
    assert asked(fickle) == [f"Question {number}?" for number in range(600, 1000)]
    assert (outcome.json["num_scored"], len(outcome.json["verdicts"])) == (1000, 1000)


def test_repeats_ask_anew_and_show_the_judges_own_noise(cli: Any, tmp_path: Path, fickle: Path) -> None:
    path = written(tmp_path / "a.json", answers("a", "bbb"))
    settings = ("--judge", "fickle", "--set", f"judge.log={fickle}", "--repeats", "3")
    document = cli("judge", path, *settings, "--json").json
    assert [row["scores"] for row in document["verdicts"]] == [[1, 2, 3], [3, 4, 5]]
    assert [row["score"] for row in document["verdicts"]] == [1, 3]
    # scores 1, 2, 3 and 3, 4, 5: a standard deviation of 1 each, and of the means 2, 3, 4
    assert document["repeats"] == {"num_repeats": 3, "num_items": 2, "item_sd": 1.0, "mean_sd": 1.0, "means": [2, 3, 4]}
    again = cli("judge", path, *settings)
    assert len(asked(fickle)) == 6
    assert "Judge's own noise: standard deviation 1.00 of one score, 1.00 of the mean (3 times on 2 items)" in again.out


def test_a_deterministic_judge_has_no_noise(cli: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", answers("Yes.", "No."))
    repeats = cli("judge", path, "--repeats", "4", "--json").json["repeats"]
    assert (repeats["num_repeats"], repeats["item_sd"], repeats["mean_sd"]) == (4, 0.0, 0.0)


def test_verdicts_never_replace_the_answers(cli: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", answers("Yes."))
    before = path.read_bytes()
    outcome = cli("judge", path, "--out", path)
    assert (outcome.code, path.read_bytes()) == (2, before)
    assert cli("judge", path, "--out", "v.json").code == cli("judge", path, "--out", "v.json").code == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"instruction": "Say yes.", "output": "Yes."}, "entry 1: no field 'model_response'"),
        ({"instruction": "Say yes.", "model_response": "Yes."}, "entry 1: no field 'output'"),
        ({"instruction": "Say yes.", "output": "Yes.", "model_response": 3}, "field 'model_response' is a number"),
    ],
)
def test_an_entry_that_cannot_be_judged_is_named(cli: Any, tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    outcome = cli("judge", written(tmp_path / "a.json", [*answers("Yes."), entry]))
    assert outcome.code == 4
    assert message in outcome.last_line
    assert outcome.out == ""


@pytest.mark.parametrize(("path", "code"), [("lost.json", 4), ("lost", 2)])
def test_a_path_with_nothing_there_is_told(cli: Any, path: str, code: int) -> None:
    outcome = cli("judge", path)
    assert (outcome.code, path in outcome.last_line) == (code, True)


def test_a_folder_takes_no_verdict_file(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    outcome = cli("judge", "mine", "--out", "v.json")
    assert (outcome.code, "mine/verdicts.jsonl" in outcome.last_line) == (2, True)


def labelled(path: Path, labels: dict[int, str]) -> Path:
    path.write_text("index,label\n" + "".join(f"{index},{label}\n" for index, label in labels.items()))
    return path


def test_peoples_labels_correct_the_mean_of_a_file(cli: Any, tmp_path: Path) -> None:
    """The judge finds every second of 40 answers right; people find all of them right."""
    path = written(tmp_path / "a.json", answers(*["Yes.", "No."] * 20))
    labels = labelled(tmp_path / "labels.csv", dict.fromkeys(range(12), "yes"))
    outcome = cli("judge", path, "--labels", labels, "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.json["labels"]
    assert outcome.json["mean"] == 50
    assert (found["mean"]["value"], found["mean"]["judge_alone"], found["mean"]["labels_alone"]) == (100, 50, 100)
    assert (found["mean"]["num_labels"], found["mean"]["num_items"]) == (12, 40)
    assert found["mean"]["interval"]["low"] < 85
    assert (found["agreement"]["accuracy"], found["agreement"]["num_answers"]) == (0.5, 12)
    assert any(note.startswith("only 12 items have labels") for note in found["notes"])


def test_the_corrected_mean_stands_beside_the_judges_own(cli: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", answers(*["Yes.", "No."] * 20))
    labels = labelled(tmp_path / "labels.csv", dict.fromkeys(range(12), "5"))
    outcome = cli("judge", path, "--labels", labels, "--label-scale", "1-5")
    assert outcome.code == 0, outcome.err
    assert "people's labels · 12 of 40 items" in outcome.out
    assert "100.0 of 100, 95 % interval" in outcome.out
    assert "−50.0 (" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("Next      sftframe judge ")


def test_peoples_labels_correct_the_mean_of_a_run(cli: Any, finished_run: Any, tmp_path: Path) -> None:
    shutil.copytree(finished_run.path, tmp_path / "mine")
    labels = labelled(tmp_path / "labels.csv", {17: "yes", 18: "no"})
    outcome = cli("judge", "mine", "--labels", labels)
    assert (outcome.code, outcome.last_line) == (
        4,
        "error: people's labels: 2 of 2 items have a label, expected at least 10: label more items that were drawn at "
        "random",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--label-scale", "1-5"), "--label-scale is the scale of --labels FILE: name the file too"),
        (("--labels", "none.csv"), "cannot read the labels in none.csv: No such file or directory"),
        (("--labels", "a.json"), "has neither a column 'id' nor 'index'"),
        (("--labels", "labels.csv", "--label-scale", "5"), "--label-scale '5': expected the lowest and the highest"),
    ],
)
def test_labels_that_cannot_be_read_stop_before_the_judge_is_asked(
    cli: Any, tmp_path: Path, fickle: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "labels.csv").write_text("index,label\n0,1\n")
    path = written(tmp_path / "a.json", [{**answers("x")[0], "label": "x"}])
    outcome = cli("judge", path, "--judge", "fickle", "--set", f"judge.log={fickle}", *arguments)
    assert outcome.code in (2, 4)
    assert message in outcome.last_line or "has no column 'label'" in outcome.last_line
    assert asked(fickle) == []
