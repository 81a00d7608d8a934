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

from benchmarks.training_rows import SIZES, VOCABULARY, Shape, batches

Clock = Callable[[], float]

SQUARES = (2048, 4096)
REPEATS = 6


def floor(options: argparse.Namespace) -> Iterator[float]:
    """Seconds of the least possible step, batch by batch."""
    shape = SIZES[options.size]
    clock = time.process_time if options.cpu_time else time.perf_counter
    peak, update = peak_flops(clock), _update_seconds(shape.num_weights, clock)
    for count, batch in enumerate(batches(options)):
        if count == options.steps + 2:
            return
        yield needed_flops(batch, shape) / peak + update


def needed_flops(batch: Any, shape: Shape) -> float:
    """Floating-point operations of a step on this batch, forward and backward, without norms and activations."""
    from sftframe import compact

    layout = compact(batch)
    num_positions, num_states = len(layout.ids), len(layout.states)  # N, M
    attended = 2 * shape.width * float((layout.positions + 1).sum())  # scores and mixing, a multiplication each
    before_last = (shape.num_layers - 1) * (shape.before_attention + shape.after_attention) * num_positions
    last = shape.before_attention * num_positions + shape.after_attention * num_states
    head = VOCABULARY * shape.width * num_states
    multiplications = before_last + last + shape.num_layers * attended + head
    return float(3 * 2 * multiplications)


def peak_flops(clock: Clock) -> float:
    """Floating-point operations a second of the best large float32 matrix product."""
    import torch

    best = 0.0
    for size in SQUARES:
        a, b, out = (torch.randn(size, size) for _ in range(3))
        seconds = _best(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), clock)  # type: ignore[misc]
        best = max(best, 2 * size**3 / seconds)
    return best


def _update_seconds(num_weights: int, clock: Clock) -> float:
    """Seconds of AdamW's fused step over so many values."""
    import torch

    weight = torch.nn.Parameter(torch.randn(num_weights) * 0.02)
    weight.grad = torch.randn(num_weights) * 0.01
    return _best(torch.optim.AdamW([weight], lr=1e-5, fused=True).step, clock)


def _best(work: Callable[[], object], clock: Clock) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = clock()
        work()
        seconds.append(clock() - start)
    return min(seconds)
