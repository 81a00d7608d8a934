"""`sftframe data` as a user runs it."""

import json

import pytest

from tests.cli.conftest import Cli

ROWS = [
    {"instruction": f"Name the number after {i}.", "input": "", "output": f"{i + 1} comes next."} for i in range(20)
]
ROWS += [ROWS[3], {"instruction": "Say hello.", "output": ""}, {"instruction": "Say bye.", "output": "[Your Name]"}]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return path


def test_findings_are_shown_with_examples_and_what_to_do(cli: Cli, source):
    done = cli("data", source, "-n", "1")
    assert done.code == 0
    assert "23 rows (19 train, 2 test, 2 validation)" in done.out
    assert "duplicate  1 row (4.3\N{NO-BREAK SPACE}%): exact duplicates of an earlier row" in done.out
    assert "20 like 3: Name the number after 3." in done.out
    assert "placeholder" in done.out
    assert "in tokens: median" in done.out
    assert "Nothing found of:" in done.out


def test_json_has_every_finding(cli: Cli, source):
    found = {finding["kind"]: finding for finding in cli("data", source, "--json", "--no-tokens").json["findings"]}
    assert {kind: finding["rows"] for kind, finding in found.items()} == {
        "empty-output": 1,
        "duplicate": 1,
        "leak": 1,
        "placeholder": 1,
    }
    assert found["duplicate"]["sightings"][0]["other"] == 3


def test_a_page_is_printed(cli: Cli, source):
    done = cli("data", source, "--format", "html", "--no-tokens")
    assert done.out.startswith("<!doctype html>")
    assert "exact duplicates" in done.out


def test_a_cleaned_file_is_one_that_a_run_reads(cli: Cli, source, tmp_path):
    done = cli("data", source, "--no-tokens", "--write", "clean.jsonl", "--drop", "placeholder")
    assert "clean.jsonl: 21 rows written, 2 left out" in done.out  # the copy is in the test part, and stays
    assert "sftframe run --data clean.jsonl --set data.part=part" in done.out
    assert cli("data", "clean.jsonl", "--no-tokens", "--json").json["rows"] == 21
    kept = cli("data", "clean.jsonl", "--set", "data.part=part", "--no-tokens", "--json").json["parts"]
    # both validation rows went, so two new ones are cut from the 19 training rows
    assert kept == {"train": 17, "test": 2, "validation": 2}
    again = cli("data", source, "--no-tokens", "--write", "clean.jsonl")
    assert (again.code, "exists already" in again.last_line) == (2, True)


def test_few_rows_have_no_parts_and_are_looked_at(cli: Cli, tmp_path):
    (tmp_path / "few.jsonl").write_text('{"instruction": "Hi {{name}}", "output": "Hello"}\n', encoding="utf-8")
    done = cli("data", "few.jsonl")
    assert done.code == 0
    assert "few.jsonl: 1 row\n" in done.out
    assert "leaks between the parts are not looked for" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--drop", "refusal"), "--write FILE"),
        (("--write", "c.jsonl", "--drop", "leaks"), "did you mean 'leak'"),
        (("--write", "c.csv"), "ends in .jsonl"),
        (("--json", "--format", "html"), "choose one"),
    ],
)
def test_a_mistake_is_told_before_any_work(cli: Cli, source, arguments, message):
    done = cli("data", source, *arguments)
    assert done.code == 2
    assert message in done.last_line
    assert done.out == ""


def test_rows_that_cannot_be_used_are_listed_and_left_out(cli: Cli, tmp_path):
    rows = [*ROWS[:12], {"instruction": None, "output": "x"}, {"instruction": "No answer."}]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    done = cli("data", "rows.jsonl", "--no-tokens", "--write", "clean.jsonl")
    assert "invalid  2 rows that cannot be used" in done.out
    assert "line 13" in done.out
    assert "clean.jsonl: 12 rows written, 2 left out" in done.out
    left_out = [json.loads(line) for line in (tmp_path / "clean.dropped.jsonl").read_text().splitlines()]
    assert [(row["reasons"], row["line"]) for row in left_out] == [(["invalid"], 13), (["invalid"], 14)]


CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "And two?"},
        {"role": "assistant", "content": "It is the number two."},
    ]
}


def test_conversations_are_looked_at_with_a_style_that_does_not_write_them(cli: Cli, tmp_path):
    (tmp_path / "chat.json").write_text(json.dumps([CHAT] * 11), encoding="utf-8")
    done = cli("data", "chat.json")
    assert done.code == 0
    assert "tokens are not counted: example 0 has" in done.err
    assert "these write all of it: chatml" in done.err
    assert "11 with earlier turns, 11 with a system message" in done.out
    with_style = cli("data", "chat.json", "--prompt", "chatml", "--json").json
    lengths = {(length["what"], length["unit"]): length["most"] for length in with_style["lengths"]}
    # the last answer alone, with what ends it: the second answer is shorter than all that comes before
    assert 5 <= lengths["answer", "tokens"] < lengths["prompt", "tokens"]


def test_test_questions_that_look_like_families_are_told_as_by_a_run(cli: Cli, tmp_path):
    words = [" ".join(f"w{n}x{k}" for k in range(6)) for n in range(40)]
    # of the test questions 34 to 37 two are one family: 4^2 / (4 + 1 + 1) is 2.7
    alike = [{"instruction": f"Say {n}." if n in (34, 35) else words[n], "output": f"x{n}"} for n in range(40)]
    (tmp_path / "alike.json").write_text(json.dumps(alike), encoding="utf-8")
    told = (
        "2 of the 4 test questions look alike in 1 family (the largest has 2, such as 'Say 34.'): if these go "
        "together, all count like as few as 3 independent ones, so give the entries a field with their group and name "
        "it with --set data.group=FIELD, or say that they do not belong together with --set data.group=false"
    )
    assert cli("data", "alike.json", "--no-tokens", "--json").json["notes"] == [told]
    assert told in cli("data", "alike.json", "--no-tokens").out
    assert "2 of the 4 test questions look alike" in cli("data", "alike.json", "--no-tokens", "--format", "html").out
    assert cli("data", "alike.json", "--no-tokens", "--json", "--set", "data.group=false").json["notes"] == []


def test_groups_in_two_parts_are_told_as_by_a_run(cli: Cli, tmp_path):
    rows = [{"instruction": f"Say {n}.", "output": f"x{n}", "topic": (n + 8) // 5} for n in range(40)]
    (tmp_path / "topics.json").write_text(json.dumps(rows), encoding="utf-8")
    (note,) = cli("data", "topics.json", "--no-tokens", "--json", "--set", "data.group=topic").json["notes"]
    # topic 8 is 32 to 36: 32 and 33 are trained on, 34 to 36 tested
    assert note.startswith("3 of 4 test examples are of 1 group that the training data have too")


def test_columns_that_are_not_read_are_told(cli: Cli, tmp_path):
    rows = [{"instruction": f"Say {n}.", "output": "x", "fold": ["train", "test"][n % 2]} for n in range(20)]
    (tmp_path / "folds.json").write_text(json.dumps(rows), encoding="utf-8")
    notes = cli("data", "folds.json", "--no-tokens", "--json", "--set", "data.group=false").json["notes"]
    assert notes == [
        "folds.json: 'fold' names a part of the split in every entry: --set data.part=fold splits by it",
        "folds.json: unused columns: 'fold' (in 20 of 20 entries); the model does not see them. --set "
        "data.fields.FIELD=NAME reads a column",
    ]
