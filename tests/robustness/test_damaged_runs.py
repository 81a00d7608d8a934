"""Whatever happens to a file of a finished run, commands end in one line or make again what can be made again."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = (
    "manifest.json",
    "config.toml",
    "metrics.jsonl",
    "likelihoods.jsonl",
    "responses.jsonl",
    "verdicts.jsonl",
    "items.jsonl",
    "summary.json",
    "train.json",
)
IN_CHARTS = ("manifest.json", "config.toml", "metrics.jsonl", "train.json")
"""What a run's charts show comes from these: they are drawn of what is left of them."""
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda old: b"",
    "zeros": lambda old: bytes(9),
    "deep": lambda old: b"[" * 100_000 + b"\n",
    "list": lambda old: b"[]\n",
    "nan": lambda old: re.sub(rb": \d+(\.\d+)?", b": NaN", old),
    "endless": lambda old: re.sub(rb": \d+(\.\d+)?", b": 1e999", old),
    "digits": lambda old: re.sub(rb": \d+(\.\d+)?", b": " + b"9" * 5000, old),
    "types": lambda old: re.sub(rb': "[^"]*"', b": 5", old),
    "half": lambda old: old[: len(old) // 2],
}


def copy_run(run: Path, copy: Path) -> Path:
    """A copy that shares its 60 MB of weights with the run: whoever writes weights writes new files."""

    def link_weights(source: str, target: str) -> None:
        if source.endswith(".safetensors"):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    return Path(shutil.copytree(run, copy, copy_function=link_weights))


COMMANDS = ("report", "compare", "judge", "resume", "chat", "export")


@pytest.fixture(scope="module")
def other(finished: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with another learning rate, as runs have that are compared."""
    copy = copy_run(finished[0], tmp_path_factory.mktemp("other") / "run")
    old = (copy / "config.toml").read_text(encoding="utf-8")
    new = re.sub(r"^lr = .*$", "lr = 0.5", old, flags=re.MULTILINE)
    assert new != old
    (copy / "config.toml").write_text(new, encoding="utf-8")
    document = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    document["settings"]["train.lr"] = 0.5
    (copy / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return copy


def test_a_whole_run_is_compared_with_the_other(cli: Any, finished: tuple[Path, Any], other: Path) -> None:
    """Without which the tests below would not see how far `compare` gets."""
    assert cli("compare", other, finished[0]).code == 0


@pytest.mark.parametrize(("position", "name"), list(enumerate(FILES)), ids=FILES)
def test_a_damaged_file_ends_in_one_line(
    cli: Any,
    finished: tuple[Path, Any],
    other: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    position: int,
    name: str,
) -> None:
    run = tmp_path / "run"
    if name not in IN_CHARTS:
        request.getfixturevalue("plain_drawings")
    # every two of file, damage and command meet: each reader refuses a damage by itself, whatever command it serves
    turns = itertools.islice(itertools.cycle(COMMANDS), position, None)
    for (damage, change), command in zip(DAMAGES.items(), turns, strict=False):
        shutil.rmtree(run, ignore_errors=True)
        copy_run(finished[0], run)
        (run / name).write_bytes(change((run / name).read_bytes()))
        words = {
            "compare": ["compare", other, run],
            "resume": ["run", "--resume", run],
            "export": ["export", run, "--to", "hf"],
        }.get(command, [command, run])
        outcome = cli(*words, typed="Hi\n")
        said = f"{name}, {damage}, {command}: {outcome.err[-300:]}"
        assert outcome.code in (0, 2, 3, 4, 5, 6, 7), said
        assert "internal error" not in outcome.err, said
        assert "Traceback" not in outcome.err, said
        assert outcome.code == 0 or outcome.last_line.startswith("error: "), said


@pytest.mark.parametrize(
    "name", ["likelihoods.jsonl", "responses.jsonl", "verdicts.jsonl", "train.json", "summary.json"]
)
@pytest.mark.parametrize("damage", ["empty", "zeros", "nan"])
@pytest.mark.usefixtures("plain_drawings")  # of the same steps as ever
def test_resume_makes_again_what_can_be_made_again(
    cli: Any, finished: tuple[Path, Any], tmp_path: Path, name: str, damage: str
) -> None:
    run = copy_run(finished[0], tmp_path / "run")
    old = (run / name).read_bytes()
    (run / name).write_bytes(DAMAGES[damage](old))
    outcome = cli("run", "--resume", run)
    assert outcome.code == 0, outcome.err
    if name.endswith(".jsonl"):  # the others have times and paths
        assert (run / name).read_bytes() == old
    assert cli("report", run).code == 0


def test_a_checkpoint_with_a_number_without_end_is_no_checkpoint(
    cli: Any, finished: tuple[Path, Any], tmp_path: Path
) -> None:
    run = copy_run(finished[0], tmp_path / "run")
    (run / "checkpoints" / f"step-{'9' * 200}").mkdir()
    (run / "train.json").unlink()
    assert cli("run", "--resume", run).code == 0
