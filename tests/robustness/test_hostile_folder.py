"""A run's folder from a stranger executes nothing, touches nothing outside of itself, and steers no terminal."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OBEYED = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\t", "\n"}
"""What a terminal takes for a command."""


@pytest.fixture
def run(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious\nhalf a li", encoding="utf-8")
    return folder


def is_untouched(outside: Path) -> bool:
    """Nothing was added, changed or taken away."""
    files = {path.name: path.read_text(encoding="utf-8") for path in outside.iterdir()}
    return files == {"precious.txt": "precious\nhalf a li"}


COMMANDS = ("report", "generate", "judge", "chat", "export", "run", "train")


def command(name: str, run: Path) -> list[str | Path]:
    """A command on a run's folder."""
    return {
        "run": ["run", "--resume", run],
        "train": ["train", "--resume", run],
        "export": ["export", run, "--to", "hf"],
    }.get(name, [name, run])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_a_folder_with_a_link_in_it(cli: Any, run: Path, outside: Path, name: str) -> None:
    (run / "responses.jsonl").unlink()
    (run / "responses.jsonl").symlink_to(outside / "precious.txt")
    outcome = cli(*command(name, run))
    assert outcome.code == 2
    assert f"responses.jsonl is a link to {outside / 'precious.txt'}" in outcome.last_line
    assert is_untouched(outside)


@pytest.mark.parametrize(
    "place",
    [
        "metrics.jsonl",
        "verdicts.jsonl",
        "config.toml",
        "manifest.json",
        "report.html",
        ".lock",
        ".sftframe",
        "model/model.safetensors",
        "model/pytorch_model.bin",
        "checkpoints/step-9",
        "checkpoints",
        "model",
        "export-hf",
        "notes",
    ],
)
def test_a_link_is_refused_wherever_it_lies(cli: Any, run: Path, outside: Path, place: str) -> None:
    target = run / place
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    target.symlink_to(outside if place in ("checkpoints", "model", "export-hf") else outside / "precious.txt")
    outcome = cli("run", "--resume", run)
    assert (outcome.code, "is a link to" in outcome.last_line) == (2, True)
    assert is_untouched(outside)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_that_would_never_end_is_refused(cli: Any, run: Path) -> None:
    (run / "verdicts.jsonl").unlink()
    os.mkfifo(run / "verdicts.jsonl")
    outcome = cli("report", run)
    assert (outcome.code, "is a pipe, socket or device" in outcome.last_line) == (2, True)


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("model/model.safetensors", "chat"),
        ("model/model.safetensors", "generate"),
        ("model/pytorch_model.bin", "export"),
        ("model/model.pt", "chat"),
        ("model/tokenizer.pkl", "chat"),
        ("model/config.json", "chat"),
        ("checkpoints/step-2/module.safetensors", "train"),
        ("checkpoints/step-2/optimizer.safetensors", "train"),
        ("checkpoints/step-2/optimizer.pt", "train"),
        ("checkpoints/step-2/state.json", "train"),
        ("training_args.bin", "report"),
    ],
)
@pytest.mark.usefixtures("plain_drawings")
def test_a_pickle_is_never_loaded_whatever_it_is_called(
    cli: Any, run: Path, tmp_path: Path, place: str, name: str
) -> None:
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists(), "the payload works"
    mark.unlink()
    (run / place).write_bytes(pickle.dumps(Payload(mark)))
    if name == "train":
        sign_checkpoint(run / "checkpoints/step-2")
        forget_training(run)
    if place == "model/pytorch_model.bin":
        (run / "model/model.safetensors").unlink()
    outcome = cli(*command(name, run), typed="Hello\n")
    assert not mark.exists()
    assert "internal error" not in outcome.err


@pytest.mark.parametrize("name", ["../../outside/precious.txt", "/dev/zero", "step-2/../../../outside/precious.txt"])
def test_hashes_of_files_elsewhere_are_not_reckoned(cli: Any, run: Path, outside: Path, name: str) -> None:
    hashes = run / "checkpoints/step-2/hashes.json"
    hashes.write_text(json.dumps({**json.loads(hashes.read_text()), name: "0" * 64}))
    forget_training(run)
    outcome = cli("train", "--resume", run)
    assert outcome.code == 0
    assert "step-2 was skipped: it is damaged" in " ".join(outcome.err.split())
    assert is_untouched(outside)


