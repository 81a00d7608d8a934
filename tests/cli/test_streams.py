"""What every command does with streams that are closed, full, broken, or of an encoding that lacks characters.

Real processes, forked by `command_server.py`; a few are started as a user starts them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="streams are broken in Linux's way"),
    pytest.mark.timeout(1800),  # the first one waits for a server with everything imported, and for two runs
]

QUICK = ("--max-steps", "1", "--set", "before=false", "--set", "generate.max_new_tokens=2", "--set", "threads=1")
QUICK += ("--set", "train.eval_examples=2")
ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "100", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

COMMANDS = {
    "--help": (),
    "--version": (),
    "init": ("{new}/sftframe.toml",),
    "run": ("--data", "{data}", "--out", "{new}/run", *QUICK),
    "train": ("--data", "{data}", "--out", "{new}/run", *QUICK),
    "generate": ("{run}",),
    "judge": ("{run}",),
    "compare": ("{run}", "{other}"),
    "report": ("{run}",),
    "ablate": ("--resume", "{new}/grid"),  # all its runs are there; what is left is the verdict and the report
    "preview": ("--data", "{data}"),
    "chat": ("{run}",),
    "export": ("{run}", "--to", "hf", "--out", "{new}/export"),
    "doctor": (),
    "plugins show": ("mask-pad",),
    "plugins check": ("alpaca",),
    "plugins new": ("prompt", "mine", "--dir", "{new}/mine"),
}
SHAPES = {
    "run --json": ("--data", "{data}", "--out", "{new}/run", *QUICK),
    "judge --json": ("{answers}",),
    "compare --format html": ("{run}", "{other}"),
    "compare --format csv": ("{run}", "{other}"),
    "preview --json": ("--data", "{data}"),
    "plugins list --json": (),
}
"""Other shapes of results, for what concerns encodings."""

FROM_THE_START = "ablate --seeds 1"
GRIDS = {FROM_THE_START: ("--collate", "mask-pad,mask-instruction", "--data", "{data}", "--out", "{new}/grid", *QUICK)}
"""An ablation with all its runs, for what concerns what is said while they run."""

WRITES = {"init": "sftframe.toml", "run": "run/report.html", "train": "run/model", "ablate": "grid/report.html"} | {
    "export": "export/model.safetensors",
    "plugins new": "mine/pyproject.toml",
    "run --json": "run/summary.json",
    FROM_THE_START: "grid/report.html",
}
"""What has to be there in the end, whatever became of the output."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int | None
    out: bytes
    err: bytes

    @property
    def last_line(self) -> str:
        return self.err.decode().strip().splitlines()[-1]


