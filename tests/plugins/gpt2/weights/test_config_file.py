"""Sizes from `config.json` and `hparams.json`, and what they may not say."""

import json

import pytest
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.weights.layout import read_config, read_hparams, write_config

from sftframe import ModelError

CONFIG = NetworkConfig(vocab_size=11, context_length=7, width=6, num_layers=3, num_heads=2)
HPARAMS = {"n_vocab": 50257, "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config.json"


def write(path, **changes):
    from transformers import GPT2Config

    path.write_text(json.dumps({**GPT2Config(n_embd=8, n_head=2).to_dict(), **changes}))
    return path


def test_what_is_written_reads_the_same(path):
    write_config(CONFIG, 10, path)
    assert read_config(path) == CONFIG


def test_transformers_reads_what_is_written(path):
    from transformers import AutoConfig

    write_config(CONFIG, 10, path)
    theirs = AutoConfig.from_pretrained(path.parent)
    assert (theirs.vocab_size, theirs.n_positions, theirs.n_embd, theirs.n_layer, theirs.n_head) == (11, 7, 6, 3, 2)
    assert (theirs.eos_token_id, theirs.layer_norm_epsilon, theirs.activation_function) == (10, 1e-5, "gelu_new")


def test_transformers_own_configuration_is_read(path):
    from transformers import GPT2Config

    GPT2Config(n_embd=64, n_head=4, n_layer=3, n_positions=32, vocab_size=99).save_pretrained(path.parent)
    expected = NetworkConfig(vocab_size=99, context_length=32, width=64, num_layers=3, num_heads=4)
    assert read_config(path) == expected


def test_openais_sizes_are_read(path):
    path.write_text(json.dumps(HPARAMS))
    assert read_hparams(path).num_parameters == 124_439_808


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"activation_function": "relu"}, "activation_function is 'relu', but GPT-2 has 'gelu_new'"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06, but GPT-2 has 1e-05"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False, but GPT-2 has True"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"model_type": "gpt_neo"}, "model_type is 'gpt_neo', but GPT-2 has 'gpt2'"),
        ({"n_inner": 16}, "n_inner is 16, but GPT-2 has 4 x n_embd = 32"),
        ({"n_layer": "12"}, "n_layer is '12', expected a whole number from 1 to 10000000"),
        ({"n_layer": 0}, "n_layer is 0, expected a whole number from 1 to 10000000"),
        ({"n_head": 3}, "width 8 cannot be divided among 3 heads"),
    ],
)
def test_another_network_than_gpt2s_is_refused(path, changes, told):
    with pytest.raises(ModelError, match=told):
        read_config(write(path, **changes))


def test_a_missing_size_is_named(path):
    path.write_text(json.dumps({key: value for key, value in HPARAMS.items() if key != "n_ctx"}))
    with pytest.raises(ModelError, match="n_ctx is None, expected a whole number from 1 to 10000000"):
        read_hparams(path)


@pytest.mark.parametrize(("content", "told"), [("{", "cannot read"), ("[]", "expected a JSON object, found list")])
def test_a_damaged_file_is_named(path, content, told):
    path.write_text(content)
    with pytest.raises(ModelError, match=told):
        read_config(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(ModelError, match=r"cannot read .*config\.json"):
        read_config(path)
