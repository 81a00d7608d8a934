"""What is offered when Tab is pressed, through the protocol that the shells' own scripts speak."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sftframe.ablation import folder
from sftframe.cli import completion

SCRIPT = "from sftframe.cli.app import main; main()"
BROKEN = Path(__file__).parents[1] / "broken" / "installed"


def offered(line, cwd, shell="bash", script=SCRIPT, **environment):
    """The offers for the last word of a command line."""
    asked = {
        "_SFTFRAME_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = ['sftframe']; {script}"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, **asked, **environment},
        check=True,
    )
    return done.stdout.splitlines()


def test_a_command_and_a_flag_are_completed(tmp_path):
    assert offered("sftframe ru", tmp_path) == ["run", "runs"]
    assert offered("sftframe run --pro", tmp_path) == ["--prompt"]


def test_a_components_name_is_completed(tmp_path):
    assert offered("sftframe run --prompt alp", tmp_path) == ["alpaca", "alpaca-stanford"]


def test_of_several_names_the_last_is_completed(tmp_path):
    assert offered("sftframe ablate --collate mask-pad,mask-i", tmp_path) == ["mask-pad,mask-instruction"]


def test_fish_shows_what_a_name_means(tmp_path):
    [line] = offered("sftframe run --judge refer", tmp_path, shell="fish")
    name, meaning = line.split("\t")
    assert name == "reference"
    assert meaning


def test_names_are_completed_without_torch(tmp_path):
    told = f"import atexit; atexit.register(lambda: print('torch' in sys.modules)); {SCRIPT}"
    assert offered("sftframe run --model gpt2-n", tmp_path, script=told) == ["gpt2-nano", "False"]


def test_a_setting_is_completed_without_torch(tmp_path):
    told = f"import atexit; atexit.register(lambda: print('torch' in sys.modules)); {SCRIPT}"
    assert offered("sftframe run --set train.warmup", tmp_path, script=told) == ["train.warmup_steps=", "False"]


def test_a_broken_plugin_says_nothing_into_the_offers(tmp_path):
    offers = offered("sftframe run --prompt al", tmp_path, PYTHONPATH=str(BROKEN))
    assert offers == ["alpaca", "alpaca-stanford"]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs under `runs/`, the second newer, one elsewhere, and a folder that is none."""
    monkeypatch.chdir(tmp_path)
    for age, name in ((30, "runs/old"), (10, "runs/new"), (20, "else/where")):
        path = tmp_path / name
        path.mkdir(parents=True)
        (path / "config.toml").write_text("")
        (path / "manifest.json").write_text("{}")
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "runs" / "none").mkdir()
    return tmp_path


def test_a_run_is_completed_the_newest_first(runs):
    assert offered("sftframe chat ", runs) == ["runs/new", "runs/old"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ["runs/new", "runs/old"]),
        ("runs/n", ["runs/new"]),
        ("else/", ["else/where"]),
        ("./runs/o", ["runs/old"]),
        ("zzz", []),
    ],
)
def test_runs_are_looked_for_under_runs_and_where_one_types(runs, typed, expected):
    assert [path for path, _ in completion.runs(typed)] == expected


def test_an_ablations_folder_is_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = folder.AblationFolder(folder.ABLATIONS_DIR / "7").plan_path
    plan.parent.mkdir(parents=True)
    plan.write_text("")
    assert completion.runs_and_ablations("") == [("ablations/7", "")]


def test_plugins_and_components_are_completed():
    assert ("sftframe:judges", completion.plugin_ids("sftframe:ju")[0][1]) in completion.plugin_ids("sftframe:ju")
    assert [name for name, _ in completion.any_component("prompt-w")] == ["prompt-weight"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_script(tmp_path, shell):
    script = "\n".join(
        offered("", tmp_path, _SFTFRAME_COMPLETE=f"source_{shell}"),
    )
    assert "_SFTFRAME_COMPLETE=complete_" in script
