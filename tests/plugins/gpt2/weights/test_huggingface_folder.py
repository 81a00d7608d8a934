"""Folders that transformers wrote, whole and sharded, and what is said of damaged ones."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from sftframe_plugins.gpt2.weights.folder import HuggingFaceFolder
from sftframe_plugins.gpt2.weights.layout import build, fill

from sftframe import ModelError


def test_weights_of_transformers_give_its_logits(huggingface_folder, their_logits, logits_of):
    torch.testing.assert_close(logits_of(HuggingFaceFolder(huggingface_folder)), their_logits)


def test_weights_that_save_model_wrote_without_the_tied_copy_are_whole(
    toy_peer, huggingface_folder, their_logits, logits_of
):
    from safetensors.torch import save_model

    save_model(toy_peer, str(huggingface_folder / "model.safetensors"))
    assert "transformer.wte.weight" not in load_file(huggingface_folder / "model.safetensors")
    torch.testing.assert_close(logits_of(HuggingFaceFolder(huggingface_folder)), their_logits)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "_orig_mod.module.", "model."])
def test_what_wrappers_put_before_names_is_passed_over(huggingface_folder, their_logits, logits_of, prefix):
    path = huggingface_folder / "model.safetensors"
    save_file({prefix + name: tensor for name, tensor in load_file(path).items()}, path)
    torch.testing.assert_close(logits_of(HuggingFaceFolder(huggingface_folder)), their_logits)


def test_two_tensors_of_one_plain_name_are_refused(huggingface_folder, logits_of):
    path = huggingface_folder / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "module.ln_f.bias": tensors["transformer.ln_f.bias"] + 1}, path)
    with pytest.raises(ModelError, match=r"two tensors are 'ln_f.bias' without their wrappers' prefixes"):
        logits_of(HuggingFaceFolder(huggingface_folder))


def test_adapters_that_were_not_merged_are_named(huggingface_folder, logits_of):
    path = huggingface_folder / "model.safetensors"
    name = "transformer.h.0.attn.c_attn"
    tensors = load_file(path)
    tensors[f"{name}.base_layer.weight"] = tensors.pop(f"{name}.weight")
    save_file({**tensors, f"{name}.lora_A.default.weight": torch.zeros(2, 3)}, path)
    with pytest.raises(ModelError, match="these are a model's weights with LoRA adapters"):
        logits_of(HuggingFaceFolder(huggingface_folder))


def test_files_of_windows_editors_are_read(huggingface_folder, toy_tokenizer, their_logits, logits_of):
    for name in ("config.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        text = (huggingface_folder / name).read_text(encoding="utf-8")
        (huggingface_folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    source = HuggingFaceFolder(huggingface_folder)
    assert source.tokenizer().fingerprint == toy_tokenizer.fingerprint
    torch.testing.assert_close(logits_of(source), their_logits)


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
    with pytest.raises(ModelError, match=r"model\.safetensors is not a complete safetensors file"):
        HuggingFaceFolder(huggingface_folder).check()
    with pytest.raises(ModelError, match=r"model\.safetensors is not a complete safetensors file"):
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
