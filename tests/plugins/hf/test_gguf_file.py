"""The GGUF file of a model of transformers, read back with `gguf`, and run by llama.cpp where it is installed."""

import json
import shutil

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.export import export
from sftframe_plugins.hf.generation import generate
from sftframe_plugins.hf.options import Options

from sftframe import ExportSettings, GenerationSettings, ModelError

FAMILIES = ["llama", "qwen2", "qwen3"]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBER| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def split(number):
    pattern = {"Regex": PATTERN.replace("NUMBER", number)}
    return [
        {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False},
        BYTES | {"use_regex": False},
    ]


CUTS = {
    "gpt-2": [BYTES | {"use_regex": True}],
    "smollm": [{"type": "Digits", "individual_digits": True}, BYTES | {"use_regex": True}],
    "llama-bpe": split(r"\p{N}{1,3}"),
    "qwen2": split(r"\p{N}"),
}
"""How published tokenizers of GPT-2, SmolLM, Llama 3 and Qwen cut text into words, by llama.cpp's names."""


def settings(dtype="float32", **others):
    return ExportSettings(
        target="gguf", dtype=dtype, chat_template="Q: {{ messages }}", max_new_tokens=12, name="toy", **others
    )


def load(folder):
    model = HFBackend(Options(repo=str(folder))).load(device="cpu", dtype="float32", seed=1)
    return model.module, model.tokenizer


def tensors(folder):
    return {tensor.name: tensor.data for tensor in GGUFReader(folder / "model.gguf").tensors}


def fields(folder):
    return {name: field.contents() for name, field in GGUFReader(folder / "model.gguf").fields.items()}


@pytest.fixture
def with_cut(llama_original, tmp_path):
    """A copy of the tiny Llama with another way to cut text."""

    def make(steps, **model):
        folder = tmp_path / "cut"
        shutil.copytree(llama_original, folder)
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps} if len(steps) > 1 else steps[0]
        content["model"] |= model
        path.write_text(json.dumps(content), encoding="utf-8")
        return folder

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_in_the_file_under_llama_cpps_name(family, make_folder, tmp_path):
    module, tokenizer = load(make_folder(family))
    export(tmp_path, module, tokenizer, settings())
    found, layer = tensors(tmp_path), module.model.layers[1]
    assert np.array_equal(found["token_embd.weight"], module.model.embed_tokens.weight.detach())
    assert np.array_equal(found["output_norm.weight"], module.model.norm.weight.detach())
    pairs = {
        "attn_norm": layer.input_layernorm,
        "attn_v": layer.self_attn.v_proj,
        "attn_output": layer.self_attn.o_proj,
        "ffn_norm": layer.post_attention_layernorm,
        "ffn_gate": layer.mlp.gate_proj,
        "ffn_up": layer.mlp.up_proj,
        "ffn_down": layer.mlp.down_proj,
    }
    for name, own in pairs.items():
        assert np.array_equal(found[f"blk.1.{name}.weight"], own.weight.detach()), name
    assert len(found) == 3 + 2 * {"llama": 9, "qwen2": 12, "qwen3": 11}[family]


def test_queries_and_keys_of_a_llama_have_llama_cpps_order(make_folder, tmp_path):
    """Heads of 8: rows 0, 4, 1, 5, 2, 6, 3, 7 of each, since llama.cpp turns neighbours and transformers halves."""
    module, tokenizer = load(make_folder("llama"))
    export(tmp_path, module, tokenizer, settings())
    order = [8 * head + row for head in range(4) for row in (0, 4, 1, 5, 2, 6, 3, 7)]
    attention, found = module.model.layers[0].self_attn, tensors(tmp_path)
    assert np.array_equal(found["blk.0.attn_q.weight"], attention.q_proj.weight.detach()[order])
    assert np.array_equal(found["blk.0.attn_k.weight"], attention.k_proj.weight.detach()[order[:16]])


def test_queries_and_keys_of_a_qwen_stay_as_they_are(make_folder, tmp_path):
    module, tokenizer = load(make_folder("qwen3"))
    export(tmp_path, module, tokenizer, settings())
    weight = module.model.layers[0].self_attn.q_proj.weight
    assert np.array_equal(tensors(tmp_path)["blk.0.attn_q.weight"], weight.detach())


def test_a_tied_head_is_not_written(make_folder, tmp_path):
    export(tmp_path, *load(make_folder("llama", tie_word_embeddings=True)), settings())
    assert "output.weight" not in tensors(tmp_path)


def test_in_half_precision_matrices_are_rounded_and_norms_are_not(make_folder, tmp_path):
    export(tmp_path, *load(make_folder("llama")), settings("float16"))
    found = tensors(tmp_path)
    assert {data.dtype.name for name, data in found.items() if "norm" not in name} == {"float16"}
    assert {data.dtype.name for name, data in found.items() if "norm" in name} == {"float32"}


def test_sizes_are_stated(make_folder, tmp_path):
    export(tmp_path, *load(make_folder("llama")), settings())
    stated = fields(tmp_path)
    assert {name: value for name, value in stated.items() if name.startswith("llama.")} == {
        "llama.block_count": 2,
        "llama.context_length": 512,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 8,
        "llama.attention.value_length": 8,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-6),
        "llama.rope.dimension_count": 8,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": 300,
    }


