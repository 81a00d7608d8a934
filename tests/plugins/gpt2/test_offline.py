"""What needs no weights asks nobody: every connection, and every look-up of a name, is counted and refused."""

import os
import shutil
import socket
import sys

import huggingface_hub.constants
import pytest
from sftframe_plugins.gpt2.backend import (
    GPT2XL,
    GPT2Any,
    GPT2Large,
    GPT2Medium,
    GPT2Nano,
    GPT2Small,
    NanoOptions,
    Options,
)
from sftframe_plugins.gpt2.loading import NANO_FOLDER

from sftframe import ModelError
from sftframe.cli.app import main

SIZES = [GPT2Small, GPT2Medium, GPT2Large, GPT2XL, GPT2Any]
WEIGHTS = ["huggingface", "openai", "random"]


@pytest.fixture
def attempts(monkeypatch, tmp_path):
    """What was asked of the network, which is not there; caches are empty."""
    asked = []

    def refuse(*given, **_more):
        asked.append(given)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("SFTFRAME_CACHE", str(tmp_path / "cache"))
    return asked


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("backend", SIZES)
def test_published_sizes_are_known(backend, weights, attempts):
    made = backend(Options(weights=weights, tokenizer=NANO_FOLDER))
    assert made.context_length() == 1024
    assert made.training_bytes(1000, trains_all=True, is_recomputing=False) > 10**9
    assert made.tokenizer().vocab_size == GPT2Nano().tokenizer().vocab_size
    assert attempts == []


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_saved_model_is_all_that_is_needed(weights, attempts, toy_model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    toy_model.save(folder)
    made = GPT2Any(Options(weights=weights))
    assert made.context_length(folder) == toy_model.context_length
    assert made.tokenizer(folder).fingerprint == toy_model.tokenizer.fingerprint
    made.load(device="cpu", dtype="float32", seed=0, saved=folder)
    assert attempts == []


def test_the_bundled_model_is_all_that_is_needed(attempts):
    made = GPT2Nano(NanoOptions())
    made.check()
    made.load(device="cpu", dtype="float32", seed=0)
    assert made.identity
    assert attempts == []


@pytest.mark.parametrize("commit", ["c0ffee" * 6 + "c0de"])
def test_gpt2s_own_vocabulary_is_taken_from_the_cache_without_asking_for_a_newer_one(
    attempts, gpt2_folder, tmp_path, commit
):
    repository = tmp_path / "hub" / "models--openai-community--gpt2-medium"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    shutil.copy(gpt2_folder / "encoder.json", snapshot / "vocab.json")
    shutil.copy(gpt2_folder / "vocab.bpe", snapshot / "merges.txt")
    assert GPT2Medium(Options()).tokenizer().vocab_size == 50257
    assert attempts == []
    (snapshot / "merges.txt").write_text(
        "#version: 0.2\n"
    )  # not GPT-2's own: whether it is right is for the hub to say
    with pytest.raises(ModelError, match="cannot be reached"):
        GPT2Medium(Options()).tokenizer()
    assert attempts != []


@pytest.mark.parametrize("use", ["check", "tokenizer", "identity"])
def test_a_hub_that_is_away_is_asked_once(attempts, use):
    made = GPT2Small(Options())
    for _ in range(2):
        with pytest.raises(
            ModelError, match=r"\(https?://.* cannot be reached: .*unreachable\); connect once, or name"
        ):
            getattr(made, use)() if use != "identity" else made.identity
    assert len(attempts) == 1


def test_a_bucket_that_is_away_is_one_line(attempts, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ModelError, match=r"no connection for https://.*unreachable"):
        GPT2Small(Options(weights="openai")).check()


def test_preview_asks_nobody_with_a_tokenizer_at_hand_and_once_without(attempts, monkeypatch, capsys):
    tokenizer = ["--set", f"model.tokenizer={NANO_FOLDER}", "-n", "1", "--json"]
    for known in (
        ["--model", "gpt2-small", *tokenizer],
        ["--model", "gpt2-large", "--set", "model.weights=openai", *tokenizer],
        ["--batches", "--json"],
    ):
        assert exit_code(["preview", *known], monkeypatch) == 0
        assert attempts == []
    capsys.readouterr()
    assert exit_code(["preview", "--model", "gpt2-small"], monkeypatch) == 5
    assert len(attempts) == 1
    told = capsys.readouterr().err
    assert len(told.strip().splitlines()) == 1
    assert "cannot be reached: " in told


def exit_code(arguments, monkeypatch):
    """Of the command, in this process, which has no proxy to ask instead."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["sftframe", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0
