"""Commands in a real terminal of 60, 80 and 120 columns, seen on an emulated screen as a person sees them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="there are no such terminals here")
pyte = pytest.importorskip("pyte")
pytestmark = pytest.mark.timeout(900)

PATIENCE_S = 300.0
WIDTHS = [60, 80, 120]

Look = Callable[..., list[str]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """`look(code, columns, *arguments)`: the lines on the screen when a Python program has ended."""
    import fcntl
    import struct
    import termios

    def go(program: Sequence[str], columns: int, **environment: str) -> list[str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 200, columns, 0, 0))
        names = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        process = subprocess.Popen(
            [sys.executable, *program],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            env={**names, "TERM": "xterm-256color", "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1", **environment},
        )
        os.close(theirs)
        screen = pyte.Screen(columns, 200)
        stream = pyte.ByteStream(screen)
        deadline = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < deadline and (data := _read(ours)):
                stream.feed(data)
            assert process.wait(timeout=max(1.0, deadline - time.monotonic())) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return [line.rstrip() for line in screen.display if line.strip()]

    return go


def _read(descriptor: int) -> bytes:
    """What the terminal gets next; nothing when nobody writes any more."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    try:
        return os.read(descriptor, 65536) if ready else b""
    except OSError:  # Linux says so of a terminal that nobody has open
        return b""


@pytest.mark.parametrize("columns", WIDTHS)
def test_doctor_shows_its_rows_and_nothing_of_its_spinner(look: Look, columns: int) -> None:
    lines = look(["-m", "sftframe", "doctor"], columns)
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
def test_the_help_of_a_chat_keeps_its_columns(look: Look, columns: int) -> None:
    lines = look(["-c", CHAT_HELP], columns)
    assert "set the input of the next instruction; without TEXT, remove it" in " ".join(
        line[13:].strip() for line in lines
    )
    assert all(
        line[:12].strip() in ("", "/input TEXT", "/reset", "/help", "/quit", '"""', "//…", "Ctrl-C") for line in lines
    )
