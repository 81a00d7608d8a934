"""Commands in a real terminal of 60, 80 and 120 columns, seen on an emulated screen as a person sees them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pty = pytest.importorskip("pty", reason="there are no such terminals here")
pyte = pytest.importorskip("pyte")
pytestmark = pytest.mark.timeout(900)

PATIENCE_S = 300.0
WIDTHS = [60, 80, 120]

Look = Callable[..., list[str]]


CHILD = {"TERM": "xterm-256color", "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
READY = """
import json, os, sys
import torch, sftframe.cli.app, sftframe.cli.chat_turns
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        opened = os.open(order["terminal"], os.O_RDWR)
        os.write(1, b"opened\\n")
        for number in range(3):
            os.dup2(opened, number)
        os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = (open(n, "w" if n else "r", closefd=False) for n in range(3))
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        os.chdir(order["folder"])
        sys.argv = ["sftframe", *order["arguments"]]
        exec(order["code"])
        sys.exit()
    os.write(1, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Imports what takes two seconds, and forks for each order: the program in a terminal of its own."""


def environment() -> dict[str, str]:
    """Of a program whose terminal says how wide it is."""
    names = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**names, **CHILD}


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, int]]:
    """Both ends, ours first; the caller closes the other."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 200, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def seen(ours: int, columns: int) -> list[str]:
    """The lines on the screen when nobody writes any more."""
    screen = pyte.Screen(columns, 200)
    stream = pyte.ByteStream(screen)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and (data := _read(ours)):
        stream.feed(data)
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """`look(program, columns)`: the lines on the screen when a Python program has ended."""

    def go(program: Sequence[str], columns: int) -> list[str]:
        with terminal(columns) as (ours, theirs):
            process = subprocess.Popen(
                [sys.executable, *program], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment()
            )
            os.close(theirs)
            try:
                lines = seen(ours, columns)
                assert process.wait(timeout=PATIENCE_S) == 0
            finally:
                process.kill()
                process.wait()
        return lines

    return go


@pytest.fixture(scope="module")
def look_at_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """`look_at_once(code, columns, *arguments)`: as `look`, of a program that has imported everything before."""
    folder = tmp_path_factory.mktemp("terminal")
    with subprocess.Popen(
        [sys.executable, "-c", READY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as ready:
        told: Any = ready.stdout
        asked: Any = ready.stdin

        def go(code: str, columns: int, *arguments: str) -> list[str]:
            with terminal(columns) as (ours, theirs):
                order = {"terminal": os.ttyname(theirs), "folder": str(folder), "code": code, "arguments": arguments}
                asked.write(json.dumps(order) + "\n")
                asked.flush()
                said = told.readline()
                os.close(theirs)
                assert said == "opened\n"
                lines = seen(ours, columns)
                assert told.readline() == "0\n"
            return lines

        yield go
        asked.close()


def _read(descriptor: int) -> bytes:
    """What the terminal gets next; nothing when nobody writes any more."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    try:
        return os.read(descriptor, 65536) if ready else b""
    except OSError:  # Linux says so of a terminal that nobody has open
        return b""


@pytest.mark.parametrize("columns", WIDTHS)
def test_doctor_shows_its_rows_and_nothing_of_its_spinner(look_at_once: Look, columns: int) -> None:
    lines = look_at_once("sftframe.cli.app.main()", columns, "doctor")
    assert lines[0].startswith("python    ok")
    assert not [line for line in lines if "looking at" in line]
    assert any(line.startswith(f"terminal  ok      {columns} columns, utf-8") for line in lines)


TALK = """
import sys, time
from sftframe.cli.streams import own_stdout, safe_streams
from sftframe.cli.render import TerminalObserver, warn
with safe_streams(), own_stdout(), TerminalObserver() as observer:
    observer.begin("data", None, "bytes")
    warn("a plugin of yours is broken: it cannot be imported, and what it offers is not there")
    observer.end()
    observer.begin("train", 4, "steps")
    print("what a plugin prints")
    observer.advance(2, loss=2.5)
    observer.note("the model has learned a sentence that is longer than one line of this terminal, [en] whatever it is")
    observer.advance(2)
    observer.end()
"""


@pytest.mark.parametrize("columns", WIDTHS)
def test_messages_stand_above_the_progress_and_break_between_words(look: Look, columns: int) -> None:
    lines = look(["-c", TALK], columns)
    assert [line for line in lines if line.startswith("✓")] == lines[-2:]
    assert lines[-2].split() == ["✓", "data"]
    assert lines[-1].split() == ["✓", "train", "4", "steps,", "loss", "2.500"]
    said = " ".join(lines[:-2])
    for words in (
        "warning: a plugin of yours is broken: it cannot be imported, and what it offers is not there",
        "what a plugin prints",
        "the model has learned a sentence that is longer than one line of this terminal, [en] whatever it is",
    ):
        assert words in said


CHAT_HELP = """
from sftframe.cli.chat_turns import Chat
Chat(None, seed=1).handle("/help")
"""


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_help_of_a_chat_keeps_its_columns(look_at_once: Look, columns: int) -> None:
    lines = look_at_once(CHAT_HELP, columns)
    assert "set the input of the next instruction; without TEXT, remove it" in " ".join(
        line[13:].strip() for line in lines
    )
    commands = ("/input TEXT", "/system TEXT", "/tools JSON", "/tool TEXT", "/reset", "/help", "/quit")
    assert all(line[:12].strip() in ("", *commands, '"""', "//…", "Ctrl-C") for line in lines)


INDENTED = """
from sftframe.cli.console import out, prose
prose(out(), "A finding that nobody expected in this file: " + "word " * 30)
prose(out(), "  3 output: " + "word " * 30)
"""


@pytest.mark.parametrize("columns", WIDTHS)
def test_further_lines_begin_under_the_first_word(look_at_once: Look, columns: int) -> None:
    lines = [line.rstrip() for line in look_at_once(INDENTED, columns) if line.strip()]
    (start,) = [place for place, line in enumerate(lines) if line.startswith("  3 output:")]
    assert lines[start + 1 :]
    assert all(line.startswith("word") for line in lines[1:start])
    assert all(line.startswith("  word") for line in lines[start + 1 :])
    assert all(len(line) <= columns for line in lines)
    assert sum(line.count("word") for line in lines) == 60
