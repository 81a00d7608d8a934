"""Tiny models of several families with random weights, saved as transformers saves them, each with a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

VOCABULARY = 300
"""Embeddings of every tiny model; the tokenizer has fewer tokens."""

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "eos_token_id": 0,
    "bos_token_id": 0,
    "pad_token_id": 0,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only lose by waiting for each other's threads."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def config_of(family: str, **changes: Any) -> Any:
    """A tiny configuration of a family, by transformers' name of it."""
    from transformers import AutoConfig

    sizes = {key: value for key, value in SIZES.items() if key != "num_key_value_heads" or family != "gpt_neox"}
    if family == "gpt2":
        sizes = {
            "vocab_size": VOCABULARY,
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 512,
            "bos_token_id": 0,
            "eos_token_id": 0,
        }
    if family.startswith("gemma"):
        sizes["head_dim"] = 8
    return AutoConfig.for_model(family, **(sizes | changes))


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """Makes a byte-level tokenizer: `<|end|>` is 0, then the 256 bytes, and a few merges."""

    def make(*, size: int = 270) -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=["<|end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        made.train_from_iterator(["the hello the help " * 20, "tell the tale " * 20], trainer)
        return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")

    return make


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory, make_tokenizer: Callable[..., Any]) -> Callable[..., Path]:
    """Writes a tiny model of a family with its tokenizer into a new folder, with transformers alone."""

    def make(family: str = "llama", *, seed: int = 1, tokens: int = 270, **changes: Any) -> Path:
        from transformers import AutoModelForCausalLM

        folder = tmp_path_factory.mktemp(family)
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config_of(family, **changes)).save_pretrained(folder)
        make_tokenizer(size=tokens).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def llama_original(make_folder: Callable[..., Path]) -> Path:
    """A tiny Llama; tests that change its files take a copy."""
    return make_folder("llama")
