"""What is published, for real: a source distribution, and the wheel that is built from it and runs on its own.

The wheel goes into a new virtual environment that sees the packages of the one that runs the tests, but not the
checkout: paths of editable installations are not followed.
"""

import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import sftframe

ROOT = Path(__file__).parents[1]
MIB = 2**20
LARGE = {"weights.safetensors"}
"""The bundled model; no other file is allowed to be large."""


def built(source, target, kind):
    """The one file that hatchling makes of this kind."""
    pytest.importorskip("hatchling", reason="wheel and sdist are built with hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [path] = [path for path in target.iterdir() if path.name.endswith((".whl", ".tar.gz"))]
    return path


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return built(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Built from the source distribution, as packagers do."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [source] = folder.iterdir()
    return built(source, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of an environment's programs, with the wheel installed and the checkout out of reach."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    # a plain path: unlike site.addsitedir, it does not run the .pth files of editable installations
    (site / "parent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    # the parent may hold sftframe in the same version, which pip would find good enough
    offline = ["--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run([*pip, *offline, str(wheel)], check=True, capture_output=True)
    return programs


def called(program, *arguments, cwd):
    done = subprocess.run([str(program), *arguments], cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_two_packages_with_all_that_they_need(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "sftframe",
        "sftframe_plugins",
        f"sftframe-{sftframe.__version__}.dist-info",
    }
    assert {
        "sftframe/py.typed",
        "sftframe/datasets/starter.jsonl",
        "sftframe_plugins/py.typed",
        "sftframe_plugins/gpt2/nano/weights.safetensors",
        f"sftframe-{sftframe.__version__}.dist-info/licenses/LICENSE",
    } <= set(names)


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    packaged = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    tree = {
        path.relative_to(base).as_posix()
        for base, package in ((ROOT, "sftframe"), (ROOT / "plugins", "sftframe_plugins"))
        for path in (base / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert packaged == tree


def test_its_metadata_says_what_the_project_is(wheel):
    archive = zipfile.ZipFile(wheel)
    folder = f"sftframe-{sftframe.__version__}.dist-info"
    about = message_from_bytes(archive.read(f"{folder}/METADATA"))
    assert (about["Name"], about["Version"]) == ("sftframe", sftframe.__version__)
    assert (about["License-Expression"], about["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert about["Description-Content-Type"] == "text/markdown"
    assert "sftframe = sftframe.cli.app:main" in archive.read(f"{folder}/entry_points.txt").decode()


def test_the_version_is_a_semantic_one():
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", sftframe.__version__)


def test_the_wheel_runs_outside_of_the_checkout(installed, tmp_path):
    where = called(installed / "python", "-c", "import sftframe; print(sftframe.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)

    assert called(installed / "sftframe", "--version", cwd=tmp_path) == f"sftframe {sftframe.__version__}\n"
    few = ["--limit", "20", "--max-steps", "1", "--set", "generate.max_new_tokens=2", "--set", "before=false"]
    summary = json.loads(called(installed / "sftframe", "run", *few, "--out", "mine", "--json", cwd=tmp_path))
    assert summary["train"]["steps"] == 1
    assert (tmp_path / "mine" / "report.html").is_file()


def test_the_sdist_holds_no_large_files_and_nothing_that_was_made_by_working(sdist):
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    files = {member.name.partition("/")[2]: member.size for member in members if member.isfile()}
    assert {Path(name).name for name, size in files.items() if size > MIB} == LARGE
    made = {".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", "__pycache__", "site"}
    assert [name for name in files if made.intersection(Path(name).parts)] == []
    assert {name.partition("/")[0] for name in files} & {"runs", "ablations"} == set()
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "PKG-INFO"} <= set(files)
    assert {"tests/test_packaging.py", "docs/index.md", "mkdocs.yml", ".ci/run"} <= set(files)