def test_ids_without_a_token_get_a_name_and_are_unused(make_folder, tmp_path):
    """300 embeddings, 270 tokens; `<|end|>` is 0. Kinds of GGUF: 1 normal, 3 control, 5 unused."""
    export(tmp_path, *load(make_folder("llama")), settings(end_ids=(7,)))
    stated = fields(tmp_path)
    names, kinds = stated["tokenizer.ggml.tokens"], stated["tokenizer.ggml.token_type"]
    assert (len(names), names[0], names[299]) == (300, "<|end|>", "[PAD299]")
    assert (kinds[0], set(kinds[1:270]), set(kinds[270:])) == (3, {1}, {5})
    assert (stated["tokenizer.ggml.eos_token_id"], stated["tokenizer.ggml.eot_token_id"]) == (0, 7)
    assert not stated["tokenizer.ggml.add_bos_token"]
    assert stated["tokenizer.chat_template"] == "Q: {{ messages }}"


@pytest.mark.parametrize("name", CUTS)
def test_the_way_to_cut_text_has_llama_cpps_name(name, with_cut, tmp_path):
    export(tmp_path, *load(with_cut(CUTS[name], ignore_merges=name == "llama-bpe")), settings())
    assert fields(tmp_path)["tokenizer.ggml.pre"] == name


def test_slower_turnings_of_long_contexts_are_written_as_factors(make_folder, tmp_path):
    """Llama 3's rule for a head of 8 and the base 10,000: wave lengths of 6.3, 63, 628 and 6,283 positions; those below
    64 / 4 stay, those above 64 / 1 are 8 times as long, and between them the two are mixed. The second: 64 / 62.83 =
    1.0186, so (1.0186 - 1) / (4 - 1) = 0.0062 of the plain one: 1 / (0.9938 / 8 + 0.0062) = 7.668.
    """
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    export(tmp_path, *load(make_folder("llama", rope_parameters=rope)), settings())
    assert tensors(tmp_path)["rope_freqs.weight"].tolist() == pytest.approx([1.0, 7.668, 8.0, 8.0], rel=1e-3)


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("gemma", {}, "a model of the type 'gemma'"),
        ("gpt_neox", {}, "a model of the type 'gpt_neox'"),
        ("llama", {"attention_bias": True}, "biases where its type has none"),
        ("llama", {"hidden_act": "gelu"}, "the activation 'gelu'"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}, "sliding windows"),
        (
            "qwen3",
            {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0}},
            "positions of the kind 'yarn'",
        ),
    ],
)
def test_for_other_models_the_converter_is_named(family, changes, reason, make_folder, tmp_path):
    module, tokenizer = load(make_folder(family, **changes))
    with pytest.raises(ModelError, match=rf"GGUF of .*{reason}: export with --to hf, then run llama\.cpp's convert_hf"):
        export(tmp_path, module, tokenizer, settings())
    assert list(tmp_path.iterdir()) == []


def test_for_other_tokenizers_too(with_cut, tmp_path):
    module, tokenizer = load(with_cut([{"type": "Digits", "individual_digits": False}, BYTES | {"use_regex": True}]))
    with pytest.raises(ModelError, match=r"GGUF of a tokenizer of this kind: export with --to hf"):
        export(tmp_path / "out", module, tokenizer, settings())


@pytest.mark.llama_cpp
@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_reads_the_same_ids_and_writes_the_same_greedy_tokens(family, name, make_folder, with_cut, tmp_path):
    """In float32; a network of random weights is too undecided for what half precision rounds."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    _, tokenizer = load(with_cut(CUTS[name], ignore_merges=name == "llama-bpe"))
    module, _ = load(make_folder(family, initializer_range=0.3))
    export(tmp_path, module, tokenizer, settings())
    float32 = 0  # llama.cpp's number for it, here of the cache
    llama = llama_cpp.Llama(
        str(tmp_path / "model.gguf"), n_ctx=128, n_threads=1, type_k=float32, type_v=float32, verbose=False
    )
    texts = ["tell the tale 12345 times", "hello\n\n  the help!?", "It's 7 o'clock, héllo 日本 🚀", " \t x\r\n"]
    prompts = [tokenizer.encode(text) for text in texts]
    answers = generate(module, tokenizer, prompts, GenerationSettings(max_new_tokens=16), context_length=512)
    for completion in answers:
        prompt, text = prompts[completion.position], texts[completion.position]
        assert llama.tokenize(text.encode(), add_bos=False) == prompt
        llama.reset()
        written = llama.generate(prompt, temp=0.0, repeat_penalty=1.0)
        assert [next(written) for _ in completion.ids] == list(completion.ids)


def test_a_weight_beyond_half_precision_is_named(make_folder, tmp_path):
    module, tokenizer = load(make_folder("llama"))
    with torch.no_grad():
        module.model.layers[0].mlp.up_proj.weight[0, 0] = 70000.0
    with pytest.raises(ModelError, match=r"'blk\.0\.ffn_up\.weight' has a weight of size 70000"):
        export(tmp_path, module, tokenizer, settings("float16"))
