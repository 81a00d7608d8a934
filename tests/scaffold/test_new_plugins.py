"""`sftframe plugins new`, for real: all four kinds written, installed by pip, tested by their own tests, and run."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sftframe.cli.app import app
from sftframe.errors import ConfigError

RUN_KINDS = ("prompt", "collate", "model", "judge")
KINDS = (*RUN_KINDS, "launcher")


def new(*arguments):
    return CliRunner().invoke(app, ["plugins", "new", *arguments])


def process(*command, cwd=None, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},  # small tensors, beside busy processes
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A plugin of each kind, as it is written."""
    folder = tmp_path_factory.mktemp("projects")
    for kind in KINDS:
        result = new(kind, f"own-{kind}", "--dir", str(folder / kind), "--author", 'Ann "A" Example')
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def site(projects, tmp_path_factory):
    """A folder with all of them installed."""
    pytest.importorskip("hatchling", reason="the plugins are built with hatchling")
    target = tmp_path_factory.mktemp("site")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    process("-m", "pip", "install", *offline, "--target", target, *(projects / kind for kind in KINDS))
    return target


def test_all_pass_their_own_tests(projects, site):
    tests = [projects / kind / "tests" for kind in KINDS]
    said = process(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", projects, *tests),
        PYTHONPATH=str(site),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",  # whatever else is installed here: pytest would rewrite every assert of it
    )
    assert "18 passed" in said


def test_those_of_a_run_work_in_one_run(site, tmp_path):
    pieces = [word for kind in RUN_KINDS for word in (f"--{kind}", f"own-{kind}")]
    small = ["--max-steps", "2", "--limit", "40", "--set", "generate.max_new_tokens=4", "--set", "before=false"]
    said = process(
        *("-m", "sftframe", "run", *pieces, *small, "--out", tmp_path / "run", "--json"),
        PYTHONPATH=str(site),
    )
    summary = json.loads(said)
    assert [summary[kind] for kind in ("prompt", "collate", "model")] == ["own-prompt", "own-collate", "own-model"]
    assert summary["after"]["judge"]["name"] == "own-judge"
    assert summary["train"]["steps"] == 2


def test_a_name_of_an_installed_plugin_is_taken(site, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(ConfigError, match=r"there is a judge 'own-judge' already, from sftframe-own-judge:own-judge"):
        raise new("judge", "own-judge", "--dir", str(tmp_path / "x")).exception
    with pytest.raises(
        ConfigError, match=r"a package 'SFTframe.own_judge' with plugins is installed already; .*--pack"
    ):
        raise new("judge", "other", "--package", "SFTframe.own_judge", "--dir", str(tmp_path / "x")).exception


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_clean_python(projects, kind):
    pytest.importorskip("ruff", reason="ruff looks at it")
    for command in (("check", "--select", "E,F,I,B,UP,N"), ("format", "--check")):
        process("-m", "ruff", *command, "--isolated", "--no-cache", "--line-length", "120", ".", cwd=projects / kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plugin_itself_is_short(projects, kind):
    (plugin,) = (projects / kind / "src").glob("*/__init__.py")
    code = [line for line in plugin.read_text().splitlines() if line.strip()]
    assert len(code) <= (45 if kind == "model" else 20)


def test_the_project_says_whose_it_is_and_where_sftframe_finds_it(projects):
    project = tomllib.loads((projects / "judge" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "sftframe-own-judge"
    assert project["authors"] == [{"name": 'Ann "A" Example'}]
    assert project["entry-points"] == {"sftframe": {"own-judge": "sftframe_own_judge"}}
    assert project["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("license", "expression", "words"),
    [
        ("apache-2.0", "Apache-2.0", "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"),
        ("MIT", "MIT", "Bo Author\n\nPermission is hereby granted, free of charge"),
        ("bsd-3-clause", "BSD-3-Clause", "3. Neither the name of the copyright holder"),
    ],
)
def test_the_licence_is_the_one_that_was_chosen(tmp_path, license, expression, words):
    assert (
        new("prompt", "x", "--dir", str(tmp_path / "x"), "--license", license, "--author", "Bo Author").exit_code == 0
    )
    assert tomllib.loads((tmp_path / "x" / "pyproject.toml").read_text())["project"]["license"] == expression
    assert words in (tmp_path / "x" / "LICENSE").read_text()


def test_everything_has_a_default_and_json_says_what_was_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = json.loads(new("prompt", "two.words", "--json").stdout)
    assert document["path"] == str(tmp_path / "sftframe-two-words")
    assert document["next"][0] == "pip install -e './sftframe-two-words[test]'"
    assert document["files"] == [
        ".github/workflows/test.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/sftframe_two_words/__init__.py",
        "tests/test_two_words.py",
    ]
    written = {path.relative_to(tmp_path / "sftframe-two-words") for path in Path(document["path"]).rglob("*")}
    assert {path.as_posix() for path in written} >= set(document["files"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("promt", "x"), r"no kind of plugin 'promt'; did you mean 'prompt'\?"),
        (("prompt", "My Style"), r"'My Style' cannot be a component's name: .* for example 'my-style'"),
        (("prompt", "x.toml"), r"'x\.toml' cannot be a component's name: .* no file's ending"),
        (("prompt", "-x"), r"'-x' cannot be|no flag -x"),
        (("prompt", "alpaca"), r"there is a prompt style 'alpaca' already, from sftframe:prompts"),
        (("prompt", "x", "--license", "gpl"), r"no licence 'gpl'\. Available: apache-2\.0, bsd-3-clause, mit"),
        (("prompt", "x", "--package", "1 2"), r"--package '1 2' cannot be a package's name"),
        (("prompt", "x", "--package", "sftframe"), r"--package 'sftframe' is taken: its module would be 'sftframe'"),
        (("prompt", "x", "--author", "a\nb"), r"--author 'a\\nb': expected a name on one line"),
        (("prompt", "x", "--dir", "file"), r"file is a file: --dir needs a folder, a new one or an empty one"),
        (("prompt", "x", "--dir", "full"), r"full is not empty: sftframe does not change it"),
        (("prompt", "x", "--dir", "no/where"), r"there is no folder .*no for where: make it, or choose --dir"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    result = new(*(arguments if arguments[1] != "-x" else ("prompt", "--", "-x")))
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError, match=says) as caught:
        raise result.exception
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