Start = Callable[..., Ended]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start(arguments, folder, out="captured", err="captured", stdin="empty", encoding="utf-8")`."""
    script = Path(__file__).parent / "command_server.py"
    captured = tmp_path_factory.mktemp("captured")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def go(arguments: list[str], folder: Path, **streams: str) -> Ended:
            out, err = captured / "out", captured / "err"
            out.write_bytes(b"")
            err.write_bytes(b"")
            names = [streams.get("stdin", "empty"), streams.get("out", str(out)), streams.get("err", str(err))]
            order = {"arguments": arguments, "folder": str(folder), "streams": names, "environment": ENVIRONMENT}
            server.stdin.write(json.dumps({**order, "encoding": streams.get("encoding", "utf-8")}) + "\n")
            server.stdin.flush()
            code = json.loads(server.stdout.readline())["code"]
            return Ended(code=code, out=out.read_bytes(), err=err.read_bytes())

        yield go
        server.stdin.close()


@pytest.fixture(scope="module")
def places(start: Start, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data with letters that ASCII lacks, an ablation of two small runs on it, and a file of answers."""
    folder = tmp_path_factory.mktemp("small")
    entries = [
        {
            "instruction": f"Écris «{n + 1}» en 東京 → ✓",
            "input": "",
            "output": f"C'est {n + 1} €." + " Ça va." * (n % 3),
        }
        for n in range(20)
    ]
    (folder / "data.json").write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
    answers = [{**entry, "model_response": "Peut-être."} for entry in entries[:2]]
    (folder / "answers.json").write_text(json.dumps(answers, ensure_ascii=False), encoding="utf-8")
    (folder / "questions.txt").write_text("Qu'est-ce que c'est, 東京 ?\n", encoding="utf-8")
    given = [part.format(data=folder / "data.json", new=folder) for part in GRIDS[FROM_THE_START]]
    ended = start([*FROM_THE_START.split(), *given], folder)
    assert ended.code == 0, ended.err
    for name, arm in (("run", "mask-pad"), ("other", "mask-instruction")):
        shutil.copytree(folder / "grid/runs" / arm / "seed-123", folder / name)
    (folder / "grid/report.html").unlink()
    found = {"data": "data.json", "run": "run", "other": "other", "answers": "answers.json", "stdin": "questions.txt"}
    return {name: str(folder / path) for name, path in {**found, "grid": "grid"}.items()}


@pytest.fixture
def call(start: Start, places: dict[str, str], tmp_path: Path) -> Start:
    """`call(command, **streams)`: a command of the table, in an empty folder."""

    def go(command: str, **streams: str) -> Ended:
        if command == "ablate":
            shutil.copytree(places["grid"], tmp_path / "grid")
        rest = [part.format(new=tmp_path, **places) for part in {**COMMANDS, **SHAPES, **GRIDS}[command]]
        stdin = {"stdin": places["stdin"]} if command == "chat" else {}
        return start([*command.split(), *rest], tmp_path, **{**stdin, **streams})

    return go


def is_whole(command: str, folder: Path) -> bool:
    return command not in WRITES or (folder / WRITES[command]).exists()


# Whether stdout is closed, full or broken is seen by the one module that all commands write through; what a command
# adds is when it has saved its work. So each command meets a full stdout, which is told with all that it has saved,
# and one of the other two; so does each of the kinds: those that write, those that only show, and those that ask.
CLOSED = ("--version", "run", "generate", "compare", "ablate", "chat", "doctor", "plugins check", FROM_THE_START)
BROKEN = tuple(command for command in COMMANDS if command not in CLOSED)


@pytest.mark.parametrize("command", CLOSED)
def test_closed_streams_are_no_fault(call: Start, tmp_path: Path, command: str) -> None:
    ended = call(command, out="closed", err="closed", **({"stdin": "closed"} if command != "chat" else {}))
    assert (ended.code, is_whole(command, tmp_path)) == (0, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_behind_stdout_is_told_in_one_line_when_the_work_is_saved(
    call: Start, tmp_path: Path, command: str
) -> None:
    ended = call(command, out="full")
    assert (ended.code, is_whole(command, tmp_path)) == (9, True)
    told = "error: the result cannot be written to standard output: No space left on device"
    assert ended.last_line.startswith(told)
    assert ended.err.count(b"error:") == 1
    if command in WRITES:
        assert f"; everything is saved in {tmp_path}" in ended.last_line


@pytest.mark.parametrize("command", BROKEN)
def test_a_reader_that_has_gone_ends_with_141_and_says_nothing(call: Start, tmp_path: Path, command: str) -> None:
    ended = call(command, out="broken")
    assert (ended.code, is_whole(command, tmp_path)) == (141, True)
    assert b"rror" not in ended.err
    assert b"Exception ignored" not in ended.err


@pytest.mark.parametrize("command", [*COMMANDS, *SHAPES])
def test_an_encoding_without_the_letters_replaces_them(call: Start, tmp_path: Path, command: str) -> None:
    ended = call(command, encoding="ascii")
    assert (ended.code, is_whole(command, tmp_path)) == (0, True), ended.err
    if "html" in command:
        assert not ended.out.decode("utf-8").isascii()  # a page says itself that it is UTF-8
    else:
        assert ended.out.isascii()
    assert ended.err.isascii()
    if "--json" in command:
        json.loads(ended.out)


@pytest.mark.parametrize(
    ("command", "kind"),
    [("run", "full"), ("judge", "broken"), ("preview", "closed"), (FROM_THE_START, "broken"), ("doctor", "full")],
)
def test_a_stderr_that_takes_nothing_changes_nothing(call: Start, tmp_path: Path, command: str, kind: str) -> None:
    ended = call(command, err=kind)
    assert (ended.code, is_whole(command, tmp_path)) == (0, True)
    assert ended.out


@pytest.mark.parametrize("kind", ["full", "closed", "broken"])
def test_an_error_keeps_its_exit_code_when_it_cannot_be_told(start: Start, tmp_path: Path, kind: str) -> None:
    assert start(["preview", "--data", "nowhere.json"], tmp_path, err=kind, out=kind).code == 4


@pytest.mark.parametrize(
    ("command", "encoding"),
    [
        *(("preview --json", encoding) for encoding in ("cp1252", "cp932", "latin-1", "utf-16")),
        *(
            ("generate", "cp1252"),
            ("judge", "cp932"),
            ("report", "latin-1"),
            ("doctor", "koi8-r"),
            ("compare", "cp437"),
        ),
    ],
)
def test_any_encoding_shows_a_result(call: Start, command: str, encoding: str) -> None:
    ended = call(command, encoding=encoding)
    assert ended.code == 0, ended.err
    text = ended.out.decode(encoding)
    if "--json" in command:
        assert json.loads(text)["examples"]


def test_a_closed_stdin_is_an_empty_one(call: Start) -> None:
    ended = call("chat", stdin="closed")
    assert (ended.code, ended.out) == (0, b"")


@pytest.mark.parametrize("command", [["run"], ["preview"], ["doctor"], ["plugins"], ["plugins", "list"]])
def test_a_deleted_folder_is_named(start: Start, tmp_path: Path, command: list[str]) -> None:
    script = f"import os; os.rmdir({str(tmp_path / 'gone')!r})"
    (tmp_path / "gone").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", f"{script}; from sftframe.cli.app import main; main()", *command],
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: the working folder cannot be used (No such file or directory)")


def shell(line: str, folder: Path, **environment: str) -> tuple[int, bytes, bytes]:
    """A line for bash with `sftframe` in it, and what it ended with."""
    command = f'"{sys.executable}" -m sftframe'
    done = subprocess.run(
        ["bash", "-c", line.replace("sftframe", command)],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("sftframe --help >&-", 0),
        ("sftframe --help 2>&-", 0),
        ("sftframe --help >&- 2>&- <&-", 0),
        ("sftframe plugins list >/dev/full", 9),
        ("sftframe --version >/dev/full", 9),
        ("sftframe --version > >(:); exit ${?/0/141}", 141),
        ("sftframe no-such-command >&- 2>/dev/full", 2),
    ],
)
def test_as_a_shell_starts_it(tmp_path: Path, line: str, code: int) -> None:
    ended, _, err = shell(line, tmp_path)
    assert ended == code
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "cp932:strict", "PYTHONUNBUFFERED": "1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=lambda environment: "-".join(environment.values()),
)
def test_as_an_environment_sets_it(tmp_path: Path, environment: dict[str, str]) -> None:
    code, out, err = shell("sftframe plugins list --json && sftframe --help", tmp_path, **environment)
    assert (code, err) == (0, b"")
    assert b"mask-pad" in out


def test_an_answer_file_with_verdicts_is_whole_when_its_table_cannot_be_printed(
    start: Start, places: dict[str, Any], tmp_path: Path
) -> None:
    ended = start(["judge", places["answers"], "--out", "verdicts.json"], tmp_path, out="full")
    assert ended.code == 9
    assert ended.last_line.endswith("; everything is saved in verdicts.json")
    assert len(json.loads((tmp_path / "verdicts.json").read_bytes())["verdicts"]) == 2


CHATTY = Path(__file__).parent / "chatty"


@pytest.mark.parametrize("rest", ["preview --json -n 1", "plugins list --json"])
def test_what_a_plugin_prints_is_never_in_the_result(places: dict[str, str], tmp_path: Path, rest: str) -> None:
    given = f"--prompt chatty --data {places['data']}" if rest.startswith("preview") else ""
    code, out, err = shell(f"sftframe {rest} {given}", tmp_path, PYTHONPATH=str(CHATTY))
    assert code == 0, err
    json.loads(out)
    assert b"CHATTY" not in out
    for way in (b"print", b"write", b"os", b"child", b"C"):
        assert err.count(b"CHATTY " + way + b"\n") >= 2  # when it is imported, and when the process ends


def test_a_plugin_that_prints_does_not_get_into_a_chat(start: Start, places: dict[str, str], tmp_path: Path) -> None:
    given = f"--prompt chatty --data {places['data']} --out run {' '.join(QUICK)}"
    environment = {"PYTHONPATH": str(CHATTY), "HF_HUB_OFFLINE": "1"}
    code, out, err = shell(f"sftframe train --json {given} && echo Hello | sftframe chat run", tmp_path, **environment)
    assert code == 0, err
    assert b"CHATTY" not in out
    assert b"CHATTY" in err
