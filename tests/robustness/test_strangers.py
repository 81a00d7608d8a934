"""Folders and configurations from a stranger send nothing, read nothing of the user's and write nothing elsewhere."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from sftframe.config import read_toml
from sftframe.network.offline import OfflineError, no_network

pytestmark = pytest.mark.usefixtures("plain_drawings")

SECRET = "wJalrXUtnFEMI"
SMALL = ("--max-steps", "2", "--batch-size", "2", "--set", "generate.max_new_tokens=4", "--set", "before=false")
Cli = Callable[..., Any]


@dataclass
class Stranger:
    """A server of a stranger's that answers as a judge does, and all that it was told."""

    url: str = ""
    heard: list[tuple[str, str]] = field(default_factory=list)
    """Path and `Authorization` of every request."""


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    found = Stranger()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            message = {"role": "assistant", "content": json.dumps({"reason": "Because.", "score": 50})}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
            self._answer(body)

        def _answer(self, document: object) -> None:
            found.heard.append((self.path, self.headers.get("Authorization", "")))
            content = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    monkeypatch.setenv("A_SECRET", SECRET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def judge(stranger: Stranger) -> dict[str, Any]:
    """The table of a judge that sends a variable to the stranger."""
    return {"name": "openai", "model": "m", "base_url": stranger.url, "key_variable": "A_SECRET"}


@pytest.fixture(scope="session")
def finished_grid(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    """An ablation of two masks. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("grid")
    arms = ("--collate", "mask-pad,mask-instruction", "--seeds", "1")
    outcome = cli("ablate", *arms, "--limit", "40", *SMALL, "--threads", "1", "--out", folder / "grid")
    assert outcome.code == 0, outcome.err
    return folder / "grid"


@pytest.fixture
def grid(finished_grid: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_grid, tmp_path / "grid"))


@pytest.fixture
def run(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def rewrite(path: Path, **changes: Any) -> None:
    """Change top-level keys of a TOML file."""
    path.write_text(tomli_w.dumps({**read_toml(path), **changes}), encoding="utf-8")


def is_refused(outcome: Any, stranger: Stranger) -> bool:
    """The command says what was asked for and how to accept it, and nothing was sent."""
    assert "Traceback" not in outcome.err
    assert "sftframe trust" in outcome.last_line, outcome.err
    return outcome.code == 2 and stranger.heard == []


def test_an_ablation_sends_nothing_when_it_is_reported(cli: Cli, grid: Path, judge: Any, stranger: Stranger) -> None:
    plan = grid / "ablation.toml"
    rewrite(plan, judge=judge, ablate={**read_toml(plan)["ablate"], "repeats": 3})
    outcome = cli("report", grid)
    assert (outcome.code, stranger.heard) == (0, [])
    assert "the judge's own noise is not part of this report" in " ".join(outcome.err.split())


def test_an_ablation_sends_nothing_when_it_is_gone_on_with(
    cli: Cli, grid: Path, judge: Any, stranger: Stranger
) -> None:
    plan = grid / "ablation.toml"
    rewrite(plan, judge=judge, ablate={**read_toml(plan)["ablate"], "repeats": 3})
    refused = cli("ablate", "--resume", grid)
    assert is_refused(refused, stranger)
    assert f"A_SECRET to {stranger.url.removesuffix('/v1')} as its key" in refused.last_line


def test_a_cell_sends_nothing_though_its_plan_is_harmless(cli: Cli, grid: Path, judge: Any, stranger: Stranger) -> None:
    cell = grid / "runs/mask-pad/seed-123"
    rewrite(cell / "config.toml", judge=judge)
    for name in ("summary.json", "items.jsonl", "verdicts.jsonl"):
        (cell / name).unlink()
    outcome = cli("ablate", "--resume", grid)
    assert (outcome.code, stranger.heard) == (8, [])
    assert "sftframe trust" in outcome.last_line


@pytest.mark.parametrize(
    "command", [("judge", "RUN"), ("run", "--resume", "RUN"), ("judge", "RUN", "--set", "judge.retries=1")]
)
def test_a_run_sends_nothing_until_it_is_trusted(
    cli: Cli, run: Path, judge: Any, stranger: Stranger, command: tuple[str, ...]
) -> None:
    rewrite(run / "config.toml", judge=judge)
    words = [run if word == "RUN" else word for word in command]
    assert is_refused(cli(*words), stranger)
    accepted = cli("trust", run)
    assert (accepted.code, "the value of the variable A_SECRET" in accepted.out) == (0, True)
    assert cli("judge", run).code == 0
    assert ("/v1/chat/completions", f"Bearer {SECRET}") in stranger.heard


def test_the_users_own_server_is_not_asked_unasked(
    cli: Cli, run: Path, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", stranger.url)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    rewrite(run / "config.toml", judge={"name": "openai"})
    assert is_refused(cli("judge", run), stranger)


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--max-steps", "1", "--limit", "40"),
        ("judge", "answers.json"),
        ("compare", "answers.json", "answers.json"),
        ("ablate", "--collate", "mask-pad,mask-instruction", "--max-steps", "1"),
        ("doctor",),
    ],
)
def test_a_configuration_file_sends_nothing(
    cli: Cli, judge: Any, stranger: Stranger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"instruction": "A?", "input": "", "output": "B.", "model_response": "C."}
    Path("answers.json").write_text(json.dumps([entry]))
    Path("theirs.toml").write_text(tomli_w.dumps({"judge": judge}))
    assert is_refused(cli(*command, "--config", "theirs.toml"), stranger)
    assert {path.name for path in tmp_path.iterdir()} == {"answers.json", "theirs.toml"}


def test_a_configuration_is_free_where_its_judge_gets_nothing(
    cli: Cli, judge: Any, stranger: Stranger, tmp_path: Path, run: Path
) -> None:
    path = tmp_path / "theirs.toml"
    path.write_text(tomli_w.dumps({"judge": judge}))
    assert cli("preview", "--config", path, "-n", "1").code == 0
    assert cli("chat", run, "--config", path, typed="Hello\n").code == 0
    assert stranger.heard == []


def test_a_half_made_run_reads_and_sends_nothing(
    cli: Cli, run: Path, judge: Any, stranger: Stranger, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / ".sftframe").touch()
    document = read_toml(run / "config.toml")
    (half / "config.toml").write_text(tomli_w.dumps({**document, "judge": judge}))
    refused = cli("run", "--resume", half)
    assert is_refused(refused, stranger)
    notes = tmp_path / "notes.json"
    notes.write_text("[]")
    (half / "config.toml").write_text(tomli_w.dumps({**document, "data": {"source": str(notes)}}))
    assert f"read {notes} (data.source)" in cli("run", "--resume", half).last_line


def test_an_ablations_plan_reads_nothing_of_the_users(cli: Cli, grid: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.json"
    entries = [{"instruction": f"Password {n}?", "output": "hunter2"} for n in range(40)]
    notes.write_text(json.dumps(entries))
    plan = read_toml(grid / "ablation.toml")
    rewrite(grid / "ablation.toml", data={**plan.get("data", {}), "source": str(notes)})
    outcome = cli("report", grid)
    assert (outcome.code, "hunter2" in (grid / "report.html").read_text(encoding="utf-8")) == (0, False)
    assert f"read {notes} (data.source)" in " ".join(outcome.err.split())
    assert f"read {notes} (data.source)" in cli("ablate", "--resume", grid).last_line


def test_a_mirror_is_not_asked_for_weights(cli: Cli, run: Path, stranger: Stranger) -> None:
    rewrite(run / "config.toml", model={"name": "gpt2-small", "weights": "openai", "mirror": stranger.url})
    for command in (["generate", run], ["run", "--resume", run], ["chat", run], ["export", run, "--to", "hf"]):
        assert is_refused(cli(*command), stranger)
    shutil.rmtree(run / "model")
    assert cli("report", run).code != 0
    assert stranger.heard == []


def test_force_replaces_no_folder_that_only_a_file_names(cli: Cli, run: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.toml").write_text(tomli_w.dumps({"out": str(run)}))
    outcome = cli("run", "--config", tmp_path / "theirs.toml", "--force", "--max-steps", "1")
    assert (outcome.code, "give --out DIR too" in outcome.last_line) == (2, True)
    assert (run / "model").is_dir()


def test_no_library_reaches_a_network_where_none_is_wanted(stranger: Stranger) -> None:
    import httpx

    with no_network("this test"):
        with pytest.raises(OfflineError, match="this test reaches no network"):
            socket.create_connection(("127.0.0.1", 9))
        with pytest.raises((OfflineError, httpx.ConnectError)):
            httpx.get(stranger.url)
    assert stranger.heard == []
    assert httpx.get(f"{stranger.url}/models").status_code == 200


def test_what_stays_on_this_machine_is_no_network() -> None:
    with no_network("this test"):
        one, other = socket.socketpair()
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        one.close()
        other.close()


@pytest.fixture
def precious(tmp_path: Path, run: Path) -> Path:
    """A folder of the user's own with a model, whose manifest was lost."""
    folder = Path(shutil.copytree(run, tmp_path / "precious"))
    (folder / "manifest.json").unlink()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "place",
    ["runs", "runs/mask-pad", "runs/mask-pad/seed-123", "ablation.json", "gradients.jsonl", "report.html", ".lock"],
)
def test_links_in_an_ablation_lead_nowhere(cli: Cli, grid: Path, precious: Path, place: str) -> None:
    before, target = contents(precious), grid / place
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    target.symlink_to(precious if place.startswith("runs") else precious / "config.toml")
    for command in (["ablate", "--resume", grid], ["report", grid]):
        outcome = cli(*command)
        assert (outcome.code, "is a link to" in outcome.last_line) == (2, True), outcome.err
    assert contents(precious) == before


def test_a_cell_whose_folder_holds_something_else_is_an_error_of_that_cell(
    cli: Cli, grid: Path, precious: Path
) -> None:
    before, cell = contents(precious), grid / "runs/mask-pad/seed-123"
    shutil.rmtree(cell)
    precious.rename(cell)
    outcome = cli("ablate", "--resume", grid)
    assert (outcome.code, contents(cell)) == (8, before)
    assert "it has no manifest.json" in outcome.last_line


def test_a_run_of_another_grid_is_not_gone_on_with(cli: Cli, grid: Path) -> None:
    theirs, other = grid / "runs/mask-pad/seed-123", grid / "runs/mask-instruction/seed-123"
    shutil.rmtree(theirs)
    shutil.copytree(other, theirs)
    before = contents(theirs)
    outcome = cli("ablate", "--resume", grid)
    assert (outcome.code, contents(theirs)) == (8, before)
    assert "collate.name is 'mask-instruction'" in outcome.last_line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gradients.jsonl", '{"step": 1}\n'),
        ("gradients.jsonl", "\x00\n"),
        ("ablation.json", "[]"),
        ("ablation.json", '{"cells": [{"run": 5}]}'),
        ("ablation.json", '{"judge_noise": {"repeats": 2, "variance": NaN}}'),
        ("ablation.toml", "[" * 5000),
    ],
)
def test_a_damaged_file_of_an_ablation_is_named_before_a_cell_is_computed(
    cli: Cli, grid: Path, name: str, content: str
) -> None:
    (grid / name).write_text(content)
    cell = grid / "runs/mask-pad/seed-123"
    (cell / "summary.json").unlink()
    outcome = cli("ablate", "--resume", grid)
    assert (outcome.code, name in outcome.last_line, "internal" in outcome.err) == (2, True, False), outcome.err
    assert not (cell / "summary.json").exists()


def test_a_half_made_run_with_a_link_is_refused(cli: Cli, run: Path, precious: Path) -> None:
    for path in [*run.iterdir()]:
        if path.name not in ("config.toml", ".sftframe"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / ".lock").symlink_to(precious / "config.toml")
    before = contents(precious)
    outcome = cli("run", "--resume", run)
    assert (outcome.code, "is a link" in outcome.last_line, contents(precious)) == (2, True, before)


@pytest.mark.parametrize("name", ["weights.pt", "pytorch_model.bin", "deep/er/state", "archive.safetensors"])
def test_a_pickle_in_a_model_is_refused_before_a_plugin_sees_it(cli: Cli, run: Path, name: str) -> None:
    path = run / "model" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK\x03\x04" if name == "archive.safetensors" else pickle.dumps({"a": 1}))
    for command in (["chat", run], ["report", run], ["generate", run], ["export", run, "--to", "hf"]):
        outcome = cli(*command)
        assert (outcome.code, f"load the pickle {path}" in outcome.last_line) == (2, True), outcome.err
