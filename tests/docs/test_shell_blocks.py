"""The commands on every page: all of them parse, and each block is run, in few steps, or says why it is not."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import pytest
import typer

from sftframe.cli.app import app, main

REASONS = {
    "package index": "installs something",
    "download": "needs weights or data from the network",
    "Ollama": "needs an Ollama server",
    "OpenAI": "needs a server and a key",
    "GPU": "needs a GPU, or measures one",
    "extra gguf": "needs an optional package",
    "own data": "names a file that the reader has",
    "plugin": "needs an installed example plugin",
    "stopped run": "needs a run that was stopped",
    "several processes": "starts a process for each core or GPU",
    "benchmark": "takes minutes and measures the machine",
    "long": "a grid of many runs",
    "terminal": "needs a terminal",
    "shown only": "goes on from a block that is not run",
}
"""What a block may give as the reason for not being run."""
ELSEWHERE = ("main job", "test command")
"""Markers of the README's blocks that `.ci/run` and the packaging tests run as they stand."""
FEW_STEPS = {
    "run": "--limit 20 --max-steps 1 --set generate.max_new_tokens=2 --set before=false --threads 1",
    "train": "--limit 20 --max-steps 1 --set generate.max_new_tokens=2 --set before=false --threads 1",
    "ablate": "--limit 20 --max-steps 1 --seeds 1 --set generate.max_new_tokens=2 --set before=false --threads 1",
    "preview": "--limit 40",
}
"""What the tests add to a page's commands, so that they end soon."""


def test_every_block_of_commands_says_whether_it_is_run(page: str, blocks) -> None:
    for block in blocks(page):
        if block.language in ("bash", "console", "sh", "shell"):
            kind, _, reason = block.marker.partition(": ")
            is_known = block.marker in ("run", *ELSEWHERE) or (kind == "not run" and reason in REASONS)
            assert is_known, (
                f"{page}: put <!-- run --> or <!-- not run: REASON --> in the line before this block, "
                f"REASON one of {', '.join(REASONS)}:\n{block.code}"
            )


def test_every_command_exists_with_its_flags(page: str, blocks, root: Path) -> None:
    text = (root / page).read_text(encoding="utf-8")
    indented = [line for line in text.splitlines() if line.startswith("    sftframe ")]
    fenced = [block.code for block in blocks(page) if block.language in ("bash", "console", "sh", "shell")]
    for arguments in sftframe_commands("\n".join([*fenced, *indented])):
        parse(arguments)


def test_a_flag_that_does_not_exist_is_noticed() -> None:
    (arguments,) = sftframe_commands("$ HOME=/tmp sftframe run --promt alpaca  # a slip\n")
    with pytest.raises(Exception, match="--promt"):
        parse(arguments)


def test_files_that_pages_show_are_well_formed(page: str, blocks) -> None:
    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.code)
        if block.language == "json":
            json.loads(block.code)


@pytest.mark.usefixtures("plain_drawings")
def test_commands_run(run_page: str, blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_run: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))
    chosen = [block for block in blocks(run_page) if block.title or block.marker == "run"]
    if any("runs/mine" in block.code for block in chosen):
        shutil.copytree(tiny_run, tmp_path / "runs/mine")
    for block in chosen:
        if block.title:
            (tmp_path / block.title).write_text(block.code, encoding="utf-8")
        else:
            run_block(block.code, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that learned nothing."""
    path = tmp_path_factory.mktemp("docs") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        call(["run", "--out", str(path), *FEW_STEPS["run"].split()], patch)
    return path


def run_block(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process where there are sftframe's commands alone, else by a shell."""
    lines = [line for line in logical_lines(code) if shlex.split(line, comments=True)]
    if all(line.startswith("sftframe ") and not set(line) & set("|<>&;$") for line in lines):
        for line in lines:
            arguments = shlex.split(line, comments=True)[1:]
            few = [] if "--resume" in arguments else FEW_STEPS.get(arguments[0], "").split()
            call([*arguments, *few], monkeypatch)
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=folder, env={**os.environ, "PATH": path}, check=True)


def call(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the console script does it."""
    monkeypatch.setattr("sys.argv", ["sftframe", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, arguments


def sftframe_commands(code: str) -> Iterator[list[str]]:
    """The arguments of every call of sftframe, whatever stands before, behind or around it."""
    for line in logical_lines(code):
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] = []
        for token in [*lexer, ";"]:
            if not set(token) <= set("|&;<>"):
                command.append(token)
                continue
            words = list(dropwhile(lambda word: "=" in word, command))  # variables set for the command
            if words and Path(words[0]).name == "sftframe":
                yield words[1:]
            command = []


def logical_lines(code: str) -> list[str]:
    """Lines without their indentation, continued lines joined."""
    return [line.strip() for line in code.replace("\\\n", " ").splitlines()]


def parse(arguments: list[str]) -> None:
    """Raises where a command or a flag does not exist, or a value is of the wrong kind."""
    command, rest = typer.main.get_command(app), list(arguments)
    while rest and hasattr(command, "commands") and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    assert command.name != "sftframe", f"no such command: {arguments}"
    command.make_context("sftframe", rest)
