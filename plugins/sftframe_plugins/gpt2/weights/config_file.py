"""Reads a network's sizes from Hugging Face's `config.json` and OpenAI's `hparams.json`, and writes `config.json`.

Settings of another network than GPT-2 (another activation, another epsilon) are errors.
"""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from sftframe import ModelError, read_named_text
from sftframe_plugins.gpt2.network import NetworkConfig

FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
"""Values that the network supports, by the names of transformers' `GPT2Config`; the first is also the default."""

MAX_SIZE = 10_000_000
"""The largest allowed width, length or vocabulary; a larger number in a file means damage or an attack."""


def read_config(path: Path) -> NetworkConfig:
    """The sizes that a `config.json` states.

    Raises:
        ModelError: it cannot be read, a size is missing, or it describes another network than GPT-2's.
    """
    content = _read_object(path)
    for key, allowed in FIXED.items():
        if content.get(key, allowed[0]) not in allowed:
            raise ModelError(
                f"{path}: {key} is {reprlib.repr(content[key])}, but GPT-2 has {allowed[0]!r}; not a GPT-2 checkpoint"
            )
    width = _size(content, "n_embd", path)
    inner = content.get("n_inner")
    if inner not in (None, 4 * width):
        raise ModelError(f"{path}: n_inner is {reprlib.repr(inner)}, but GPT-2 has 4 x n_embd = {4 * width}")
    return _make_config(content, ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"), path)


def read_hparams(path: Path) -> NetworkConfig:
    """The sizes that an `hparams.json` states.

    Raises:
        ModelError: it cannot be read, or a size is missing.
    """
    return _make_config(_read_object(path), ("n_vocab", "n_ctx", "n_embd", "n_layer", "n_head"), path)


def write_config(config: NetworkConfig, end_id: int, path: Path) -> None:
    """Write sizes so that `transformers.AutoConfig` reads them too."""
    content: dict[str, Any] = {key: allowed[0] for key, allowed in FIXED.items()}
    content |= {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_embd": config.width,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": None,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "bos_token_id": end_id,
        "eos_token_id": end_id,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_named_text(path))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {error}; damaged, fetch it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _make_config(content: dict[str, Any], keys: tuple[str, str, str, str, str], path: Path) -> NetworkConfig:
    vocab_size, context_length, width, num_layers, num_heads = (_size(content, key, path) for key in keys)
    if width % num_heads:
        raise ModelError(f"{path}: width {width} cannot be divided among {num_heads} heads")
    return NetworkConfig(
        vocab_size=vocab_size, context_length=context_length, width=width, num_layers=num_layers, num_heads=num_heads
    )


def _size(content: dict[str, Any], key: str, path: Path) -> int:
    size = content.get(key)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_SIZE:
        raise ModelError(f"{path}: {key} is {reprlib.repr(size)}, expected a whole number from 1 to {MAX_SIZE}")
    return size
