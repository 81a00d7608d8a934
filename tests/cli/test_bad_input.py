"""What a user gets for a mistake: one line that says what, where and what to do, the right exit code, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

QUICK = ("--max-steps", "1", "--set", "before=false", "--set", "generate.max_new_tokens=4")


@pytest.mark.parametrize(
    ("flag", "wrong", "right", "noun"),
    [
        ("--prompt", "alpcaa", "alpaca", "prompt style"),
        ("--collate", "mask-pda", "mask-pad", "collate strategy"),
        ("--model", "gpt2-nanno", "gpt2-nano", "model backend"),
        ("--judge", "referense", "reference", "judge"),
    ],
)
def test_an_unknown_component_is_named_with_the_nearest_and_all_that_are_installed(
    cli, flag: str, wrong: str, right: str, noun: str
) -> None:
    outcome = cli("run", flag, wrong)
    assert outcome.code == 2
    assert outcome.last_line.startswith(f"error: no {noun} {wrong!r}; did you mean {right!r}? Installed: ")


def test_an_unknown_configuration_key_is_named_with_the_nearest(cli) -> None:
    outcome = cli("run", "--set", "train.learning_rte=1")
    assert outcome.code == 2
    assert "no configuration key 'train.learning_rte'" in outcome.last_line


def test_an_unknown_option_of_a_component_is_named_with_the_nearest(cli) -> None:
    outcome = cli("run", "--collate", "prompt-weight", "--set", "collate.wieght=0.5")
    assert outcome.code == 2
    assert "collate.wieght: 'prompt-weight' has no option 'wieght'; did you mean 'weight'?" in outcome.last_line


def test_a_value_out_of_range_says_what_was_expected(cli) -> None:
    outcome = cli("run", "--collate", "prompt-weight", "--set", "collate.weight=1.5")
    assert outcome.code == 2
    assert "collate.weight: expected 1 or less, found 1.5" in outcome.last_line


def test_a_setting_without_a_value_shows_the_form(cli) -> None:
    outcome = cli("run", "--set", "train.lr")
    assert (outcome.code, "expected section.key=value" in outcome.last_line) == (2, True)


def test_a_missing_configuration_file_is_named(cli) -> None:
    outcome = cli("run", "--config", "nowhere.toml")
    assert (outcome.code, "nowhere.toml" in outcome.last_line) == (2, True)


def test_broken_toml_is_named_with_line_and_column(cli, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[train]\nlr = = 3\n")
    outcome = cli("run", "--config", "bad.toml")
    assert (outcome.code, "line 2" in outcome.last_line) == (2, True)


def test_a_missing_data_file_is_named(cli) -> None:
    outcome = cli("run", "--data", "nowhere.json")
    assert (outcome.code, "nowhere.json" in outcome.last_line) == (4, True)


def test_wrong_json_is_named_with_line_and_column(cli, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('[\n  {"instruction": "a" "output": "b"}\n]')
    outcome = cli("run", "--data", "bad.json")
    assert outcome.code == 4
    assert "line 2" in outcome.last_line
    assert "column 23" in outcome.last_line


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"input": "", "output": "b"}, "'instruction'"),
        ({"instruction": "a", "input": "", "output": 3}, "'output'"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_by_index_and_field(cli, tmp_path: Path, entry, words: str) -> None:
    good = {"instruction": "a", "input": "", "output": "b"}
    (tmp_path / "data.json").write_text(json.dumps([good] * 12 + [entry]))
    outcome = cli("run", "--data", "data.json")
    assert outcome.code == 4
    assert "12" in outcome.last_line
    assert words in outcome.last_line


@pytest.mark.parametrize("content", ["", "[]", '[{"instruction": "a", "output": "b"}]'])
def test_an_empty_file_and_a_single_entry_are_refused(cli, tmp_path: Path, content: str) -> None:
    (tmp_path / "data.json").write_text(content)
    outcome = cli("run", "--data", "data.json")
    assert (outcome.code, "data.json" in outcome.last_line) == (4, True)


def test_over_long_rows_are_named_before_anything_is_made(cli, tmp_path: Path, data_file: Path) -> None:
    outcome = cli("run", "--data", data_file, "--max-length", "20")
    assert outcome.code == 4
    assert "20 of 20 examples have more than 20 tokens (index 0, 1, 2, 3, 4, …" in outcome.last_line
    assert not (tmp_path / "runs").exists()


def test_too_little_disk_is_said_before_anything_is_made(cli, tmp_path: Path, data_file: Path) -> None:
    outcome = cli("run", "--data", data_file, "--set", "train.keep_checkpoints=1000000000")
    assert outcome.code == 2
    assert "not enough disk" in outcome.last_line
    assert not (tmp_path / "runs").exists()


def test_a_folder_with_a_run_is_replaced_on_request_only(cli, tmp_path: Path, data_file: Path) -> None:
    assert cli("train", "--data", data_file, "--out", "mine", *QUICK).code == 0
    weights = (tmp_path / "mine/model/model.safetensors").read_bytes()
    refused = cli("train", "--data", data_file, "--out", "mine", "--seed", "7", *QUICK)
    assert refused.code == 2
    assert "--force" in refused.last_line
    assert (tmp_path / "mine/model/model.safetensors").read_bytes() == weights
    assert cli("train", "--data", data_file, "--out", "mine", "--seed", "7", "--force", *QUICK).code == 0
    assert (tmp_path / "mine/model/model.safetensors").read_bytes() != weights


def test_a_strangers_folder_is_never_replaced(cli, tmp_path: Path, data_file: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.txt").write_text("meow")
    outcome = cli("train", "--data", data_file, "--out", "photos", "--force", *QUICK)
    assert outcome.code == 2
    assert (tmp_path / "photos/cat.txt").read_text() == "meow"


def test_a_stage_on_a_folder_that_is_no_run_says_so(cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = cli("generate", "empty")
    assert (outcome.code, "empty is not a run" in outcome.last_line) == (2, True)


def test_resume_takes_no_settings(cli, tmp_path: Path) -> None:
    outcome = cli("run", "--resume", tmp_path, "--lr", "0.1")
    assert (outcome.code, "leave the other settings out" in outcome.last_line) == (2, True)


def test_an_error_inside_has_a_traceback_only_with_debug(cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" not in cli("run", "--data", "nowhere.json").err
    with pytest.raises(Exception, match=r"nowhere\.json"):
        cli("run", "--data", "nowhere.json", "--debug")
