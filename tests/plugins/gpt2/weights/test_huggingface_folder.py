"""Folders that transformers wrote, whole and sharded, and what is said of damaged ones."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from sftframe_plugins.gpt2.weights.huggingface_folder import HuggingFaceFolder
from sftframe_plugins.gpt2.weights.layout import build, fill

from sftframe import ModelError


def test_weights_of_transformers_give_its_logits(huggingface_folder, their_logits, logits_of):
    torch.testing.assert_close(logits_of(HuggingFaceFolder(huggingface_folder)), their_logits)


def test_sharded_weights_give_the_same_logits(toy_peer, tmp_path, their_logits, logits_of):
    toy_peer.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    HuggingFaceFolder(tmp_path).check()
    torch.testing.assert_close(logits_of(HuggingFaceFolder(tmp_path)), their_logits)


def test_the_vocabulary_is_that_of_the_folder(huggingface_folder, toy_tokenizer):
    assert HuggingFaceFolder(huggingface_folder).tokenizer().fingerprint == toy_tokenizer.fingerprint


def test_a_cut_off_file_is_named(huggingface_folder):
    path = huggingface_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"model\.safetensors is no complete safetensors file"):
        HuggingFaceFolder(huggingface_folder).check()
    with pytest.raises(ModelError, match=r"model\.safetensors is no complete safetensors file"):
        HuggingFaceFolder(huggingface_folder).tensors()


def test_a_missing_shard_is_named(toy_peer, tmp_path):
    toy_peer.save_pretrained(tmp_path, max_shard_size="100KB")
    lost = sorted(tmp_path.glob("model-*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ModelError, match=f"model.safetensors.index.json names {lost.name}, which is missing"):
        HuggingFaceFolder(tmp_path).check()


def test_a_damaged_index_is_named(toy_peer, tmp_path):
    toy_peer.save_pretrained(tmp_path, max_shard_size="100KB")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelError, match="expected a JSON object with 'weight_map'"):
        HuggingFaceFolder(tmp_path).check()


def test_pickled_weights_are_refused(huggingface_folder):
    (huggingface_folder / "model.safetensors").rename(huggingface_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin, a pickle that could run any code"):
        HuggingFaceFolder(huggingface_folder).check()


def test_a_folder_without_weights_is_told_what_was_looked_for(huggingface_folder):
    (huggingface_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"looked for model\.safetensors, weights\.safetensors and model"):
        HuggingFaceFolder(huggingface_folder).tensors()


def test_a_configuration_of_another_size_is_noticed(huggingface_folder, logits_of):
    path = huggingface_folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "n_positions": 32}))
    with pytest.raises(ModelError, match=r"tensor 'wpe\.weight' has shape \(64, 48\), expected \(32, 48\)"):
        logits_of(HuggingFaceFolder(huggingface_folder))


def test_half_precision_weights_are_widened(huggingface_folder):
    path = huggingface_folder / "model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    wanted = halves["transformer.wte.weight"].float()
    save_file(halves, path)
    source = HuggingFaceFolder(huggingface_folder)
    network = build(source.config(), "cpu", torch.float32)
    fill(network, source.tensors(), source)
    assert network.wte.weight.equal(wanted)
