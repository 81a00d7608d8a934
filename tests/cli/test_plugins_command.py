"""`sftframe plugins`, with the plugins of `tests/broken/installed` beside sftframe's own."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sftframe import ConfigError, JudgeError, PluginError
from sftframe.cli.app import app
from sftframe.cli.plugins_render import CheckReport
from sftframe.registry import Seam
from sftframe.testing import Finding

INSTALLED = Path(__file__).parents[1] / "broken" / "installed"


@pytest.fixture(autouse=True)
def broken_plugins(monkeypatch):
    monkeypatch.delenv("SFTFRAME_DISABLE", raising=False)
    monkeypatch.syspath_prepend(str(INSTALLED))


def run(*arguments):
    return CliRunner().invoke(app, ["plugins", *arguments])


def lines_of(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


def in_terminal(columns, *arguments, **environment):
    """What the command shows in a terminal of this width."""
    parent, child = pty.openpty()
    script = "from sftframe.cli.app import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "plugins", *arguments],
        stdout=child,
        stderr=child,
        env={
            **os.environ,
            "PYTHONPATH": str(INSTALLED),
            "COLUMNS": str(columns),
            "TERM": "xterm-256color",
            **environment,
        },
    )
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def test_in_a_pipe_the_list_is_a_line_per_component_with_tabs():
    lines = lines_of("list")
    assert ["collate", "mask-pad", "sftframe:collate"] in [line[:3] for line in lines]
    assert [line[0] for line in lines if line[0] != "plugin"] == sorted(
        [line[0] for line in lines if line[0] != "plugin"],
        key=["prompt", "collate", "model", "judge", "launcher"].index,
    )
    assert {len(line) for line in lines} == {6}


def test_plugins_alone_lists():
    assert run().stdout == run("list").stdout


def test_plugins_alone_leaves_a_plugin_out():
    assert run("--no-plugin", "sftframe:judges").stdout == run("list", "--no-plugin", "sftframe:judges").stdout


@pytest.mark.parametrize("option", [["--json"], ["--no-plugin", "sftframe:judges"]])
def test_an_option_before_the_command_is_refused_and_not_forgotten(option):
    result = run(*option, "list")
    assert isinstance(result.exception, ConfigError)
    assert "put the options of list after it" in str(result.exception)


def test_broken_and_conflicting_plugins_are_rows():
    lines = lines_of("list")
    broken = next(line for line in lines if line[2] == "sftframe-broken:unfinished")
    assert broken == [
        "plugin",
        "",
        "sftframe-broken:unfinished",
        "1.0",
        "broken",
        "prompt style Unfinished does not define segments",
    ]
    twins = [(line[2], line[4]) for line in lines if line[1] == "twin"]
    assert twins == [("sftframe-broken:twin_a", "conflict"), ("sftframe-broken:twin_b", "conflict")]


def test_a_slow_plugin_is_a_row_with_its_seconds(capsys):
    from sftframe.cli.plugins_render import show_list
    from sftframe.registry import PluginInfo, Registry
    from sftframe.registry.components import Plugin

    slow = PluginInfo(id="acme:slow", distribution="acme", version="2.0", module="acme", import_s=3.21)
    quick = PluginInfo(id="acme:quick", distribution="acme", version="2.0", module="acme", import_s=0.4)
    show_list(Registry([Plugin(slow), Plugin(quick)]), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "plugin\t\tacme:slow\t2.0\tslow\ttakes 3.2 s to import, and every command waits for it"
    ]


def test_a_disabled_plugin_is_a_row():
    lines = lines_of("list", "--no-plugin", "sftframe-broken:healthy")
    assert ["plugin", "", "sftframe-broken:healthy", "1.0", "disabled", ""] in lines
    assert "healthy" not in [line[1] for line in lines]


def test_the_list_as_json_has_components_and_plugins():
    document = json.loads(run("list", "--json").stdout)
    assert {
        "seam": "prompt",
        "name": "healthy",
        "summary": "a style with nothing wrong",
        "provider": "sftframe-broken:healthy",
        "version": "1.0",
        "status": "ok",
    } in document["components"]
    own = next(plugin for plugin in document["plugins"] if plugin["id"] == "sftframe:collate")
    assert own["is_first_party"] is True
    assert {"seam": "collate", "name": "prompt-weight"} in own["components"]


def test_show_says_options_limits_origin_and_how_to_choose():
    shown = run("show", "prompt-weight").stdout
    assert "sftframe:collate" in shown
    assert "(comes with sftframe)" in shown
    assert "sftframe run --collate prompt-weight" in shown
    assert "--set collate.weight=…" in shown
    assert "(number, ≥ 0, ≤ 1, default 0.1)" in shown


def test_show_as_json_has_the_options_schema():
    [component] = json.loads(run("show", "prompt-weight", "--json").stdout)["components"]
    weight = component["options"]["weight"]
    assert (weight["type"], weight["default"], weight["minimum"], weight["maximum"]) == ("number", 0.1, 0, 1)


def test_an_unknown_name_gets_a_suggestion():
    result = run("show", "alpcaa")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("no component 'alpcaa'; did you mean 'alpaca'?")


@pytest.mark.parametrize("command", ["show", "check"])
@pytest.mark.parametrize("name", ["sftframe-broken:raises_at_import", "raises_at_import"])
def test_a_plugin_that_is_broken_at_import_is_said_to_be_with_its_reason(command, name):
    result = run(command, name)
    assert isinstance(result.exception, PluginError)
    assert str(result.exception).startswith("plugin sftframe-broken:raises_at_import 1.0 is broken: ")
    assert "raises_at_import.py:" in str(result.exception)


@pytest.mark.parametrize("command", ["show", "check"])
def test_an_unknown_name_says_what_is_wrong_with_the_plugins_that_may_have_had_it(command):
    message = str(run(command, "first-half").exception)
    assert "broken and therefore missing: " in message
    assert "raises_half_way.py:" in message


def test_a_name_in_conflict_is_refused_naming_both():
    result = run("show", "twin")
    assert isinstance(result.exception, PluginError)
    assert "sftframe-broken:twin_a, sftframe-broken:twin_b" in str(result.exception)


def test_a_name_at_two_seams_shows_both(tmp_path, monkeypatch):
    install(tmp_path, "doublet", DOUBLET)
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = run("show", "doublet").stdout.splitlines()
    assert [line for line in lines if line.startswith("doublet")] == ["doublet  prompt style", "doublet  judge"]
    assert "  choose  sftframe run --judge doublet" in lines


def test_check_prints_a_line_per_promise():
    result = run("check", "phi3")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "phi3  prompt style"
    assert "  kept    Neither the prompt nor the closing tag depends on the output" in lines
    assert lines[-1] == "  all 20 promises are kept"


def test_check_of_a_component_takes_options():
    result = run("check", "prompt-weight", "--set", "collate.weight=7")
    assert isinstance(result.exception, ConfigError)
    assert "collate.weight: expected 1 or less, found 7" in str(result.exception)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            "weight=0.3",
            "no option 'weight' of what is checked: expected collate.KEY=VALUE; did you mean collate.weight?",
        ),
        ("train.lr=1", "no option 'train' of what is checked: expected collate.KEY=VALUE"),
        ("collate=0.3", "no option 'collate' of what is checked: expected collate.KEY=VALUE"),
    ],
)
def test_check_refuses_what_is_no_option_of_the_component(word, says):
    error = run("check", "prompt-weight", "--set", word).exception
    assert isinstance(error, ConfigError)
    assert says in str(error)


def test_check_of_a_broken_component_goes_on_and_ends_with_exit_code_3(tmp_path, monkeypatch):
    install(tmp_path, "leaky", LEAKY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = run("check", "leaky", "--json")
    assert isinstance(result.exception, PluginError)
    assert str(result.exception) == "'leaky' breaks 1 of 20 promises of its contract"
    document = json.loads(result.stdout)
    assert document["is_kept"] is False
    [broken] = [check for check in document["checks"] if not check["is_kept"]]
    assert broken["promise"] == "Neither the prompt nor the closing tag depends on the output"
    assert "it tells the answer" in broken["error"]


def test_check_of_a_plugin_that_imports_torch_says_so(tmp_path, monkeypatch):
    install(
        tmp_path, "heavy", "import torch  # noqa: F401\n" + LEAKY.replace("Leaky", "Heavy").replace("leaky", "heavy")
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stdout = run("check", "heavy").stdout
    assert "importing heavy imports numpy, torch; import them where they are used" in stdout


def test_a_judge_that_is_not_there_is_not_called_broken(tmp_path, monkeypatch):
    install(tmp_path, "faraway", FARAWAY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = run("check", "faraway")
    assert isinstance(result.exception, JudgeError)
    assert "start the server" in str(result.exception)


def test_a_wide_terminal_shows_where_components_come_from():
    shown = in_terminal(120, "list")
    assert "sftframe:prompts" in shown
    assert "prompt style  --prompt NAME" in shown
    assert "Choose a name in conflict with its plugin" in shown


def test_a_narrow_terminal_is_not_exceeded():
    shown = in_terminal(50, "list", "--no-plugin", "sftframe-broken", NO_COLOR="1")
    plain = re.sub(r"\x1b\[[0-9;]*m|\r", "", shown)
    assert max(len(line) for line in plain.split("\n")) <= 50
    assert "mask-instruction" in shown


def test_no_color_is_honoured():
    red = "\x1b[1;31m"
    assert red in in_terminal(100, "list")
    assert red not in in_terminal(100, "list", NO_COLOR="1")


LEAKY = """
from sftframe import PromptStyle, Role, Segment, hookimpl


