"""Small models of many families with random weights, built from their configurations, and a tokenizer for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sftframe import CausalLM, Tokenizer

pytest.importorskip("transformers")

VOCABULARY, CONTEXT = 97, 64

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,  # large: what a token says must reach the logits
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OTHER_SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "initializer_range": 0.3}
OLD_SIZES = {
    "vocab_size": VOCABULARY,
    "n_positions": CONTEXT,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "initializer_range": 0.3,
}
WINDOWED = {"sliding_window": 5}
HEADS = {"head_dim": 8}
IN_TURNS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaConfig", SIZES),
    "Qwen2": ("Qwen2Config", SIZES | WINDOWED | {"use_sliding_window": True, "max_window_layers": 1}),
    "Qwen3": ("Qwen3Config", SIZES | HEADS),
    "Mistral": ("MistralConfig", SIZES | WINDOWED),
    "Gemma 2": ("Gemma2Config", SIZES | HEADS | WINDOWED | {"attn_logit_softcapping": 2.0}),
    "Gemma 3": ("Gemma3TextConfig", SIZES | HEADS | WINDOWED | IN_TURNS),
    "Phi-3": ("Phi3Config", SIZES | WINDOWED),
    "GPT-NeoX": ("GPTNeoXConfig", {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}),
    "OLMo 2": ("Olmo2Config", SIZES),
    "Mixtral": ("MixtralConfig", SIZES | {"num_local_experts": 4}),
    "GPT-OSS": ("GptOssConfig", SIZES | HEADS | WINDOWED | {"num_local_experts": 4}),
    "DeepSeek 3": (
        "DeepseekV3Config",
        SIZES
        | {"num_key_value_heads": 4, "moe_intermediate_size": 16, "q_lora_rank": 16, "kv_lora_rank": 16}
        | {"qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12, "n_routed_experts": 4}
        | {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    ),
    "StableLM": ("StableLmConfig", SIZES),
    "GPT-2": ("GPT2Config", OLD_SIZES),
    "Llama 4": (
        "Llama4TextConfig",
        SIZES | HEADS | {"attention_chunk_size": 5, "num_local_experts": 2, "intermediate_size_mlp": 48},
    ),
    "Bloom": ("BloomConfig", OTHER_SIZES | {"n_layer": 3, "n_head": 4}),
    "Falcon": ("FalconConfig", OTHER_SIZES | {"num_hidden_layers": 3, "num_attention_heads": 4}),
    "GPT-J": ("GPTJConfig", OLD_SIZES | {"rotary_dim": 8}),
    "Mamba": ("MambaConfig", OTHER_SIZES | {"num_hidden_layers": 3, "state_size": 8}),
    "RecurrentGemma": (
        "RecurrentGemmaConfig",
        OTHER_SIZES
        | HEADS
        | {"intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "lru_width": 32}
        | {"attention_window_size": 5},
    ),
}
"""Families by name: the class of the configuration, and its sizes."""

Make = Callable[..., nn.Module]


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Networks this small only lose by waiting for each other's threads."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def uninitialised_is_nan():
    """Memory that nobody filled holds NaN, so that its use shows."""
    torch.use_deterministic_algorithms(True)  # `fill_uninitialized_memory` is on by default with it
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="package")
def make() -> Make:
    """Builds a model of a family, with other sizes if wanted."""

    def built(family: str, **others: Any) -> nn.Module:
        import transformers

        kind, sizes = CONFIGS[family]
        config = getattr(transformers, kind)(**(sizes | others))
        torch.manual_seed(3)
        model: nn.Module = transformers.AutoModelForCausalLM.from_config(config)
        return model.eval()

    return built


class LetterTokenizer(Tokenizer):
    """One printable character an id; the last id ends a text."""

    vocab_size, end_id, fingerprint = VOCABULARY, VOCABULARY - 1, "letters"

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [[byte - 32 for byte in text.encode()] for text in texts]

    def token_bytes(self, token_id: int) -> bytes:
        return b"" if token_id == self.end_id else bytes([32 + token_id])

    def save(self, folder: Path) -> None:
        raise NotImplementedError


@pytest.fixture(scope="package")
def tokenizer() -> Tokenizer:
    return LetterTokenizer()


class PlainLM(CausalLM):
    """The module with the plain bodies: what every faster way must equal."""

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.module(input_ids=ids, use_cache=False).logits
        return logits

    def save(self, folder: Path) -> None:
        raise NotImplementedError


@pytest.fixture(scope="package")
def plain(tokenizer: Tokenizer) -> Callable[[nn.Module], CausalLM]:
    def wrapped(module: nn.Module) -> CausalLM:
        return PlainLM(module, tokenizer, CONTEXT)

    return wrapped
