"""`--labels` and `--label-scale` of `compare` and `ablate`."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("plain_drawings")


def answers(path: Path, *texts: str, start: int = 0) -> Path:
    entries = [
        {"instruction": f"Question {number}?", "input": "", "output": "Yes.", "model_response": text}
        for number, text in enumerate(texts, start=start)
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def labelled(path: Path, labels: Mapping[str, Mapping[int, str]]) -> Path:
    lines = [f"{index},{arm},{label}" for arm, own in labels.items() for index, label in own.items()]
    path.write_text("\n".join(["index,arm,label", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def sides(cli: Any, tmp_path: Path) -> Path:
    """`a.json` and `b.json`: the judge finds all of a right and none of b; people say the opposite of 15 of 40."""
    answers(tmp_path / "a.json", *["Yes."] * 40)
    answers(tmp_path / "b.json", *["No."] * 40)
    return labelled(
        tmp_path / "labels.csv", {"a.json": dict.fromkeys(range(15), "no"), "b.json": dict.fromkeys(range(15), "yes")}
    )


def test_the_corrected_verdict_is_told_and_the_judges_own_stands_beside_it(cli: Any, sides: Path) -> None:
    outcome = cli("compare", "a.json", "b.json", "--labels", sides, "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.json["comparison"]
    assert found["sentence"].startswith(
        "By people's labels of 15 of 40 items and the scores of reference@3, the answers of b"
    )
    assert found["yardstick"] == "judge_and_people"
    assert [(table["key"], table["comparisons"][0]["verdict"]) for table in found["yardsticks"][:2]] == [
        ("judge_and_people", "better"),
        ("judge", "worse"),
    ]
    assert found["people"]["pairs"]["b.json"]["judge_alone"] == pytest.approx(-100)
    assert found["people"]["agreement"]["accuracy"] == 0
    assert found["people"]["judged"]["comparisons"][0]["difference"] == -100


def test_every_format_has_the_corrected_verdict(cli: Any, sides: Path) -> None:
    for name in ("text", "md", "csv", "html"):
        outcome = cli("compare", "a.json", "b.json", "--labels", sides, "--format", name)
        assert outcome.code == 0, outcome.err
        assert "better" in outcome.out
        assert "people" in outcome.out


def test_what_labels_cannot_correct_is_refused_before_the_judge_is_asked(cli: Any, sides: Path, tmp_path: Path) -> None:
    pairs = cli("compare", "a.json", "b.json", "--labels", sides, "--by", "pairs")
    assert (pairs.code, "use --by scores" in pairs.last_line) == (2, True)
    alone = cli("compare", "a.json", "b.json", "--label-scale", "1-5")
    assert (alone.code, "name the file too" in alone.last_line) == (2, True)
    new = cli("ablate", "--collate", "mask-pad,mask-instruction", "--labels", sides)
    assert (new.code, "add --resume DIR" in new.last_line) == (2, True)
    assert not (tmp_path / "ablations").exists()


def test_positions_are_refused_where_the_sides_have_other_items(cli: Any, sides: Path, tmp_path: Path) -> None:
    answers(tmp_path / "b.json", *["No."] * 40, start=1)
    outcome = cli("compare", "a.json", "b.json", "--labels", sides)
    assert (outcome.code, outcome.last_line) == (
        2,
        f"error: {sides} names items by 'index', but the two sides do not have all items in the same order: use the "
        "ids of answers",
    )


def test_an_ablation_is_corrected_later_and_its_report_keeps_that(cli: Any, finished_grid: Any, tmp_path: Path) -> None:
    shutil.copytree(finished_grid.path, tmp_path / "grid")
    indices = range(100, 115)
    for path in (tmp_path / "grid").rglob("items.jsonl"):  # the grid has too few items for labels
        item = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        path.write_text("".join(json.dumps({**item, "index": index}) + "\n" for index in indices), encoding="utf-8")
    labels = {
        "mask-pad": {index: str(1 + place % 2) for place, index in enumerate(indices)},
        "mask-instruction": {index: str(4 + place % 2) for place, index in enumerate(indices)},
    }
    path = labelled(tmp_path / "labels.csv", labels)
    outcome = cli("ablate", "--resume", "grid", "--labels", path, "--label-scale", "1-5", "--json")
    assert outcome.code == 0, outcome.err
    comparison = outcome.json["comparison"]
    assert comparison["yardstick"] == "judge_and_people"
    assert comparison["yardsticks"][0]["comparisons"][0]["difference"] == pytest.approx(75)
    path.unlink()
    again = cli("report", "grid", "--json")
    assert again.json["comparison"]["sentence"] == comparison["sentence"]
    shutil.copy(tmp_path / "grid/labels.csv", tmp_path / "kept.csv")
    (tmp_path / "grid/labels.csv").write_text("id,label\nstrange,1\n", encoding="utf-8")
    without = cli("report", "grid", "--json").json["comparison"]
    assert without["yardstick"] == "judge"
    assert any(note.startswith("people's labels are not used: ") for note in without["notes"])
    other = cli("ablate", "--resume", "grid", "--labels", "kept.csv", "--yardstick", "exact_match")
    assert (other.code, "the yardstick is exact_match" in other.last_line) == (2, True)


def test_drawn_answers_are_labelled_and_correct_the_comparison(cli: Any, sides: Path, tmp_path: Path) -> None:
    drawn = cli("compare", "a.json", "b.json", "--write-labels", "20", "--labels", "people.csv")
    assert drawn.code == 0, drawn.err
    assert drawn.out.splitlines()[-1] == "Next      sftframe compare a.json b.json --labels people.csv"
    assert "20 items with 40 answers" in drawn.out
    assert (tmp_path / "people.html").read_text(encoding="utf-8").count('class="answer"') == 40
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(0.4 < float(row["probability"]) < 0.6 for row in rows)
    for row in rows:
        row["label"] = "yes" if row["answer"] == "No." else "no"
    with (tmp_path / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = cli("compare", "a.json", "b.json", "--labels", "people.csv", "--json").json["comparison"]
    assert found["yardsticks"][0]["comparisons"][0]["difference"] == pytest.approx(100)
    again = cli("compare", "a.json", "b.json", "--write-labels", "20", "--labels", "people.csv")
    assert (again.code, "people.csv exists, and may have labels" in again.last_line) == (2, True)


def test_answers_of_one_file_are_drawn(cli: Any, sides: Path, tmp_path: Path) -> None:
    sides.unlink()
    drawn = cli("judge", "a.json", "--write-labels", "12", "--json")
    assert drawn.json == {"csv": "labels.csv", "page": "labels.html", "num_items": 12, "num_answers": 12}
    assert (tmp_path / "labels.csv").is_file()


def test_what_cannot_be_drawn_is_refused(cli: Any, sides: Path) -> None:
    for arguments, message in (
        (("--write-labels", "3"), "expected at least 10 items"),
        (("--write-labels", "20", "--labels", "people.txt"), "expected a name that ends in .csv"),
        (("--write-labels", "20", "--label-scale", "1-5"), "leave it out with --write-labels"),
    ):
        outcome = cli("compare", "a.json", "b.json", *arguments)
        assert (outcome.code, message in outcome.last_line) == (2, True), outcome.last_line
