"""Lets an unchanged network of transformers compute the positions of a compact batch.

Its layers treat every position by itself, except for attention. They call the attention function that the
configuration names. Ours is registered under a name of its own, without a function that makes masks, so that the
library makes none; what a position may see is in the batch's layout, which arrives as one more argument of `forward`.

Shapes: N positions, H heads of queries, G heads of keys and values, D width of a head, E width of a head's values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from sftframe import GroupedAttention

NAME = "sftframe"
"""What the configuration names while a compact batch is computed."""
ARGUMENT = "sftframe_attention"
"""The argument of `forward` that a network has to pass on to its attention."""


class UnsuitedError(Exception):
    """A network's attention cannot be computed on compact positions."""


class DropoutError(Exception):
    """The attention drops values at random; only padded rows have that."""


class Switch:
    """Which attention a network computes: that of a compact batch, or its own."""

    def __init__(self, module: PreTrainedModel) -> None:
        AttentionInterface.register(NAME, _attend)
        configs = {id(config): config for config in _configs(module)}
        self._before = [(config, config._attn_implementation) for config in configs.values()]

    @contextmanager
    def compact(self, *, stays_on: bool) -> Iterator[None]:
        """Compute compact attention.

        Args:
            stays_on: until `off`, because layers are computed again in the backward pass.
        """
        for config, _ in self._before:
            config._attn_implementation = NAME
        try:
            yield
        finally:
            if not stays_on:
                self.off()

    def off(self) -> None:
        """Let the network use its own attention."""
        for config, name in self._before:
            config._attn_implementation = name


def _configs(module: nn.Module) -> Iterator[Any]:
    for layer in module.modules():
        config = getattr(layer, "config", None)
        if hasattr(config, "_attn_implementation"):
            yield config


_KNOWN = frozenset({"attention_mask", "dropout", "scaling", "sliding_window", "softcap", "s_aux", "is_causal"})
_HARMLESS = frozenset({"position_ids", "position_embeddings", "use_cache", "cache_position", "output_attentions"})


@torch.compiler.disable  # type: ignore[untyped-decorator] # written by hand, and its shapes differ most from batch to batch
def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **given: Any,
) -> tuple[Tensor, None]:
    """(1, H, N, D), (1, G, N, D) and (1, G, N, E) to (1, N, H, E), as transformers calls an attention function.

    Raises:
        UnsuitedError: the layout does not arrive, or the network wants something that is not known here.
    """
    attention = given.pop(ARGUMENT, None)
    if not isinstance(attention, GroupedAttention):
        raise UnsuitedError("its layers do not pass arguments on to their attention")
    if dropout:
        raise DropoutError
    if attention_mask is not None:
        raise UnsuitedError("its attention has a mask of its own")
    _check_known(given)
    if len(query) != 1:
        raise UnsuitedError("its attention changes the batch")
    mixed = attention(
        query[0],
        key[0],
        value[0],
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        window=given.get("sliding_window"),
        softcap=given.get("softcap"),
        sinks=given.get("s_aux"),
    )
    return mixed[None], None


def _check_known(given: Mapping[str, Any]) -> None:
    """Arguments that hold a tensor and that nobody here knows may change the result."""
    strange = [name for name, value in given.items() if isinstance(value, Tensor) and name not in _KNOWN | _HARMLESS]
    if strange:
        raise UnsuitedError(f"its attention takes {', '.join(strange)}")
