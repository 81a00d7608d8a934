"""The backend `hf`: its name, its argument, and what it loads."""

import subprocess
import sys

import pytest
import torch
from sftframe_plugins.hf import sftframe_model_backends
from sftframe_plugins.hf.backend import HFBackend
from sftframe_plugins.hf.options import Options

from sftframe import load_registry

IDS = torch.randint(0, 270, (2, 15), generator=torch.Generator().manual_seed(6))
FAMILIES = ["llama", "qwen2", "gemma", "gpt_neox", "gpt2"]


def load(folder, *, seed=1, saved=None, **options):
    return HFBackend(Options(repo=str(folder), **options)).load(device="cpu", dtype="float32", seed=seed, saved=saved)


def their_logits(folder):
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder)(input_ids=IDS).logits


def logits(model):
    with torch.no_grad():
        return model.logits(IDS)


def test_the_plugin_offers_one_backend():
    assert sftframe_model_backends() == [HFBackend]


def test_the_plugin_imports_without_heavy_packages():
    program = "import sys, sftframe_plugins.hf; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_text_after_the_name_is_the_repository():
    assert load_registry().model_backend("hf:./my-model").options.repo == "./my-model"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_gives_the_logits_of_transformers(family, make_folder):
    folder = make_folder(family)
    torch.testing.assert_close(logits(load(folder)), their_logits(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_it_saves_is_loaded_again_and_by_transformers(family, make_folder, tmp_path):
    model = load(make_folder(family))
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter += 0.01
    model.save(tmp_path)
    torch.testing.assert_close(their_logits(tmp_path), logits(model))
    again = load("", saved=tmp_path)
    torch.testing.assert_close(logits(again), logits(model))
    assert again.tokenizer.fingerprint == model.tokenizer.fingerprint
    assert again.context_length == model.context_length == 512


def test_random_weights_depend_on_the_seed_alone(llama_original):
    torch.manual_seed(5)
    first = logits(load(llama_original, weights="random", seed=3))
    torch.manual_seed(6)
    torch.testing.assert_close(logits(load(llama_original, weights="random", seed=3)), first)
    assert not torch.allclose(logits(load(llama_original, weights="random", seed=4)), first)
    assert not torch.allclose(their_logits(llama_original), first)


def test_loading_leaves_the_random_numbers_of_the_process_alone(llama_original):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    load(llama_original, weights="random")
    torch.testing.assert_close(torch.rand(3), wanted)
