"""Tiny configurations of many families of transformers; networks of them have random weights and few layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 300
WINDOW = 20

_SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_WIDE_HEADS = {**_GROUPED, "head_dim": 8}
_MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": WINDOW}
_GPT2 = {"vocab_size": VOCABULARY, "n_positions": 128, "n_embd": 32, "n_layer": 3, "n_head": 4, "eos_token_id": 2}
_GPT2 |= {"bos_token_id": 1}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

COMPACT: Mapping[str, Mapping[str, Any]] = {
    "llama": {"model_type": "llama", **_GROUPED},
    "llama with a tied head": {"model_type": "llama", **_GROUPED, "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2", **_GROUPED},
    "qwen2 with windows": {
        "model_type": "qwen2",
        **_GROUPED,
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3", **_WIDE_HEADS},
    "mistral": {"model_type": "mistral", **_GROUPED, "sliding_window": WINDOW},
    "phi": {"model_type": "phi", **_GROUPED},
    "phi3": {"model_type": "phi3", **_GROUPED},
    "gemma": {"model_type": "gemma", **_WIDE_HEADS},
    "gemma2": {"model_type": "gemma2", **_WIDE_HEADS, "sliding_window": WINDOW},
    "gemma3": {"model_type": "gemma3_text", **_WIDE_HEADS, **_MIXED},
    "gpt_neox": {"model_type": "gpt_neox", **_SIZES},
    "olmo2": {"model_type": "olmo2", **_GROUPED},
    "mixtral": {"model_type": "mixtral", **_GROUPED, "num_local_experts": 4},
    "qwen3_moe": {"model_type": "qwen3_moe", **_WIDE_HEADS, **_EXPERTS},
    "gpt_oss": {"model_type": "gpt_oss", **_WIDE_HEADS, **_MIXED, "num_local_experts": 4},
    "granite": {"model_type": "granite", **_GROUPED, "logits_scaling": 3.0},
    "cohere": {"model_type": "cohere", **_GROUPED},
    "smollm3": {"model_type": "smollm3", **_GROUPED},
    "starcoder2": {"model_type": "starcoder2", **_GROUPED},
    "gpt2": {"model_type": "gpt2", **_GPT2},
    "opt": {
        "model_type": "opt",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
    },
    "deepseek_v3": {
        "model_type": "deepseek_v3",
        **_SIZES,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 16,
        "q_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 12,
        "n_group": 2,
        "topk_group": 1,
    },
}
"""Families whose positions can be computed compactly."""

PADDED: Mapping[str, Mapping[str, Any]] = {
    "bloom": {"model_type": "bloom", "vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "falcon": {
        "model_type": "falcon",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    },
    "gptj": {"model_type": "gptj", **_GPT2, "rotary_dim": 8},
    "gpt_neo": {
        "model_type": "gpt_neo",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": WINDOW,
        "max_position_embeddings": 128,
    },
    "stablelm": {"model_type": "stablelm", **_GROUPED},
    "mamba": {"model_type": "mamba", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2},
    "lfm2": {"model_type": "lfm2", **_GROUPED, "layer_types": ["conv", "full_attention", "conv"]},
}
"""Families that need padded rows: for their positions, recurrent states, or because layers drop arguments."""

FAMILIES = {**COMPACT, **PADDED}


def config_of(family: str, **changes: Any) -> Any:
    """The configuration of a family, with some values changed."""
    sizes = {**FAMILIES[family], **changes}
    return AutoConfig.for_model(sizes.pop("model_type"), **sizes)


def network_of(family: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> PreTrainedModel:
    """A network in evaluation mode. Its matrices are four times as large as usual, so that attention matters."""
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(config_of(family, **changes))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(4)
    network = network.to(dtype).eval()
    if dtype == torch.float64 and getattr(network.config, "_experts_implementation", None):
        network.set_experts_implementation("eager")  # the other ways know no float64
    return network
