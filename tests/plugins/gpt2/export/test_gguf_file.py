"""The exported file read back with `gguf`, and run by llama.cpp where it is installed."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader

from sftframe import GenerationSettings, ModelError, load_registry

NAMES = {
    "wte.weight": "token_embd.weight",
    "wpe.weight": "position_embd.weight",
    "ln_f.weight": "output_norm.weight",
    "ln_f.bias": "output_norm.bias",
    "h.{}.ln_1.weight": "blk.{}.attn_norm.weight",
    "h.{}.ln_1.bias": "blk.{}.attn_norm.bias",
    "h.{}.attn.c_attn.weight": "blk.{}.attn_qkv.weight",
    "h.{}.attn.c_attn.bias": "blk.{}.attn_qkv.bias",
    "h.{}.attn.c_proj.weight": "blk.{}.attn_output.weight",
    "h.{}.attn.c_proj.bias": "blk.{}.attn_output.bias",
    "h.{}.ln_2.weight": "blk.{}.ffn_norm.weight",
    "h.{}.ln_2.bias": "blk.{}.ffn_norm.bias",
    "h.{}.mlp.c_fc.weight": "blk.{}.ffn_up.weight",
    "h.{}.mlp.c_fc.bias": "blk.{}.ffn_up.bias",
    "h.{}.mlp.c_proj.weight": "blk.{}.ffn_down.weight",
    "h.{}.mlp.c_proj.bias": "blk.{}.ffn_down.bias",
}
"""Parameters of the network, and the tensors that llama.cpp looks for in a file of architecture gpt2."""


def named_tensors():
    for ours, theirs in NAMES.items():
        layers = range(2) if "{}" in ours else [0]
        yield from ((ours.format(layer), theirs.format(layer)) for layer in layers)


@pytest.fixture
def exported(toy_model, tmp_path, make_settings):
    toy_model.export(tmp_path, make_settings("gguf"))
    return tmp_path / "model.gguf"


def fields(path):
    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


def test_every_tensor_is_there_and_no_other(toy_model, exported):
    """Stored as `torch.nn.Linear` has them, (out, in); GGUF itself lists sizes from the innermost on."""
    found = {tensor.name: tensor for tensor in GGUFReader(exported).tensors}
    wanted = dict(toy_model.module.named_parameters())
    assert set(found) == {theirs for _, theirs in named_tensors()}
    for ours, theirs in named_tensors():
        assert np.array_equal(found[theirs].data, wanted[ours].detach().numpy()), ours
    assert found["blk.0.ffn_up.weight"].shape.tolist() == [48, 192]


def test_in_half_precision_matrices_are_rounded_and_the_rest_is_not(toy_model, tmp_path, make_settings):
    toy_model.export(tmp_path, make_settings("gguf", "float16"))
    wanted = dict(toy_model.module.named_parameters())
    found = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "model.gguf").tensors}
    for ours, theirs in named_tensors():
        weight = wanted[ours].detach()
        is_rounded = weight.ndim == 2 and ours != "wpe.weight"
        kind = GGMLQuantizationType.F16 if is_rounded else GGMLQuantizationType.F32
        assert found[theirs].tensor_type == kind, ours
        assert np.array_equal(found[theirs].data, (weight.half() if is_rounded else weight).numpy()), ours
    assert fields(tmp_path / "model.gguf")["general.file_type"] == 1


def test_sizes_and_names_are_stated(exported):
    stated = fields(exported)
    assert {name: value for name, value in stated.items() if name.startswith(("general.", "gpt2."))} == {
        "general.architecture": "gpt2",
        "general.type": "model",
        "general.name": "toy",
        "general.file_type": 0,
        "general.quantization_version": 2,
        "gpt2.context_length": 64,
        "gpt2.embedding_length": 48,
        "gpt2.feed_forward_length": 192,
        "gpt2.block_count": 2,
        "gpt2.attention.head_count": 3,
        "gpt2.attention.layer_norm_epsilon": pytest.approx(1e-5),
    }


def test_the_tokenizer_is_in_the_file(exported):
    """In the toy vocabulary the byte 0 has the id 223; the merges are those of its eight longer tokens."""
    stated = fields(exported)
    tokens, kinds = stated["tokenizer.ggml.tokens"], stated["tokenizer.ggml.token_type"]
    assert (stated["tokenizer.ggml.model"], stated["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    assert (len(tokens), len(kinds)) == (265, 265)
    assert (tokens[223], tokens[257], tokens[264]) == ("Ā", "Ġt", "<|endoftext|>")
    assert (set(kinds[:264]), kinds[264]) == ({1}, 3)
    assert stated["tokenizer.ggml.merges"] == ["h e", "Ġ t", "l l", "he ll", "Ġt he", "hell o", "Ã ©", "1 2"]
    ids = [stated[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "padding")]
    assert ids == [264, 264, 264]
    assert not stated["tokenizer.ggml.add_bos_token"]
    assert not stated["tokenizer.ggml.add_eos_token"]


def test_the_chat_template_is_in_the_file(exported):
    assert fields(exported)["tokenizer.chat_template"] == "Q: {{ messages[0]['content'] }}\nA:"


def test_a_weight_beyond_half_precision_is_named(toy_model, tmp_path, make_settings):
    with torch.no_grad():
        toy_model.module.h[1].attn.c_attn.weight[0, 0] = 70000.0
    with pytest.raises(ModelError, match=r"'blk\.1\.attn_qkv\.weight' has a weight of size 70000"):
        toy_model.export(tmp_path, make_settings("gguf", "float16"))


def test_without_the_package_its_extra_is_named(tmp_path):
    """In a fresh interpreter that finds no `gguf`."""
    script = f"""
import sys
sys.modules["gguf"] = None
from pathlib import Path
from sftframe import ExportSettings, ModelError, load_registry
model = load_registry().model_backend("gpt2-nano", {{"weights": "random"}}).load(device="cpu", dtype="float32", seed=1)
try:
    model.export(Path({str(tmp_path)!r}), ExportSettings(target="gguf", chat_template="", max_new_tokens=1, name="x"))
except ModelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "writing GGUF needs the package gguf: pip install 'sftframe[gguf]'\n"


def test_a_missing_package_is_told_before_the_model_is_loaded(monkeypatch):
    backend = load_registry().model_backend("gpt2-nano")
    assert backend.check_export("gguf") is None
    assert backend.check_export("hf") is None
    monkeypatch.setitem(sys.modules, "gguf", None)  # as if it was not installed
    with pytest.raises(ModelError, match=r"pip install 'sftframe\[gguf\]'"):
        backend.check_export("gguf")


@pytest.mark.llama_cpp
def test_llama_cpp_writes_the_same_greedy_tokens(toy_model, exported, random_texts):
    """In float32; a network of random weights is too undecided for what half precision rounds."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    float32 = 0  # llama.cpp's number for it, here of the cache
    llama = llama_cpp.Llama(str(exported), n_ctx=64, n_threads=1, type_k=float32, type_v=float32, verbose=False)
    prompts = [toy_model.tokenizer.encode(text)[:30] for text in random_texts[:20]]
    settings = GenerationSettings(max_new_tokens=20)
    for prompt, text in zip(prompts, random_texts, strict=False):
        assert llama.tokenize(text.encode(), add_bos=False)[:30] == prompt
        llama.reset()
        written = llama.generate(prompt, temp=0.0, repeat_penalty=1.0)
        (ours,) = toy_model.generate([prompt], settings)
        assert [next(written) for _ in ours.ids] == list(ours.ids)