class Leaky(PromptStyle):
    name = "leaky"
    summary = "tells the length of the answer"

    def segments(self, example):
        yield Segment(Role.TEMPLATE, f"In {len(example.output)} letters: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, " ")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.RESPONSE, " " + example.output)


@hookimpl
def sftframe_prompt_styles():
    return [Leaky]
"""

DOUBLET = """
from sftframe import Judge, PromptStyle, hookimpl


class Style(PromptStyle):
    name = "doublet"
    summary = "a style"

    def segments(self, example):
        return ()


class Grader(Judge):
    name = "doublet"
    summary = "a judge"

    def score(self, items):
        return iter(())


@hookimpl
def sftframe_prompt_styles():
    return [Style]


@hookimpl
def sftframe_judges():
    return [Grader]
"""

FARAWAY = """
from sftframe import Judge, JudgeError, hookimpl


class Faraway(Judge):
    name = "faraway"
    summary = "asks a server that is not there"

    def check(self):
        raise JudgeError("nothing listens on port 1; start the server")

    def score(self, items):
        return iter(())


@hookimpl
def sftframe_judges():
    return [Faraway]
"""


def install(site, name, code):
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sftframe]\n{name} = {name}\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_could_not_be_checked_is_a_warning_and_no_broken_promise(capsys, as_json):
    report = CheckReport(as_json=as_json)
    report.begin(Seam.PROMPT, "own")
    report.add(Finding(promise="It is green", warning="nobody could look"))
    report.end()
    said = capsys.readouterr().out
    if not as_json:
        assert "  warning nobody could look\n  all 1 promises are kept" in said
        return
    [check] = json.loads(said)["checks"]
    assert (check["is_kept"], check["warning"]) == (True, "nobody could look")
