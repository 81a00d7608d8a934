"""A command run in this process as the console script runs it: exit code, stdout and stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
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
