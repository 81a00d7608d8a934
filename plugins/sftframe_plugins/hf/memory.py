"""How much memory a training step takes, from a configuration alone: the network is built without memory and run once.

Shapes: T positions of one row.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from sftframe_plugins.hf.configuration import THEIR_ERRORS, own_context_length
from sftframe_plugins.hf.quietness import quiet

FLOAT = 4
"""Bytes of a float32."""
PROCESS = 750 * 2**20
"""Python, torch, transformers and their libraries."""
KEPT_WIDTHS = 30
"""Values per layer and position, in widths, of a network that cannot be run without memory: 14 to 34 were counted for
eighteen architectures that can.
"""
LONGEST = 512
"""Positions of the longer of two rows that are tried, where the context allows. What grows with the square of a length
belongs to plain attention, and is not kept in training. Networks that compute in pieces of up to 256 positions (state
spaces, linear attention) need rows of whole pieces.
"""


def training_bytes(config: Any, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
    """Bytes of weights, gradients, AdamW's two moments and activations in float32; see `ModelBackend.training_bytes`.

    Raises:
        ModelError or an error of transformers: the network cannot be built.
    """
    network = _without_memory(config)
    num_weights = sum(weight.numel() for weight in network.parameters())
    state = num_weights * FLOAT * (4 if trains_all else 1)
    num_layers, state_width = int(config.num_hidden_layers), FLOAT * int(config.hidden_size)
    longest = min(own_context_length(config) or LONGEST, LONGEST)
    kept = _kept_per_position(network, longest) or KEPT_WIDTHS * state_width * num_layers
    layers = num_layers * state_width + kept / num_layers if is_recomputing else kept
    logits = 2 * FLOAT * int(config.vocab_size)  # and their gradient
    return PROCESS + state + round(num_positions * (layers + logits))


def _without_memory(config: Any) -> nn.Module:
    """The network on the meta device, where tensors have shapes and no numbers."""
    with quiet(), torch.device("meta"):
        # building a model changes the configuration that it is given
        network: nn.Module = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.float32)
    return network


def _kept_per_position(network: nn.Module, longest: int) -> float | None:
    """Bytes that the layers keep per position for the backward pass; None where the network needs numbers to run."""
    half = longest // 2
    for has_mask in (True, False):
        try:
            with quiet():
                short, long = (_kept(network, length, has_mask=has_mask) for length in (half, 2 * half))
        except THEIR_ERRORS:
            continue
        return (4 * short - long) / (2 * half)  # a of half a + half² b = short and 2 half a + 4 half² b = long
    return None


def _kept(network: nn.Module, length: int, *, has_mask: bool) -> int:
    """Bytes that are kept for the backward pass of one row, apart from the weights."""
    weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # several tensors may be views of one storage
        return tensor

    # with a finished mask the library looks at no number
    mask = {"attention_mask": torch.zeros(1, 1, length, length, device="meta")} if has_mask else {}
    ids = torch.zeros(1, length, dtype=torch.int64, device="meta")  # (1, T)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(input_ids=ids, use_cache=False, **mask)
    return sum(storage.nbytes() for storage in kept.values())
