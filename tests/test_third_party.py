"""Third-party plugins, for real: built, installed and uninstalled by pip in an environment of their own, offline.

The environment is a bare virtual one that also sees the packages of the one that runs the tests.
"""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "sftframe-vicuna"

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"

[project.entry-points.sftframe]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

ANOTHER_VICUNA = """
from sftframe import PromptStyle, Role, Segment, hookimpl


class Vicuna(PromptStyle):
    name = "vicuna"
    summary = "another style of the same name"

    def segments(self, example):
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.RESPONSE, " " + example.output)


@hookimpl
def sftframe_prompt_styles():
    return [Vicuna]
"""


class Environment:
    """A virtual environment without pip of its own; the tests' pip works on it from outside."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        parent = sysconfig.get_path("purelib")
        (site / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")

    def pip(self, command: str, *arguments: str) -> None:
        offline = ["--no-deps", "--no-build-isolation", "--no-index"] if command == "install" else ["--yes"]
        self._run(sys.executable, "-m", "pip", "--python", str(self.python), command, "--quiet", *offline, *arguments)

    def sftframe(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        script = "from sftframe.cli.app import main; main()"
        return self._run(str(self.python), "-c", script, *arguments, exit_code=exit_code)

    def plugins(self) -> tuple[dict[str, dict[str, object]], set[str]]:
        """Plugins by their id, and each component's name and status."""
        listed = json.loads(self.sftframe("plugins", "list", "--json").stdout)
        components = {f"{component['name']} {component['status']}" for component in listed["components"]}
        return {plugin["id"]: plugin for plugin in listed["plugins"]}, components

    def _run(self, *command: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == exit_code, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    pytest.importorskip("hatchling", reason="the plugins are built with hatchling")
    return Environment(tmp_path_factory.mktemp("environment"))


def project(folder: Path, name: str, code: str) -> str:
    """A distribution of one module, ready to be built."""
    module = name.replace("-", "_")
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name, module=module))
    (folder / f"{module}.py").write_text(code)
    return str(folder)


def test_the_example_is_installed_passes_its_own_tests_is_used_and_uninstalled(environment):
    environment.pip("install", str(EXAMPLE))
    alone = ("-p", "no:cacheprovider", "--disable-plugin-autoload", "--rootdir", str(EXAMPLE))
    environment._run(str(environment.python), "-m", "pytest", "-q", *alone, str(EXAMPLE))
    plugins, _ = environment.plugins()
    plugin = plugins["sftframe-vicuna:vicuna"]
    assert plugin.pop("import_s") >= 0
    assert plugin == {
        "id": "sftframe-vicuna:vicuna",
        "distribution": "sftframe-vicuna",
        "version": "0.1.0",
        "module": "sftframe_vicuna",
        "is_first_party": False,
        "status": "ok",
        "error": "",
        "components": [{"seam": "prompt", "name": "vicuna"}],
    }
    shown = environment.sftframe("plugins", "show", "vicuna").stdout
    assert "sftframe run --prompt vicuna" in shown
    assert "sftframe-vicuna:vicuna 0.1.0" in shown
    checked = json.loads(environment.sftframe("plugins", "check", "vicuna", "--json").stdout)
    assert checked["is_kept"] is True
    environment.pip("uninstall", "sftframe-vicuna")
    assert "sftframe-vicuna:vicuna" not in environment.plugins()[0]
    gone = environment.sftframe("plugins", "show", "vicuna", exit_code=2)
    assert "no component 'vicuna'" in gone.stderr


def test_a_broken_plugin_beside_it_is_a_row_and_a_clash_an_error_when_used(environment, tmp_path):
    broken = project(tmp_path / "broken", "sftframe-acme", "import package_that_nobody_has\n")
    twin = project(tmp_path / "twin", "sftframe-twin", ANOTHER_VICUNA)
    environment.pip("install", str(EXAMPLE), broken, twin)

    plugins, components = environment.plugins()
    row = plugins["sftframe-acme:sftframe-acme"]
    assert row["status"] == "broken"
    assert "No module named 'package_that_nobody_has'" in str(row["error"])
    assert {"vicuna conflict", "alpaca ok"} <= components

    clash = environment.sftframe("plugins", "show", "vicuna", exit_code=3)
    assert "2 plugins offer a prompt style 'vicuna'" in clash.stderr
    assert "sftframe-twin:sftframe-twin, sftframe-vicuna:vicuna" in clash.stderr

    freed = environment.sftframe("plugins", "show", "vicuna", "--no-plugin", "sftframe-twin")
    assert "USER and ASSISTANT on one line" in freed.stdout
    environment.pip("uninstall", "sftframe-vicuna", "sftframe-acme", "sftframe-twin")
