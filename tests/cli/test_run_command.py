"""`sftframe run` and its stages on the bundled model, kept short."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("plain_drawings")

QUICK = ("--max-steps", "2", "--set", "generate.max_new_tokens=4", "--seed", "5", "--threads", "1")


def test_a_run_leaves_all_its_files_and_a_summary(finished_run) -> None:
    summary, mine = finished_run.outcome.json, finished_run.path
    assert summary == json.loads((mine / "summary.json").read_text(encoding="utf-8"))
    assert (summary["prompt"], summary["collate"], summary["model"], summary["seed"]) == (
        "alpaca",
        "mask-pad",
        "gpt2-nano",
        5,
    )
    assert summary["before"]["judge"]["num_items"] == summary["after"]["judge"]["num_items"] == 2
    assert summary["train"]["steps"] == 2
    assert summary["train"]["counted_share"]["padding"] == 0
    for name in ("config.toml", "manifest.json", "metrics.jsonl", "responses.jsonl", "verdicts.jsonl", "report.html"):
        assert (mine / name).stat().st_size > 0, name
    assert (mine / "loss.png").read_bytes().startswith(b"\x89PNG")
    answers = json.loads((mine / "responses.json").read_text(encoding="utf-8"))
    assert [sorted(answer) for answer in answers] == [["input", "instruction", "model_response", "output"]] * 2


def test_the_stages_one_by_one_give_what_the_whole_run_gives(
    cli, tmp_path: Path, data_file: Path, finished_run
) -> None:
    assert cli("train", "--data", data_file, "--out", "parts", "--set", "before=false", *QUICK).code == 0
    assert cli("generate", "parts").code == 0
    assert cli("judge", "parts").code == 0
    parts = cli("report", "parts", "--json").json
    assert parts["after"] == finished_run.outcome.json["after"]
    whole = finished_run.path / "responses.jsonl"
    assert (tmp_path / "parts/responses.jsonl").read_bytes() == whole.read_bytes()


def test_the_table_in_a_pipe_has_no_control_characters_and_ends_with_paths(cli, data_file: Path) -> None:
    outcome = cli("run", "--data", data_file, "--out", "mine", "--set", "before=false", *QUICK)
    assert "\x1b" not in outcome.out + outcome.err
    assert "exact matches" in outcome.out
    assert outcome.out.strip().splitlines()[-4:] == [
        "Report   mine/report.html",
        "Answers  mine/responses.json",
        "Loss     mine/loss.png",
        "Model    mine/model",
    ]


def test_flags_beat_set_beats_toml_beats_the_models_own_defaults(cli, tmp_path: Path, data_file: Path) -> None:
    (tmp_path / "mine.toml").write_text('prompt = "phi3"\n[train]\nlr = 0.1\nbatch_size = 2\nweight_decay = 0.5\n')
    settings = ("--config", "mine.toml", "--set", "train.lr=0.2", "--set", "train.batch_size=3", "--lr", "0.3")
    assert cli("train", "--data", data_file, "--out", "mine", *settings, *QUICK).code == 0
    written = (tmp_path / "mine/config.toml").read_text()
    for line in ("lr = 0.3", "batch_size = 3", "weight_decay = 0.5", 'schedule = "linear"', 'name = "phi3"'):
        assert f"\n{line}\n" in written


def test_ctrl_c_saves_and_the_message_resumes_to_the_same_end(cli, tmp_path: Path, data_file: Path) -> None:
    long = ("--data", data_file, "--epochs", "4", "--batch-size", "2", "--threads", "1", "--set", "before=false")
    long += ("--set", "generate.max_new_tokens=4", "--set", "train.eval_examples=1")
    command = [sys.executable, "-m", "sftframe", "run", "--out", "cut", *map(str, long)]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "cut/metrics.jsonl"
    while child.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b'"step"') > 3):
        time.sleep(0.005)  # the child needs the processor
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    talk = child.stderr.read()
    assert child.wait() == 130
    assert "Traceback" not in talk
    assert "sftframe run --resume cut" in talk
    assert cli("run", "--resume", "cut").code == 0
    assert cli("run", "--out", "straight", *long).code == 0
    for name in ("model/model.safetensors", "responses.jsonl", "likelihoods.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
