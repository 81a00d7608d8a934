"""The least that a training step can take on this machine: its needed arithmetic at the speed of a large matrix
product, and AdamW's one pass over the weights, both measured here.

Needed is what changes the loss or a gradient: every position that a counted target depends on, once; the head at
counted targets; the last layer's projection and feed-forward there only; two products of the same size for the
gradients of each. The machine's best is taken, so noise counts against the contenders.

Shapes: N positions that matter, M of them with a counted target.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.training_rows import SIZES, batches

SQUARES = (2048, 4096)
REPEATS = 6


def floor(options: argparse.Namespace) -> Iterator[float]:
    """Seconds of the least possible step, batch by batch."""
    from sftframe_plugins.gpt2.network import NetworkConfig

    width, layers, heads = SIZES[options.size]
    config = NetworkConfig(vocab_size=50257, context_length=1024, width=width, num_layers=layers, num_heads=heads)
    peak, update = peak_flops(), _update_seconds(config)
    for count, batch in enumerate(batches(options)):
        if count == options.steps + 2:
            return
        yield needed_flops(batch, config) / peak + update


def needed_flops(batch: Any, config: Any) -> float:
    """Floating-point operations of a step on this batch, forward and backward, without norms and activations.

    Args:
        config: the network's sizes.
    """
    from sftframe import compact

    layout = compact(batch)
    num_positions, num_states = len(layout.ids), len(layout.states)  # N, M
    weights = config.width**2
    attended = 2 * config.width * float((layout.positions + 1).sum())  # scores and mixing, a multiplication each
    full_layer = 12 * weights * num_positions + attended
    last_layer = 3 * weights * num_positions + 9 * weights * num_states + attended
    head = config.vocab_size * config.width * num_states
    multiplications = (config.num_layers - 1) * full_layer + last_layer + head
    return float(3 * 2 * multiplications)


def peak_flops() -> float:
    """Floating-point operations a second of the best large float32 matrix product."""
    import torch

    best = 0.0
    for size in SQUARES:
        a, b, out = (torch.randn(size, size) for _ in range(3))
        seconds = _best(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))  # type: ignore[misc]
        best = max(best, 2 * size**3 / seconds)
    return best


def _update_seconds(config: Any) -> float:
    """Seconds of AdamW's fused step over as many values as the network has."""
    import torch

    weight = torch.nn.Parameter(torch.randn(config.num_parameters) * 0.02)
    weight.grad = torch.randn(config.num_parameters) * 0.01
    return _best(torch.optim.AdamW([weight], lr=1e-5, fused=True).step)


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
