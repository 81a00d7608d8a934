"""The backends: what they are called, what can be set, where models come from, and what does not fit."""

import subprocess
import sys

import pytest
import torch
from sftframe_plugins.gpt2 import sftframe_model_backends
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
from sftframe_plugins.gpt2.network import NetworkConfig
from sftframe_plugins.gpt2.vocabulary import write_vocabulary

from sftframe import ConfigError, ModelError
from sftframe.config import build_options
from sftframe.testing.model import check_model_backend

IDS = torch.randint(0, 264, (2, 15), generator=torch.Generator().manual_seed(6))


@pytest.fixture
def folder(toy_peer, toy_vocabulary, tmp_path):
    """A model of two layers as transformers writes it."""
    toy_peer.save_pretrained(tmp_path)
    write_vocabulary(toy_vocabulary, tmp_path)
    return tmp_path


def load(backend, saved=None):
    return backend.load(device="cpu", dtype="float32", seed=1, saved=saved)


def test_the_plugin_offers_six_backends():
    names = [backend.name for backend in sftframe_model_backends()]
    assert names == ["gpt2-nano", "gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl", "gpt2"]


def test_the_plugin_imports_without_heavy_packages():
    program = "import sys, sftframe_plugins.gpt2; print(sorted({'torch', 'tiktoken', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_nano_with_random_weights_keeps_the_contract_of_backends():
    check_model_backend(GPT2Nano(NanoOptions(weights="random")))


def test_the_bundled_nano_loads_with_its_own_vocabulary():
    model = load(GPT2Nano())
    assert model.tokenizer.vocab_size == model.module.config.vocab_size
    assert model.context_length == GPT2Nano().context_length()


@pytest.mark.parametrize("backend", [GPT2Small, GPT2Medium, GPT2Large, GPT2XL])
def test_random_weights_with_a_tokenizer_folder_need_no_network(backend, gpt2_folder):
    made = backend(Options(weights="random", tokenizer=gpt2_folder))
    made.check()
    assert made.context_length() == 1024
    assert made.tokenizer().vocab_size == 50257


@pytest.mark.parametrize(
    ("backend", "num_parameters"),
    [(GPT2Small, 124_439_808), (GPT2Medium, 354_823_168), (GPT2Large, 774_030_080), (GPT2XL, 1_557_611_200)],
)
def test_each_size_has_its_published_number_of_parameters(backend, num_parameters):
    size = backend.published
    config = NetworkConfig(
        vocab_size=50257,
        context_length=size.context_length,
        width=size.width,
        num_layers=size.num_layers,
        num_heads=size.num_heads,
    )
    assert config.num_parameters == num_parameters


def test_random_weights_come_from_the_seed(toy_folder):
    backend = GPT2Nano(NanoOptions(weights="random", tokenizer=toy_folder))
    first, again, other = (backend.load(device="cpu", dtype="float32", seed=seed).logits(IDS) for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)


def test_a_folder_gives_sizes_weights_and_vocabulary(folder, toy_peer, toy_tokenizer):
    model = load(GPT2Any(Options(weights=str(folder))))
    assert model.context_length == 64
    assert model.tokenizer.fingerprint == toy_tokenizer.fingerprint
    with torch.no_grad():
        torch.testing.assert_close(model.logits(IDS), toy_peer(IDS).logits)


def test_what_is_saved_loads_again_here_and_in_transformers(toy_model, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    toy_model.save(tmp_path)
    again = load(GPT2Any(), saved=tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        assert again.logits(IDS).equal(toy_model.logits(IDS))
        torch.testing.assert_close(theirs(IDS).logits, toy_model.logits(IDS))
    assert AutoTokenizer.from_pretrained(tmp_path)("hello the").input_ids == toy_model.tokenizer.encode("hello the")


def test_a_saved_model_takes_none_of_the_options(toy_model, tmp_path):
    toy_model.save(tmp_path)
    backend = GPT2Any(Options(weights="nowhere", tokenizer=tmp_path / "nowhere"))
    assert load(backend, saved=tmp_path).tokenizer.fingerprint == toy_model.tokenizer.fingerprint


def test_dropout_is_what_the_options_say(folder):
    assert load(GPT2Any(Options(weights=str(folder), dropout=0.25))).module.config.dropout == 0.25


def test_parameters_have_the_type_that_is_asked_for(folder):
    model = GPT2Any(Options(weights=str(folder))).load(device="cpu", dtype="bfloat16", seed=1)
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.bfloat16}


def test_a_vocabulary_of_another_size_is_refused(folder, gpt2_folder):
    backend = GPT2Any(Options(weights=str(folder), tokenizer=gpt2_folder))
    for use in (backend.check, lambda: load(backend)):
        with pytest.raises(ModelError, match=r"the tokenizer has 50257 tokens, but the weights \(.*\) have 265"):
            use()


def test_weights_of_another_size_are_refused_by_a_backend_of_fixed_size(folder):
    with pytest.raises(
        ModelError, match="2 layers of width 48 with 3 heads, but gpt2-medium has 24 of width 1024 with 16"
    ):
        GPT2Medium(Options(weights=str(folder))).check()


def test_weights_without_a_tokenizer_say_how_to_name_one(folder):
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"no tokenizer in .*set another folder with --set model\.tokenizer=FOLDER"):
        GPT2Any(Options(weights=str(folder))).check()


def test_an_unknown_word_for_the_weights_is_told_the_known_ones():
    with pytest.raises(
        ModelError, match=r"no folder hugginface; expected a folder, a \.pth file, or huggingface, openai, random"
    ):
        GPT2Small(Options(weights="hugginface")).check()


def test_options_are_checked(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.dropout: expected less than 1, found 1"):
        build_options(GPT2Small, {"dropout": 1.0}, "model")
    assert build_options(GPT2Small, {"tokenizer": str(tmp_path)}, "model").tokenizer == tmp_path


def test_the_identity_names_the_source(folder):
    assert GPT2Any(Options(weights=str(folder))).identity == {"weights": str(folder)}
    assert GPT2Nano(NanoOptions(weights="random")).identity == {"weights": "random"}
