"""`sftframe compare` on files and runs, by scores and by pairs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

INSTALLED = Path(__file__).parent / "installed"
QUICK = ("--max-steps", "1", "--set", "generate.max_new_tokens=4", "--set", "before=false")


def written(path: Path, *texts: str, first: int = 0) -> Path:
    """A file of answers to the questions `first`, `first + 1`, …"""
    entries = [
        {"instruction": f"Question {number}?", "input": "", "output": "Yes.", "model_response": text}
        for number, text in enumerate(texts, start=first)
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.fixture
def fickle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The judge `fickle`, which prefers long answers, is installed; the log of its questions."""
    monkeypatch.syspath_prepend(INSTALLED)
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "log.txt"


def test_a_judge_of_single_answers_compares_scores_on_common_items(cli: Any, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", "No.", "Yes.", "No.", "No.")
    b = written(tmp_path / "b.json", "Yes.", "Yes.", "No.", "Yes.", first=1)
    document = cli("compare", a, b, "--json").json
    assert (document["judge"], document["by"], document["num_common"]) == ("reference@3", "scores", 3)
    assert (document["a"], document["b"]) == (
        {"path": str(a), "num_items": 4},
        {"path": str(b), "num_items": 4},
    )
    # questions 1 to 3: a has 100, 0, 0 and b has 100, 100, 0: differences 0, 100, 0
    assert [(row["index"], row["index_b"], row["difference"]) for row in document["items"]] == [
        (1, 0, 0.0),
        (2, 1, 100.0),
        (3, 2, 0.0),
    ]
    scores = document["scores"]
    assert (scores["mean_a"], scores["mean_b"], scores["num_items"]) == pytest.approx((100 / 3, 200 / 3, 3))
    # standard deviation 57.735, its error 33.333, t(2, 0.975) = 4.302653
    assert scores["ci95"] == pytest.approx([33.3333 - 143.4218, 33.3333 + 143.4218], abs=1e-3)
    assert document["pairs"] is None


def test_answers_of_different_length_are_noted_with_the_figure(cli: Any, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", "Yes.", "No.", "Yes.")
    b = written(tmp_path / "b.json", "Yes, I think so.", "No, I do not.", "It is so indeed.")
    (note,) = cli("compare", a, b, "--json").json["comparison"]["notes"]
    assert "not to be trusted" in note
    assert "1.0 and 4.0 words on average (4.0 times as many)" in note
    assert cli("compare", a, a, "--json").json["comparison"]["notes"] == []


def test_a_judge_of_pairs_sees_both_orders(cli: Any, tmp_path: Path, fickle: Path) -> None:
    a, b = written(tmp_path / "a.json", "aa", "a", "same"), written(tmp_path / "b.json", "b", "bb", "same")
    document = cli("compare", a, b, "--judge", "fickle", "--set", f"judge.log={fickle}", "--json").json
    assert fickle.read_text(encoding="utf-8").splitlines() == [
        "Question 0? aa | b",
        "Question 1? a | bb",
        "Question 0? b | aa",
        "Question 1? bb | a",
    ]
    assert [(row["index"], row["winner"], row["is_consistent"]) for row in document["items"]] == [
        (0, "a", True),
        (1, "b", True),
        (2, "tie", None),
    ]
    pairs = document["pairs"]
    assert (pairs["num_a"], pairs["num_b"], pairs["num_ties"], pairs["win_rate"]) == (1, 1, 1, 0.5)
    assert (pairs["position_consistency"], pairs["first_share"]) == (1.0, 0.5)
    assert document["scores"] is None


def test_a_judge_that_likes_the_first_place_gives_ties(cli: Any, tmp_path: Path, fickle: Path) -> None:
    a, b = written(tmp_path / "a.json", "aa", "a"), written(tmp_path / "b.json", "b", "bb")
    outcome = cli("compare", a, b, "--judge", "fickle", "--set", "judge.likes=first")
    assert "same in both orders" in outcome.out
    assert "0.0% of the pairs asked about" in outcome.out
    assert "100.0% of the times that one was" in outcome.out
    assert "cannot be told from 2 pairs" in outcome.out


def test_preferences_are_kept_for_the_order_that_was_shown(cli: Any, tmp_path: Path, fickle: Path) -> None:
    a, b = written(tmp_path / "a.json", "aa"), written(tmp_path / "b.json", "b")
    settings = ("--judge", "fickle", "--set", f"judge.log={fickle}", "--json")
    first = cli("compare", a, b, *settings).json
    swapped = cli("compare", b, a, *settings).json
    assert len(fickle.read_text(encoding="utf-8").splitlines()) == 2
    assert (first["items"][0]["winner"], swapped["items"][0]["winner"]) == ("a", "b")


def test_a_judge_of_pairs_scores_single_answers_on_request(cli: Any, tmp_path: Path, fickle: Path) -> None:
    a, b = written(tmp_path / "a.json", "aa", "a"), written(tmp_path / "b.json", "bbb", "bb")
    document = cli("compare", a, b, "--judge", "fickle", "--by", "scores", "--json").json
    assert (document["by"], document["pairs"]) == ("scores", None)


def test_pairs_need_a_judge_of_pairs(cli: Any, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", "aa")
    outcome = cli("compare", a, written(tmp_path / "b.json", "b"), "--by", "pairs")
    assert (outcome.code, "grades single answers only" in outcome.last_line) == (6, True)


def test_too_many_failures_end_with_6_after_the_result(cli: Any, tmp_path: Path, fickle: Path) -> None:
    a, b = written(tmp_path / "a.json", "aa", "a", "aaa"), written(tmp_path / "b.json", "b", "bb", "b")
    outcome = cli("compare", a, b, "--judge", "fickle", "--set", "judge.failing=1", "--json")
    assert outcome.code == 6
    assert "gave no preference for 2 of 6 items (2 timeout" in outcome.last_line
    assert (outcome.json["pairs"]["num_pairs"], outcome.json["pairs"]["num_judged"]) == (3, 2)
    assert outcome.json["failures"] == {"timeout": 2}


def test_nothing_in_common_is_refused_and_other_references_are_named(cli: Any, tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.json", "aa"), written(tmp_path / "b.json", "b", first=7)
    outcome = cli("compare", a, b)
    assert (outcome.code, "have no item in common (1 and 1 items)" in outcome.last_line) == (4, True)
    b.write_text(a.read_text(encoding="utf-8").replace("Yes.", "No."), encoding="utf-8")
    assert "1 questions of" in cli("compare", a, b).last_line


def test_runs_of_other_data_are_refused_with_a_way_out(cli: Any, tmp_path: Path, finished_run: Any) -> None:
    for name in ("one", "two"):
        shutil.copytree(finished_run.path, tmp_path / name)
    assert cli("compare", "one", "two", "--by", "scores", "--json").json["scores"]["mean_difference"] == 0
    manifest = tmp_path / "two/manifest.json"
    document = json.loads(manifest.read_text(encoding="utf-8"))
    document["data"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(document), encoding="utf-8")
    outcome = cli("compare", "one", "two", "--by", "scores")
    assert outcome.code == 2
    assert "one and two were made with different data (SHA-256 " in outcome.last_line
    assert "compare the files one/responses.json and two/responses.json" in outcome.last_line
    assert cli("compare", "one/responses.json", "two/responses.json", "--json").json["num_common"] == 2


def test_a_run_and_a_file_of_its_answers_compare(cli: Any, tmp_path: Path, finished_run: Any) -> None:
    shutil.copytree(finished_run.path, tmp_path / "one")
    document = cli("compare", "one", "one/responses.json", "--json").json
    assert (document["num_common"], document["scores"]["mean_difference"]) == (2, 0.0)


def test_an_unfinished_run_says_how_to_finish_it(cli: Any, data_file: Path) -> None:
    assert cli("train", "--data", data_file, "--out", "one", *QUICK).code == 0
    outcome = cli("compare", "one", "one")
    assert (outcome.code, "sftframe run --resume one" in outcome.last_line) == (2, True)


def test_files_get_the_verdict_that_ablations_get(cli: Any, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", *["No."] * 12)
    b = written(tmp_path / "b.json", *["Yes."] * 11, "No.")
    found = cli("compare", a, b, "--json").json["comparison"]
    judged = next(table for table in found["yardsticks"] if table["key"] == "judge")
    (comparison,) = judged["comparisons"]
    assert (comparison["verdict"], comparison["num_better"], comparison["num_tied"]) == ("better", 11, 1)
    assert {table["key"] for table in found["yardsticks"]} == {"judge", "exact_match", "length_ratio"}
    assert found["sentence"].startswith(
        f"By the scores of the judge reference@3, the answers of {b} are better than those of {a} ("
    )
    assert found["sentence"].endswith(
        "with one set of answers each and 12 test items; another set of answers could change this; other models, data "
        "and judges were not tested."
    )


def test_a_margin_can_make_two_files_equivalent(cli: Any, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", *["Yes."] * 20)
    b = written(tmp_path / "b.json", *["Yes."] * 19, "No.")
    found = cli("compare", a, b, "--margin", "30", "--json").json["comparison"]
    assert found["yardsticks"][0]["comparisons"][0]["verdict"] == "equivalent"


def test_finished_runs_are_compared_on_every_yardstick_without_their_data(
    cli: Any, tmp_path: Path, finished_grid: Any
) -> None:
    gone = tmp_path / "gone.json"
    for mask in ("mask-pad", "mask-instruction"):
        run = shutil.copytree(finished_grid.path / "runs" / mask / "seed-123", tmp_path / mask)
        settings = (run / "config.toml").read_text(encoding="utf-8")
        assert str(finished_grid.path.parent / "data.json") in settings
        settings = settings.replace(str(finished_grid.path.parent / "data.json"), str(gone))
        (run / "config.toml").write_text(settings, encoding="utf-8")
    outcome = cli("compare", "mask-pad", "mask-instruction", "--yardstick", "response_nll_per_byte", "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.json["comparison"]
    assert [arm["name"] for arm in found["arms"]] == ["mask-pad", "mask-instruction"]
    assert found["notes"] == []
    assert cli("compare", "mask-pad", "mask-instruction", "--format", "csv").out.startswith("yardstick,unit,baseline,")


def test_a_comparison_of_files_is_also_a_page(cli: Any, tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.json", "No.", "No."), written(tmp_path / "b.json", "Yes.", "No.")
    page = cli("compare", a, b, "--format", "html").out
    assert page.startswith("<!doctype html>")
    assert "Question 0?" in page


def test_one_side_is_nothing_to_compare(cli: Any, tmp_path: Path) -> None:
    outcome = cli("compare", written(tmp_path / "a.json", "No."))
    assert (outcome.code, "expected at least two runs" in outcome.last_line) == (2, True)


def test_a_path_that_is_not_there_is_named_among_many(cli: Any, tmp_path: Path) -> None:
    a, b = (written(tmp_path / f"{name}.json", "No.") for name in "ab")
    outcome = cli("compare", a, b, "nowhere")
    assert (outcome.code, "nothing at nowhere: expected a run's folder" in outcome.last_line) == (2, True)


def test_a_judge_takes_two_files_and_no_more(cli: Any, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{name}.json", "No.") for name in "abc"]
    outcome = cli("compare", *files)
    assert (outcome.code, "3 sets of answers: a judge compares two" in outcome.last_line) == (2, True)


@pytest.mark.parametrize("columns", [40, 60, 66, 80, 120])
def test_no_terminal_is_too_narrow_for_the_verdict(
    cli: Any, tmp_path: Path, finished_run: Any, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    for name in ("one", "two"):
        shutil.copytree(finished_run.path, tmp_path / name)
    for file in ("config.toml", "manifest.json"):  # as if it was made with another mask
        text = (tmp_path / "two" / file).read_text(encoding="utf-8")
        (tmp_path / "two" / file).write_text(text.replace("mask-pad", "mask-instruction"), encoding="utf-8")
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = cli("compare", "one", "two").out
    words = " ".join(shown.replace("│", " ").split())
    assert words.startswith(
        "By the scores of the judge reference@3, collate mask-instruction and collate mask-pad are identical (the same "
        "answers to every item), with the model "
    )
    table = words.partition("were not tested.")[2]
    assert "identical" in table
    assert "NLL/byte" in table
    assert all(line[-1] in "┓┃┩│┘┐" for line in shown.splitlines() if line[:1] in ("┃", "│"))  # whole to their border


def in_topics(path: Path, *topics: str, name: str = "topic") -> None:
    """Give the entries of a file these topics."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    rows = [{**entry, name: topic} for entry, topic in zip(entries, topics, strict=True)]
    path.write_text(json.dumps(rows), encoding="utf-8")


GROUPED = ("--set", "data.group=topic")


def test_the_groups_of_one_file_are_those_of_both(cli: Any, tmp_path: Path, fickle: Path) -> None:
    a = written(tmp_path / "a.json", "aa", "a", "aaa", "a")
    b = written(tmp_path / "b.json", "b", "bb", "b", "bb")
    in_topics(a, "x", "y", "x", "y")
    asked = ("compare", a, b, "--judge", "fickle", "--set", f"judge.log={fickle}", *GROUPED)
    pairs = cli(*asked, "--json").json["pairs"]
    # a wins both pairs of x, and b both of y: the second pair of a topic adds nothing
    assert (pairs["num_groups"], pairs["win_rate"], pairs["effective_items"]) == (2, 0.5, 2.0)
    shown = " ".join(cli(*asked).out.split())
    assert "4 of 4 pairs in 2 groups, which count like 2 independent items" in shown
    assert "The groups of items are those of the others: B" in shown


def test_two_files_with_different_groups_join_them(cli: Any, tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.json", *"1234"), written(tmp_path / "b.json", *"1245")
    in_topics(a, "x", "x", "y", "z")
    in_topics(b, "p", "q", "q", "r")
    found = cli("compare", a, b, "--by", "scores", *GROUPED, "--json").json
    assert found["scores"]["num_groups"] == 2  # 0, 1 and 2; 3
    assert found["comparison"]["yardsticks"][0]["comparisons"][0]["grouping"]["num_groups"] == 2
    assert any("items that are together anywhere" in note for note in found["comparison"]["notes"])


def test_a_group_that_neither_file_has_is_an_error(cli: Any, tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.json", *"12"), written(tmp_path / "b.json", *"12")
    assert "no field 'topic'" in cli("compare", a, b, *GROUPED).last_line
