"""Runs `sftframe` in processes of their own whose streams are closed, full, broken or of an encoding.

Started once, with everything imported; then every order on stdin is a fork that builds its streams as an interpreter
does and ends as one does, which takes a tenth of a second instead of three.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from typing import Any

ORDER_S = 900.0
"""Never reached but by a command that hangs: machines may be very busy."""

IMPORTED = """
matplotlib.pyplot scipy.stats torch pydantic httpx safetensors.torch tiktoken
sftframe.ablation sftframe.ablation.gradients sftframe.cli.ablate_render sftframe.cli.app sftframe.cli.chat_turns
sftframe.cli.doctor_render sftframe.cli.judge_render sftframe.cli.plugins_render sftframe.cli.preview_render
sftframe.comparison.report sftframe.doctor
sftframe.pipeline.session sftframe.pipeline.tuned_model sftframe.testing.suites
"""


def main() -> None:
    """Serve orders until stdin ends: a line of JSON each, answered by one."""
    _import_everything()
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            _become(order)
            importlib.import_module("sftframe.cli.app").main()
        sys.stdout.write(json.dumps({"code": _ended(process)}) + "\n")
        sys.stdout.flush()


def _import_everything() -> None:
    for module in IMPORTED.split():
        importlib.import_module(module)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    importlib.import_module("sftframe").load_registry()


def _become(order: dict[str, Any]) -> None:
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    sys.argv = ["sftframe", *order["arguments"]]
    for number, kind in enumerate(order["streams"]):
        if kind != "closed":
            _put(number, kind)
    for number, kind in enumerate(order["streams"]):
        if kind == "closed":
            os.close(number)
    encoding = order["encoding"]
    sys.stdin = _stream(0, "r", encoding="utf-8")
    sys.stdout = sys.__stdout__ = _stream(1, "w", encoding=encoding, errors="strict")
    sys.stderr = sys.__stderr__ = _stream(2, "w", encoding=encoding, errors="backslashreplace", buffering=1)


def _put(number: int, kind: str) -> None:
    if kind == "broken":
        reader, opened = os.pipe()
        os.close(reader)
    else:
        path = {"full": "/dev/full", "empty": os.devnull}.get(kind, kind)
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
    os.dup2(opened, number)
    os.close(opened)


def _stream(number: int, mode: str, **settings: Any) -> Any:
    try:
        os.fstat(number)
    except OSError:
        return None
    return open(number, mode, closefd=False, **settings)


def _ended(process: int) -> int | None:
    """The exit code, or minus the signal; None = it had to be killed."""
    deadline = time.monotonic() + ORDER_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


if __name__ == "__main__":
    main()
