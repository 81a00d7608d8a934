"""How the ranks keep the weights in training: whole on each while a step is computed, or layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from sftframe.config import TrainConfig
from sftframe.plugins import CausalLM

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """The choice, and why."""

    is_resharding: bool
    """Layer by layer: see `Sharded`."""
    reason: str
    """For the user."""


def choose_parallel(
    config: TrainConfig, model: CausalLM, *, num_ranks: int, activation_bytes: int | None, free_bytes: int
) -> Parallel:
    """Keep the weights whole where the memory suffices, because that sends less; else layer by layer.

    Args:
        activation_bytes: of a rank's rows; None = not known.
        free_bytes: what a rank may take.
    """
    replicated, sharded = rank_bytes(model, num_ranks)
    wanted, known = config.parallel, activation_bytes or 0
    fits = replicated + known <= free_bytes
    is_resharding = wanted == "shard" or (wanted == "auto" and not fits)
    needed = (sharded if is_resharding else replicated) + known
    how = "shard" if is_resharding else "replicate"
    unknown = "" if activation_bytes is not None else " without activations, which this model does not estimate"
    return Parallel(
        is_resharding=is_resharding,
        reason=(
            f"{num_ranks} ranks, train.parallel={how}{' chosen' if wanted == 'auto' else ''}: about "
            f"{needed / GIB:.1f} GiB on each{unknown}, {free_bytes / GIB:.1f} GiB are free"
        ),
    )


def rank_bytes(model: CausalLM, num_ranks: int) -> tuple[int, int]:
    """Bytes of weights, gradients and AdamW's moments on one rank: weights whole during a step, and layer by layer.

    Each rank keeps its part of all four. While a group of weights is computed, it is there whole, and then its
    gradients; the groups are the layers, two at a time, and what is in no layer.
    """
    layers = [num_bytes(layer.parameters()) for layer in model.layers]
    whole = num_bytes(model.module.parameters())
    trained = num_bytes(p for p in model.module.parameters() if p.requires_grad)
    parts = (whole + 3 * trained) // num_ranks
    groups = whole - sum(layers) + 2 * max(layers, default=0)
    return parts + whole + groups, parts + 2 * groups


def num_bytes(parameters: Iterable[nn.Parameter]) -> int:
    """Bytes of parameters."""
    return sum(p.numel() * p.element_size() for p in parameters)
