"""`sftframe.toml` in the working directory is read by what begins something new, and by nothing that exists already."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("plain_drawings")

QUICK = ("--set", "before=false", "--set", "train.eval_examples=1", "--set", "generate.max_new_tokens=2")


@pytest.fixture
def found(tmp_path: Path, data_file: Path) -> Path:
    """The file, with data, a step and a collate strategy."""
    path = tmp_path / "sftframe.toml"
    path.write_text(f'collate = "pad-only"\n[data]\nsource = "{data_file.name}"\n[train]\nmax_steps = 1\n')
    return path


def test_the_file_is_read_and_one_line_says_so(cli, found: Path) -> None:
    outcome = cli("preview", "-n", "1", "--json")
    assert outcome.json["collate"] == "pad-only"
    assert outcome.err.splitlines() == ["settings from sftframe.toml in this folder; --no-config ignores them"]


@pytest.mark.parametrize("arguments", [("--no-config",), ("--config", ""), ("--config", "other.toml")])
def test_it_is_left_out_on_request_and_for_another_file(cli, found: Path, tmp_path: Path, arguments) -> None:
    (tmp_path / "other.toml").write_text('collate = "mask-pad"\n')
    outcome = cli("preview", "-n", "1", "--json", *arguments)
    assert (outcome.json["collate"], outcome.err) == ("mask-pad", "")


def test_flags_win_over_it(cli, found: Path) -> None:
    assert cli("preview", "-n", "1", "--json", "--collate", "mask-instruction").json["collate"] == "mask-instruction"


def test_its_table_for_ablations_is_no_error_elsewhere(cli, found: Path) -> None:
    found.write_text(found.read_text() + "[ablate]\nseeds = 2\n")
    assert cli("preview", "-n", "1", "--json").code == 0


def test_a_run_that_exists_keeps_its_settings(cli, found: Path) -> None:
    assert cli("train", "--out", "mine", *QUICK, "-q").code == 0
    found.write_text("[train]\nlr = 0.5\n")
    for again in (("generate", "mine"), ("train", "--resume", "mine"), ("report", "mine")):
        outcome = cli(*again)
        assert "sftframe.toml" not in outcome.err
        assert outcome.code == 0, outcome.err


def test_quiet_leaves_only_warnings_and_the_result_and_verbose_tells_who_sets_what(cli, found: Path) -> None:
    quiet = cli("train", "--out", "a", *QUICK, "-q")
    talk = ("settings from", "data:", "tokens:", "train:", "step ", "checkpoints removed", "model gpt2-nano")
    assert [line for line in quiet.err.splitlines() if line.startswith(talk)] == []  # warnings may take several lines
    assert "a/model" in quiet.out
    told = cli("train", "--out", "b", *QUICK, "--verbose", "--batch-size", "2").err.splitlines()
    assert "collate.name = 'pad-only' (sftframe.toml)" in told
    assert "train.batch_size = 2 (flag)" in told
    assert "before = False (--set)" in told
    assert cli("train", "-q", "-v").last_line == "error: --quiet and --verbose: choose one"
