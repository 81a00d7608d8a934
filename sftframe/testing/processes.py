"""Python processes that start once and do many tasks: for each task such a process forks a copy of itself.

A copy has imported nothing of any component, so it is as good as a new process. It does not wait until torch is
imported. Where a fork is not safe (macOS) or not possible (Windows), a process does one task and ends.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"

PATIENCE_S = 300
"""A process that needs longer for a task is ended."""

_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from sftframe.testing.elsewhere import main; "
    "from sftframe.testing.processes import serve; serve(main, can_fork=sys.argv[1] == 'fork')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process does: `main(folder)`."""

    folder: Path
    hash_seed: int
    is_foreign: bool = False
    """Started in another language: what a process reads of its environment when it starts cannot be changed later."""
    environment: Mapping[str, str]
    """Of a process that is started for this task; `main` sets the environment of a copy."""
    needs: tuple[str, ...] = ()
    """Modules that are imported before the process is copied, so that later copies have them too."""


class TooLongError(Exception):
    """A process was ended because its task took too long."""


_Key = tuple[int, bool, int]


class Processes:
    """Processes that wait for tasks, each with its own order of hashes."""

    def __init__(self, *, can_fork: bool = CAN_FORK, patience_s: float = PATIENCE_S) -> None:
        self._can_fork = can_fork
        self._patience_s = patience_s
        self._idle: dict[_Key, _Process] = {}
        atexit.register(self.end)

    def run(self, tasks: Sequence[Task]) -> list[int]:
        """Do the tasks; the exit code of each. Those of the same kind come one after the other.

        Raises:
            TooLongError: one took longer than `patience_s`.
        """
        working: list[_Process] = []
        taken: dict[_Key, _Process] = {}
        try:
            for task in tasks:
                # the id of this process: one that was forked from it must not talk to the same processes
                key = (task.hash_seed, task.is_foreign, os.getpid())
                process = taken.get(key) or self._idle.pop(key, None)
                if process is None or not process.is_alive:
                    process = _Process(task, can_fork=self._can_fork)
                process.send(task)
                working.append(process)
                if self._can_fork:
                    taken[key] = process
            codes = [process.wait(self._patience_s) for process in working]
        except BaseException:
            for process in working:
                process.end()
            raise
        self._idle |= taken
        return codes

    def end(self) -> None:
        """End those that wait."""
        for key in [key for key in self._idle if key[-1] == os.getpid()]:
            self._idle.pop(key).end()


@cache
def processes() -> Processes:
    """Those of this process, for all components that it checks."""
    return Processes()


class _Process:
    def __init__(self, task: Task, *, can_fork: bool) -> None:
        self._is_late = False
        paths = (os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, "fork" if can_fork else "once", *paths],
            env=dict(task.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # it is ended together with its copies, and Ctrl-C is left to this process
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, task: Task) -> None:
        asked = self._process.stdin
        assert asked is not None
        with suppress(BrokenPipeError):  # then it has ended, and wait() says how
            asked.write(json.dumps([str(task.folder), task.needs]).encode() + b"\n")
            asked.flush()

    def wait(self, patience_s: float) -> int:
        """The exit code of the first task that was sent and not waited for."""
        told, timer = self._process.stdout, threading.Timer(patience_s, self._give_up)
        assert told is not None
        timer.daemon = True
        timer.start()
        try:
            line = told.readline()
        finally:
            timer.cancel()
        if self._is_late:
            raise TooLongError
        return int(line) if line else self._process.wait()

    def _give_up(self) -> None:
        self._is_late = True
        self.end()

    def end(self) -> None:
        """End it and its copy."""
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()


def serve(main: Callable[[str], None], *, can_fork: bool) -> None:
    """The started process: do one task after the other, until nobody can send any more."""
    asked, told = os.fdopen(os.dup(0), encoding="utf-8"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # what a component reads or prints must not get among the tasks
    os.dup2(nothing, 1)
    for line in asked:
        folder, needs = json.loads(line)
        for name in needs:
            importlib.import_module(name)
        if not can_fork:
            main(folder)
            return
        os.write(told, f"{_in_a_copy(main, folder)}\n".encode())


def _in_a_copy(main: Callable[[str], None], folder: str) -> int:
    """The exit code of a copy of this process, in which `main` was called."""
    copy = os.fork()
    if copy:
        return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    code = 1
    try:
        main(folder)
        code = 0
    finally:
        os._exit(code)
