"""`pytest --sftframe NAME`, seen from outside: in processes of their own, in a folder without tests."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOOD = 'segments = [{ template = "Q: " }, "instruction", "input", { template = "\\nA:\\n" }, "response"]\n'
NEVER_STOPS = GOOD.replace('"response"', '"response", { end = "</a>" }') + 'stop_strings = ["capital"]\n'


def pytest_in(folder, *arguments):
    """Exit code and output of pytest with the plugin, and with no other that happens to be installed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "sftframe.pytest_plugin", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def test_every_promise_is_a_test_of_its_own(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD)
    code, said = pytest_in(tmp_path, "-v", "--sftframe", "./good.toml", "--sftframe", "alpaca")
    assert code == 0, said
    assert said.count("::hides_the_output PASSED") == 2
    assert "sftframe::prompt:alpaca::imports_nothing_heavy PASSED" in said


def test_a_broken_promise_fails_with_what_to_do_and_no_traceback(tmp_path):
    (tmp_path / "bad.toml").write_text(NEVER_STOPS)
    code, said = pytest_in(tmp_path, "-q", "--sftframe", "./bad.toml")
    assert code == 1
    assert "the stop string ['capital'] is in the ordinary answer" in said
    assert "FAILED sftframe::prompt:./bad.toml::has_usable_stop_strings" in said
    assert "Traceback" not in said
    assert "contract.py" not in said


LOCKED = """
import threading
from sftframe import PromptStyle, Role, Segment, hookimpl


class Locked(PromptStyle):
    name = "locked"
    summary = "has what no other process can have"

    def __init__(self, *given):
        super().__init__(*given)
        self.lock = threading.Lock()

    def segments(self, example):
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.INPUT, "\\n" + example.input)
        yield Segment(Role.TEMPLATE, "\\nA:\\n")
        yield Segment(Role.RESPONSE, example.output)


@hookimpl
def sftframe_prompt_styles():
    return [Locked]
"""


def test_what_could_not_be_checked_is_a_warning(tmp_path, monkeypatch):
    information = tmp_path / "sftframe_locked-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: sftframe-locked\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[sftframe]\nlocked = sftframe_locked\n")
    (tmp_path / "sftframe_locked.py").write_text(LOCKED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, said = pytest_in(tmp_path, "-q", "--sftframe", "locked")
    assert code == 0, said
    assert "depends_on_the_example_alone: it was not tried in other processes: it cannot be sent there" in said


def test_options_are_set_and_checks_selected_as_tests_are(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD)
    arguments = ("-q", "--sftframe", "./good.toml", "-k", "usable_stop_strings")
    assert "1 passed" in pytest_in(tmp_path, *arguments)[1]
    code, said = pytest_in(tmp_path, *arguments, "--sftframe-set", 'prompt.stop_strings=["capital"]')
    assert (code, "is in the ordinary answer" in said) == (1, True)


def test_an_option_without_its_section_is_a_usage_error(tmp_path):
    code, said = pytest_in(tmp_path, "--sftframe", "prompt-weight", "--sftframe-set", "weight=0.5")
    assert code == 4
    assert "did you mean collate.weight?" in said


def test_an_unknown_name_is_a_usage_error_with_a_suggestion(tmp_path):
    code, said = pytest_in(tmp_path, "--sftframe", "alpca")
    assert code == 4
    assert "--sftframe: no component 'alpca'; did you mean 'alpaca'?" in said


def test_unused_it_imports_nothing_of_sftframes_that_is_heavy():
    script = "import sys, sftframe.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "pydantic", "rich", "typer", "jinja2", "sftframe.registry.components"} & set(
        done.stdout.split()
    ) == set()


def test_pytest_finds_it_by_its_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"sftframe": "sftframe.pytest_plugin"}
