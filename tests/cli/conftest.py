"""A command run in this process as the console script runs it: exit code, stdout and stderr."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sftframe.cli.app import main


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line of talk: the error, where there is one."""
        return self.err.strip().splitlines()[-1]

    @property
    def json(self) -> Any:
        """The result as JSON; all of stdout has to be it."""
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Run `sftframe ARGS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")

    def call(*args: str | Path) -> Outcome:
        monkeypatch.setattr("sys.argv", ["sftframe", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(code=int(ended.value.code or 0), out=captured.out, err=captured.err)

    return call


SMALL = ("--threads", "1", "--max-steps", "2", "--set", "generate.max_new_tokens=4", "--set", "train.eval_examples=2")


@dataclass(frozen=True, slots=True)
class Finished:
    """A run or an ablation that many tests look at, and what the command said. Not to be changed: copy it."""

    path: Path
    outcome: Outcome


@pytest.fixture(scope="session")
def make_cli() -> Callable[[Path], Cli]:
    """`make_cli(folder)`: a `cli` in this folder, for what outlives a test."""

    def make(folder: Path) -> Cli:
        def call(*args: str | Path) -> Outcome:
            out, err = io.StringIO(), io.StringIO()
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
                patch.chdir(folder)
                patch.setenv("NO_COLOR", "1")
                patch.setenv("COLUMNS", "100")
                patch.setattr("sys.argv", ["sftframe", *map(str, args)])
                with pytest.raises(SystemExit) as ended:
                    main()
            return Outcome(code=int(ended.value.code or 0), out=out.getvalue(), err=err.getvalue())

        return call

    return make


def _finished(cli: Cli, out: Path, *words: str) -> Finished:
    data = out.parent / "data.json"
    data.write_text(json.dumps(entries(20)), encoding="utf-8")
    outcome = cli(*words, "--data", data, "--out", out.name, "--json", *SMALL)
    assert outcome.code == 0, outcome.err
    return Finished(out, outcome)


@pytest.fixture(scope="session")
def finished_run(make_cli: Callable[[Path], Cli], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A whole run of two steps with the seed 5."""
    folder = tmp_path_factory.mktemp("finished-run")
    return _finished(make_cli(folder), folder / "mine", "run", "--seed", "5")


@pytest.fixture(scope="session")
def finished_grid(make_cli: Callable[[Path], Cli], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """An ablation of two masks with one seed, whose judge is said to have a standard deviation of 30 points."""
    arms = ("--collate", "mask-pad,mask-instruction", "--seeds", "1", "--sd", "30")
    folder = tmp_path_factory.mktemp("finished-grid")
    return _finished(make_cli(folder), folder / "grid", "ablate", *arms)


def entries(count: int) -> list[dict[str, str]]:
    """Plain instruction data, short enough for any model, of uneven lengths."""
    return [
        {"instruction": f"Write the number after {n}.", "input": "", "output": f"It is {n + 1}." + " Really." * (n % 3)}
        for n in range(count)
    ]


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """A file of 20 entries: 17 train, 2 test, 1 validation."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps(entries(20)), encoding="utf-8")
    return path
