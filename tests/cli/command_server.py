"""Runs `sftframe` in processes of their own whose streams are closed, full, broken or of an encoding.

Started once, with everything imported and one run behind it; then every order on stdin is a fork that builds its
streams as an interpreter does and ends as one does, which takes a sixth of a second instead of three.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

ORDER_S = 900.0
"""Never reached but by a command that hangs: machines may be very busy."""

SILENT = ("torch", "scipy", "sympy", "numpy", "matplotlib", "mpmath", "PIL", "pydantic")
"""Libraries that write to no stream of ours when a process ends; to take them apart takes most of an order's time."""

IMPORTED = ("matplotlib.pyplot", "scipy.stats", "torch", "pydantic", "httpx", "safetensors.torch", "tiktoken")


def main() -> None:
    """Serve orders until stdin ends: a line of JSON each, answered by one."""
    _import_everything()
    _run_once()
    _draw_nothing()
    gc.freeze()  # a fork that ends would look through all that is here, which takes half a second
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            _become(order)
            _end_quickly()
            importlib.import_module("sftframe.cli.app").main()
        sys.stdout.write(json.dumps({"code": _ended(process)}) + "\n")
        sys.stdout.flush()


def _import_everything() -> None:
    sftframe = importlib.import_module("sftframe")
    own = [module.name for module in pkgutil.walk_packages(sftframe.__path__, "sftframe.")]
    for name in (*IMPORTED, *own):
        if not name.endswith((".__main__", ".pytest_plugin")):
            importlib.import_module(name)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    sftframe.load_registry()


def _run_once() -> None:
    """A whole run, so that fonts, vocabularies and templates are read and compiled already."""
    entries = [{"instruction": f"Say {number}.", "output": f"It is {number}."} for number in range(20)]
    talk = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(talk), redirect_stderr(talk):
        data = Path(folder) / "data.json"
        data.write_text(json.dumps(entries), encoding="utf-8")
        settings = ("--max-steps", "1", "--set", "before=false", "--set", "generate.max_new_tokens=1", "--threads", "1")
        sys.argv = ["sftframe", "run", "--data", str(data), "--out", f"{folder}/run", *settings]
        try:
            importlib.import_module("sftframe.cli.app").main()
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(talk.getvalue()) from ended


def _draw_nothing() -> None:
    """Half of a small run's time, and nothing that a stream sees."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    def empty_svg(canvas: Any, file: Any, **_: Any) -> None:
        file.write('<svg viewBox="0 0 1 1"><g/></svg>')

    def empty_png(canvas: Any, file: Any, **_: Any) -> None:
        file.write(b"\x89PNG\r\n\x1a\n")

    FigureCanvasSVG.print_svg = empty_svg
    FigureCanvasAgg.print_png = empty_png


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


def _end_quickly() -> None:
    """The interpreter ends as ever, flushes and complains; silent libraries stay whole, in Python and in C++."""
    atexit.register(_forget_silent_modules)
    libc: Any = ctypes.CDLL(None)
    libc.on_exit(
        libc._exit, None
    )  # gets the exit code; comes after the interpreter's end and before destructors in C++


def _forget_silent_modules() -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in SILENT:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(module))  # else it would be taken apart here
            del sys.modules[name]


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
