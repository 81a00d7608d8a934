"""Renders templates in a separate process, so that none can take this one's time or memory.

Jinja's sandbox blocks files and attributes, but not `'a'.ljust(2000000000)`, a list that doubles itself or nested
loops. So one process per program reads and renders all templates. It has limits on memory and on processor time (see
`sandbox`); this side has a limit by the clock. 50,000 examples took 14.6 s, and 6.0 s without the process.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from sftframe.errors import ConfigError
from sftframe.prompts.files import Kind

_START = "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[4]); runpy.run_path(sys.argv[1], None, '__main__')"
"""The script alone, without the package: it starts in 60 ms, and a template can reach nothing else."""


class Rendering:
    """A template that another process has read.

    Args:
        process: by default the one that the whole program shares.

    Raises:
        ConfigError: it is not a template.
    """

    def __init__(self, kind: Kind, source: str, process: RenderProcess | None = None) -> None:
        self._kind: Kind = kind
        self._source = source
        self._process = process
        self.names: frozenset[str] = frozenset(self._ask({})["names"])
        """Names that the template reads and does not set."""

    def texts(self, common: Mapping[str, Any], each: Sequence[Mapping[str, Any]]) -> list[str]:
        """One text per entry of `each`; its names are added to the common ones.

        Raises:
            ConfigError: the template fails, or takes more time, memory or characters than a prompt can need.
        """
        texts: list[str] = self._ask({"common": dict(common), "each": list(each)})["texts"]
        return texts

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process or shared_process()
        answer = process.ask(self._kind, self._source, request)
        if "limit" in answer:
            raise ConfigError(process.limits.explain(answer["limit"]))
        if "error" in answer:
            raise ConfigError(answer["error"])
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits for rendering one example."""

    cpu_s: float = 5.0
    """Processor time; a page takes 0.0001 s."""
    clock_s: float = 30.0
    """The same by the clock, for systems without such a timer; it is longer, for busy machines."""
    memory_bytes: int = 512 * 2**20
    """Address space; the process itself needs 60 MB of it."""

    def explain(self, which: str) -> str:
        """The message for an exceeded limit."""
        if which == "time":
            return f"it takes more than {self.cpu_s:g} s; a prompt takes a thousandth of one: check its loops"
        if which == "memory":
            needed = f"{self.memory_bytes / 2**20:.0f} MB of memory"
            return f"it needs more than {needed}; a prompt is a page: check its widths and loops"
        return "the process that renders it ended; check whether the machine has free memory, and try again"


@cache
def shared_process() -> RenderProcess:
    """One process for the whole program: a process per style would cost 60 ms and 15 MB each."""
    return RenderProcess()


class RenderProcess:
    """The rendering process; started when it is needed, and again if a template has ended it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._known: dict[tuple[Kind, str], int] = {}
        self._owner = 0
        atexit.register(self.end)

    @property
    def pid(self) -> int | None:
        """The id of the process that runs now."""
        return None if self._running is None else self._running.pid

    def ask(self, kind: Kind, source: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request about a template. A template that the process does not know is read first."""
        with self._lock:
            running = self._started()
            number = self._known.get((kind, source))
            if number is None:
                number = len(self._known)
                read = self._exchange(running, {"kind": kind, "source": source, "template": number})
                if "names" not in read or not request:
                    return read
                self._known[kind, source] = number
            elif not request:
                request = {"kind": kind, "source": source}
            return self._exchange(running, {**request, "template": number})

    def _exchange(self, running: subprocess.Popen[bytes], request: dict[str, Any]) -> dict[str, Any]:
        frame = json.dumps(request).encode()
        assert running.stdin is not None, "it was started with a pipe"
        try:
            running.stdin.write(len(frame).to_bytes(8, "big") + frame)
            running.stdin.flush()
            answer = self._answers.get(timeout=self.limits.clock_s)
        except queue.Empty:
            self.end()
            return {"limit": "time"}
        except OSError:
            answer = b""
        except BaseException:  # Ctrl-C: this answer would be taken for the next request's
            self.end()
            raise
        if not answer:
            return {"limit": self._why_it_ended(running)}
        found: dict[str, Any] = json.loads(answer)
        return found

    def _why_it_ended(self, running: subprocess.Popen[bytes]) -> str:
        with suppress(subprocess.TimeoutExpired):
            running.wait(timeout=self.limits.clock_s)
        self.end()
        return "time" if running.returncode == -getattr(signal, "SIGPROF", 0) else "end"

    def _started(self) -> subprocess.Popen[bytes]:
        is_own = self._owner == os.getpid()  # a fork must not use its parent's pipes
        if is_own and self._running is not None and self._running.poll() is None:
            return self._running
        script = str(Path(__file__).with_name("sandbox.py"))
        limits = str(self.limits.cpu_s), str(self.limits.memory_bytes)
        # its own group: Ctrl-C is for the program; however the program ends, its pipe closes and this process ends
        apart: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        self._running = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, script, *limits, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **apart,
        )
        self._owner, self._known, self._answers = os.getpid(), {}, queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(self._running.stdout, self._answers), daemon=True)
        reader.start()
        return self._running

    def end(self) -> None:
        """End it; a later request starts it again."""
        running, self._running = self._running, None
        if running is None or self._owner != os.getpid():
            return
        running.kill()
        running.wait()
        if running.stdin is not None:
            with suppress(OSError):
                running.stdin.close()


def _read(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Put every answer into the queue; an empty one at the end."""
    while len(size := stream.read(8)) == 8:
        answers.put(stream.read(int.from_bytes(size, "big")))
    answers.put(b"")
    stream.close()
