"""The sizes of `gpt2-nano`, and its weights in the form in which Hugging Face's GPT-2 is published.

There the linear maps are stored as `Conv1D`, (in, out), transposed with respect to `nn.Linear`.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from torch import Tensor

from recipes.nano.tokenizer import NANO_DIR, VOCAB_SIZE

WEIGHTS_PATH = NANO_DIR / "weights.safetensors"
CONFIG_PATH = NANO_DIR / "config.json"
NANO = NetworkConfig(vocab_size=VOCAB_SIZE, context_length=256, width=256, num_layers=4, num_heads=4)
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def save_weights(model: GPT2, path: Path = WEIGHTS_PATH) -> None:
    """Writes the weights as float16; the head is tied and not written."""
    tensors = {name: to_published(name, tensor).to(torch.float16) for name, tensor in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def load_weights(path: Path = WEIGHTS_PATH) -> GPT2:
    """A float32 model with the written weights."""
    model = GPT2(NANO)
    model.load_state_dict({name: to_published(name, tensor).float() for name, tensor in load_file(path).items()})
    return model


def to_published(name: str, tensor: Tensor) -> Tensor:
    """A linear map's matrix transposed, all else as it is; twice gives the same again."""
    return tensor.T if name.endswith(TRANSPOSED) else tensor


def write_config(path: Path = CONFIG_PATH) -> None:
    """Writes the sizes under the names of Hugging Face's `GPT2Config`."""
    end_id = NANO.vocab_size - 1
    config = {
        "model_type": "gpt2",
        "vocab_size": NANO.vocab_size,
        "n_positions": NANO.context_length,
        "n_embd": NANO.width,
        "n_layer": NANO.num_layers,
        "n_head": NANO.num_heads,
        "layer_norm_epsilon": 1e-05,
        "activation_function": "gelu_new",
        "bos_token_id": end_id,
        "eos_token_id": end_id,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8", newline="\n")