@pytest.mark.parametrize(
    "state",
    [
        [],
        {},
        {"last": None, "counts": {}, "is_halving": False},
        {"last": {"step": 2}, "counts": 1e308, "is_halving": False},
        "[" * 100_000,
    ],
)
def test_a_checkpoint_of_nonsense_is_passed_over(cli: Any, run: Path, state: object) -> None:
    text = state if isinstance(state, str) else json.dumps(state)
    (run / "checkpoints/step-2/state.json").write_text(text)
    sign_checkpoint(run / "checkpoints/step-2")
    forget_training(run)
    outcome = cli("train", "--resume", run)
    assert (outcome.code, "was skipped" in outcome.err) == (0, True)


@pytest.mark.usefixtures("plain_drawings")
def test_where_a_runs_configuration_says_it_lies_does_not_matter(cli: Any, run: Path, outside: Path) -> None:
    config = run / "config.toml"
    config.write_text(f'out = "{outside.as_posix()}"\n' + config.read_text())
    assert cli("report", run).code == 0
    assert cli("run", "--resume", run).code == 0
    assert is_untouched(outside)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", "[" * 100_000),
        ("manifest.json", '{"components": 1, "data": [], "template": "x", "tokenizer": null, "judge": 3}'),
        ("metrics.jsonl", '{"kind": "step", "step": "\\u001b]0;x"}\n'),
        ("metrics.jsonl", '{"kind": "eval", "step": 1}\n'),
        ("responses.jsonl", '{"index": [], "text": 5, "ids": "x", "stop_reason": "end"}\n'),
        ("responses.jsonl", '{"index": 999, "text": "", "ids": [], "stop_reason": "end"}\n'),
        ("verdicts.jsonl", '{"index": 17, "status": "ok", "score": {}}\n'),
        ("likelihoods.jsonl", '{"index": 17, "response_nll": null}\n'),
        ("train.json", '{"steps": "many"}'),
        ("train.json", "\x00\x00"),
        ("config.toml", "[" * 100_000),
        ("config.toml", 'prompt = "no-such-style"'),
        ("config.toml", "[data]\nsource = '/dev/zero'"),
    ],
)
def test_files_of_nonsense_end_in_one_line(cli: Any, run: Path, file: str, content: str) -> None:
    (run / file).write_text(content)
    outcome = cli("report", run)
    assert outcome.code in (2, 3, 4, 5)
    assert outcome.last_line.startswith("error: ")
    assert not OBEYED & set(outcome.err)


def test_html_and_templates_in_data_and_answers_are_text_in_the_report(cli: Any, run: Path) -> None:
    responses = [json.loads(line) for line in (run / "responses.jsonl").read_text().splitlines()]
    answer = "</div><img src=x onerror=alert(2)>{{ 7*7 }}"
    (run / "responses.jsonl").write_text("".join(json.dumps(one | {"text": answer}) + "\n" for one in responses))
    assert cli("report", run).code == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7*7 }} ␛]0;mine␇" in page
    assert not OBEYED & set(page)


def test_nothing_in_data_reaches_the_terminal_raw(cli: Any, finished: tuple[Path, Any], run: Path) -> None:
    data = run.parent / "data.json"
    shutil.copy(finished[0].parent / "data.json", data)
    outcomes = [
        finished[1],
        cli("report", run),
        cli("preview", "--data", data),
        cli("preview", "--data", data, "--ids"),
        cli("preview", "--data", data, "--json"),
        cli("chat", run, typed="Repeat \x1b]0;mine\x07\n"),
        cli("run", "--data", "\x1b]0;mine\x07.json"),
    ]
    for outcome in outcomes:
        assert not OBEYED & set(outcome.out + outcome.err)
    assert "␛]0;mine␇" in outcomes[1].out


def test_a_folder_that_poses_as_packages_is_not_imported(finished: tuple[Path, Any], tmp_path: Path) -> None:
    """The console script does not look for modules where it is called; `python -m` does, unless it is told with -P."""
    evil = f"open({str(tmp_path / 'executed')!r}, 'w')\n"
    for name in ("torch.py", "typer.py", "sftframe_evil.py", "json.py"):
        (tmp_path / name).write_text(evil)
    info = tmp_path / "sftframe_evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sftframe-evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sftframe]\nevil = sftframe_evil\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sftframe", "plugins"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "evil" not in done.stdout
    assert not (tmp_path / "executed").exists()


def sign_checkpoint(folder: Path) -> None:
    """Hashes that fit, as a stranger would write them."""
    names = [path.name for path in folder.iterdir() if path.name != "hashes.json"]
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "hashes.json").write_text(json.dumps(hashes))


def forget_training(run: Path) -> None:
    """Leave of a finished run what an interrupted one has."""
    shutil.rmtree(run / "model")
    (run / "train.json").unlink()
