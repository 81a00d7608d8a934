"""Hugging Face's hub, played by a server on this machine."""

import os
import shutil
import subprocess
import sys

import huggingface_hub.constants
import pytest
import torch
from sftframe_plugins.gpt2.weights.huggingface_repository import HuggingFaceRepository

from sftframe import ModelError

NAME = "openai-community/gpt2"

PROGRAM = f"""
from sftframe_plugins.gpt2.weights.huggingface_repository import HuggingFaceRepository
source = HuggingFaceRepository("{NAME}")
print(source.identity["revision"], source.tokenizer().fingerprint, len(source.tensors()))
"""


def in_a_process_of_its_own(**environment):
    """`huggingface_hub` reads its environment when it is imported."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return process.stdout.strip()


def test_files_come_at_one_commit_without_the_token_from_another_host_and_are_enough_offline(
    serve, huggingface_folder, toy_tokenizer, tmp_path
):
    hub, store = serve(huggingface_folder), serve(huggingface_folder)
    hub.elsewhere = store.url.replace("127.0.0.1", "localhost")
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    # 2 embeddings, 12 tensors in each of 2 layers, 2 of the last norm
    expected = f"{'c0ffee' * 6}c0de {toy_tokenizer.fingerprint} 28"
    assert in_a_process_of_its_own(**environment, HF_TOKEN="hf_secret") == expected
    assert "model.safetensors" in store.asked
    assert set(store.keys) == {None}
    assert "Bearer hf_secret" in hub.keys
    hub.asked.clear()
    store.asked.clear()
    assert in_a_process_of_its_own(**environment, HF_HUB_OFFLINE="1") == expected
    assert hub.asked == store.asked == []


def test_weights_from_the_hub_give_the_logits_of_transformers(hub, huggingface_folder, logits_of, their_logits):
    hub(huggingface_folder)
    torch.testing.assert_close(logits_of(HuggingFaceRepository(NAME)), their_logits)


def test_sharded_weights_are_fetched_by_their_index(
    hub, huggingface_folder, toy_peer, tmp_path, logits_of, their_logits
):
    (huggingface_folder / "model.safetensors").unlink()
    toy_peer.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    for path in (tmp_path / "sharded").glob("model*"):
        shutil.copy(path, huggingface_folder)
    hub(huggingface_folder)
    torch.testing.assert_close(logits_of(HuggingFaceRepository(NAME)), their_logits)


def test_a_repository_without_safetensors_is_told_what_is_missing(hub, huggingface_folder):
    (huggingface_folder / "model.safetensors").rename(huggingface_folder / "pytorch_model.bin")
    hub(huggingface_folder)
    with pytest.raises(ModelError, match=r"cannot fetch model\.safetensors\.index\.json of openai-community/gpt2"):
        HuggingFaceRepository(NAME).tensors()


def test_no_network_and_an_empty_cache_say_what_to_do(hub, huggingface_folder, monkeypatch):
    hub(huggingface_folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"connect once, or name local files: --set model\.weights=FOLDER"):
        HuggingFaceRepository(NAME).check()


def test_a_broken_connection_is_an_error_of_ours(hub, huggingface_folder, monkeypatch):
    hub(huggingface_folder).cut = 10
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ModelError, match=r"cannot fetch config\.json of openai-community/gpt2"):
        HuggingFaceRepository(NAME).check()
