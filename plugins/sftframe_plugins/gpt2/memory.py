"""Estimates the memory of a training step from the sizes of the network, to about 20 %."""

from __future__ import annotations

from sftframe_plugins.gpt2.network import NetworkConfig

FLOAT = 4
"""Bytes of a float32."""
KEPT_PER_LAYER = 20
"""Values of width C that a layer keeps per position for its backward pass: 17 to 21 were measured per computed
position, for rows of 50 to 700 tokens. The estimate uses padded positions, which are at least as many.
"""
PROCESS = 400 * 2**20
"""Python, torch and its libraries."""


def training_bytes(config: NetworkConfig, num_positions: int, *, trains_all: bool, is_recomputing: bool) -> int:
    """Bytes of weights, gradients, AdamW's two moments and activations in float32; see `ModelBackend.training_bytes`.

    >>> nano = NetworkConfig(vocab_size=3072, context_length=256, width=256, num_layers=4, num_heads=4)
    >>> round(training_bytes(nano, 16 * 69, trains_all=True, is_recomputing=False) / 2**20)
    573
    """
    state = config.num_parameters * FLOAT * (4 if trains_all else 1)
    layer = KEPT_PER_LAYER * config.width * FLOAT
    layers = config.num_layers * config.width * FLOAT + layer if is_recomputing else config.num_layers * layer
    logits = 2 * config.vocab_size * FLOAT  # and their gradient
    return PROCESS + state + num_positions * (layers + logits)
