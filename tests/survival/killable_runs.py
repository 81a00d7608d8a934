"""Runs of the toy pieces that fail or die when they are told to; as a program: one process each.

Everything is imported once and every run is a fork, so that a run costs a fraction of a second. Reads one JSON object
per line from its standard input, {"stages", "out", "resume", "config", "kill_after_s", "kill_at", "fail_at"}, and
answers with {"status", "seconds", "operations", "message"}: how the process ended (0, an exit code, or minus a signal),
how long it took, what it did to the disk, and its error.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any

os.environ["GOMP_SPINCOUNT"] = "2000"

import torch

from sftframe.errors import SftframeError
from sftframe.files.atomic import Disk, using_disk
from sftframe.pipeline import Session
from sftframe.pipeline.answers import mend
from sftframe.progress import Observer

_ERROR = "error: "


class DyingDisk(Disk):
    """Writes down every operation; in the middle of one it kills its process, or fails as a broken disk does."""

    def __init__(self, log: IO[str], *, kill_at: int | None = None, fail_at: int | None = None) -> None:
        self._left = kill_at if fail_at is None else fail_at
        self._is_failing = fail_at is not None
        self._log = log

    def _reach(self, operation: str, path: Path) -> bool:
        """Whether to die now."""
        self._log.write(f"{operation} {path.name}\n")
        self._log.flush()
        if self._left is None:
            return False
        self._left -= 1
        return self._left == -1

    def open(self, path: Path, mode: str) -> IO[bytes]:
        if self._reach("open", path):
            self._die(errno.ENOSPC)
        return super().open(path, mode)

    def write(self, file: IO[bytes], data: bytes) -> None:
        if self._reach("write", Path(str(file.name))):
            super().write(file, data[: len(data) // 2])
            self._die(errno.ENOSPC)
        super().write(file, data)

    def fill(self, path: Path, write: Any) -> None:
        is_last = self._reach("fill", path)
        super().fill(path, write)
        if is_last:
            if path.is_file():
                os.truncate(path, path.stat().st_size // 2)
            self._die(errno.ENOSPC)

    def sync(self, path: Path) -> None:
        if self._reach("sync", path):
            self._die(errno.EIO)

    def rename(self, source: Path, target: Path) -> None:
        if self._reach("rename", target):
            self._die(errno.EIO)
        super().rename(source, target)

    def make_dir(self, path: Path) -> None:
        if self._reach("make_dir", path):
            self._die(errno.ENOSPC)
        super().make_dir(path)

    def remove(self, path: Path) -> None:
        if self._reach("remove", path):
            self._die(errno.EIO)
        super().remove(path)

    def _die(self, reason: int) -> None:
        if self._is_failing:
            raise OSError(reason, os.strerror(reason))
        os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    """Answer orders until there are no more."""
    doubles = _doubles()
    _warm_up(doubles)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        signal.sigtimedwait({signal.SIGCHLD}, 0)  # of the run before
        start = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            with os.fdopen(writer, "w") as log:
                os._exit(work(order, doubles._toys().registry, log))
        os.close(writer)
        if order["kill_after_s"] is not None:
            signal.sigtimedwait({signal.SIGCHLD}, order["kill_after_s"])  # until then, or until it has ended
            os.kill(pid, signal.SIGKILL)
        with os.fdopen(reader) as log:
            said = told(log.read())
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - start
        answer = {"status": os.waitstatus_to_exitcode(status), "seconds": seconds, **said}
        print(json.dumps(answer), flush=True)  # noqa: T201


def work(order: dict[str, Any], registry: Any, log: IO[str]) -> int:
    """Do what an order says; the exit code. The log gets every change to the disk, and the error at the end."""
    try:
        with using_disk(DyingDisk(log, kill_at=order["kill_at"], fail_at=order["fail_at"])):
            _run(order, registry)
    except SftframeError as error:
        log.write(f"{_ERROR}{error}")
        log.flush()
        return error.exit_code
    return 0


def told(log: str) -> dict[str, Any]:
    """What a log says: {"operations", "message"}."""
    operations, _, message = log.partition(_ERROR)
    return {"operations": operations.splitlines(), "message": message}


def _doubles() -> ModuleType:
    spec = importlib.util.spec_from_file_location("doubles", Path(__file__).parents[1] / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["doubles"] = module
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    return module


def _warm_up(doubles: ModuleType) -> None:
    """Import what is imported on use, peft too. Nothing is trained: torch's backward pass cannot be forked."""

    with suppress(ImportError):
        import peft.tuners.lora  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.json"
        entries = [{"instruction": str(n), "input": "", "output": "yes"} for n in range(20)]
        data.write_text(json.dumps(entries), encoding="utf-8")
        layer = {"model": "toy", "prompt": "brief", "judge": "toy-judge", "threads": 1, "device": "cpu"}
        source = {"data": {"source": str(data)}, "out": f"{folder}/run"}
        session = Session.start({**layer, **source}, doubles._toys().registry, Observer())
        with session.at_work():
            session.measure_before()
            session.report()


def _run(order: dict[str, Any], registry: Any) -> None:
    if order["resume"]:
        session = Session.resume(Path(order["out"]), registry, Observer())
    else:
        session = Session.start({**order["config"], "out": order["out"]}, registry, Observer())
    if order["stages"] is None:
        session.run_all()
        return
    with session.at_work():
        for stage in order["stages"]:
            if stage == "mend":  # which a whole run begins with
                mend(session.folder, session.setup.prepared, Observer().warn)
            else:
                getattr(session, stage)()


if __name__ == "__main__":
    serve()
    os._exit(0)  # to take all that was imported down again takes seconds
