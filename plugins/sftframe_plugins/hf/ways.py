"""Finds out how a model's answers can be written quickly and exactly: by trying it, not by the model's name.

Two or three short texts of different lengths are read and continued for a few tokens in each way, and the logits are
compared with those of the model without a cache.

Shapes: N positions, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from sftframe_plugins.hf.caching import EqualNetwork, ModelNetwork, PaddedNetwork, PlainNetwork, RowNetwork, twin_of
from sftframe_plugins.hf.row_cache import cached_attention

TOLERANCE = 1e-4
"""Largest error of a logit in float32, as a share of what other tokens before it change: errors of rounding were below
4e-5, those of a wrong mask, position or state above 6e-4.
"""

ROUGH_TOLERANCE = 0.1
"""As `TOLERANCE`, for models in half precision that are too large for a copy in float32."""

MOST_COPIED = 2**30
"""Bytes of a copy in float32 that is made to try a model that is in half precision."""

NUM_NEEDED = 12
"""Positions that the trial takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a model's answers are written."""

    kind: type[ModelNetwork]
    cached_length: int
    """The longest text for which a cache is right."""

    def network(self, module: nn.Module) -> ModelNetwork:
        """The module, ready to read prompts."""
        return self.kind(module, self.cached_length)


@torch.inference_mode()
def find_way(module: nn.Module, context_length: int) -> Way:
    """The fastest way that is exact for this model.

    Args:
        module: a causal language model of transformers. It stays as it is.
    """
    plain = Way(kind=PlainNetwork, cached_length=0)
    if context_length < NUM_NEEDED:
        return plain
    tried = _for_trial(module)
    for kind in (RowNetwork, PaddedNetwork, EqualNetwork):
        if _is_exact(kind, tried, context_length):
            length = _steady_length(tried, context_length)
            return Way(kind=kind, cached_length=length) if length >= NUM_NEEDED else plain
    return plain


def _for_trial(module: nn.Module) -> nn.Module:
    """A twin; in float32 if it is in half precision and not too large."""
    parameters = list(module.parameters())
    is_half = parameters[0].dtype in (torch.float16, torch.bfloat16)
    if is_half and 4 * sum(parameter.numel() for parameter in parameters) <= MOST_COPIED:
        return copy.deepcopy(module).float().eval()
    return twin_of(module)


def _is_exact(kind: type[ModelNetwork], module: nn.Module, context_length: int) -> bool:
    """Whether a way gives the logits of the plain computation. A way that a model cannot go at all fails too."""
    with suppress(Exception):  # code of any model with a cache that it may not know: anything may be raised
        is_close = _Trial(module).run(kind)
        return is_close and (kind is not RowNetwork or has_known_masks(module, context_length))
    return False


class _Trial:
    """Texts that are read and continued, and what the plain model says."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._num_ids = _num_ids(module)
        dtype = next(module.parameters()).dtype
        self._tolerance = ROUGH_TOLERANCE if dtype in (torch.float16, torch.bfloat16) else TOLERANCE

    def run(self, kind: type[ModelNetwork]) -> bool:
        """Whether all logits are right: after reading, after a row has joined, after two steps, and after one left."""
        network = kind(self._module, NUM_NEEDED)
        if not self._effect > 0:
            return False
        shared = self._ids(0, 2) if network.can_share else []
        texts = [self._ids(10, 4), self._ids(20, 4 if network.needs_equal_lengths else 2)]
        network.open(shared, 3, NUM_NEEDED - len(shared))
        is_right = self._agree(network.read(texts), shared, texts, [1, 1])
        if network.can_join:
            texts.append(self._ids(30, 3))
            is_right &= self._agree(network.read(texts[2:]), shared, texts[2:], [1])
        for step in range(2):
            counts = [1 + (row + step) % 2 if network.can_guess else 1 for row in range(len(texts))]
            news = [self._ids(40 + 10 * step + row, count) for row, count in enumerate(counts)]
            texts = [text + new for text, new in zip(texts, news, strict=True)]
            is_right &= self._agree(network.write(news), shared, texts, counts)
            network.advance(counts)
            network.drop(0)
            texts[0] = texts[-1]
            texts.pop()
        network.close()
        return is_right

    def _ids(self, start: int, count: int) -> list[int]:
        return [(3 + 7 * (start + number)) % self._num_ids for number in range(count)]

    def _agree(self, found: Tensor, shared: list[int], texts: Sequence[list[int]], counts: Sequence[int]) -> bool:
        """Whether the logits (N, V) are those of the last positions of each text."""
        expected = torch.cat([self._plain(shared + text)[-count:] for text, count in zip(texts, counts, strict=True)])
        return bool((found - expected).abs().max() <= self._tolerance * self._effect)

    @cached_property
    def _effect(self) -> float:
        """How much the tokens before the last one change its logits."""
        ids = self._ids(50, 5)
        return float((self._plain(ids)[-1] - self._plain(self._changed(ids))[-1]).abs().max())

    def _changed(self, ids: list[int]) -> list[int]:
        """The text with other tokens before its last one."""
        return [*((token_id + 1) % self._num_ids for token_id in ids[:-1]), ids[-1]]

    def _plain(self, ids: list[int]) -> Tensor:
        """(N, V), without a cache."""
        device = next(self._module.parameters()).device
        logits: Tensor = self._module(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0]
        return logits.float()


def _num_ids(module: Any) -> int:
    """Rows of the embedding."""
    num_ids: int = module.get_input_embeddings().weight.shape[0]
    return num_ids


OBSERVED = "sftframe-observed"
"""As `row_cache.ATTENTION`, but the rules of the masks that a model would make reach the attention function."""

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Whether a query may see a key, from batch, head, query and key indices."""

NUM_SAMPLED = 32
"""Queries for which the rules are compared over all keys."""


def has_known_masks(module: nn.Module, context_length: int) -> bool:
    """Whether every layer's mask is the one that the attention function makes from `sliding_window`.

    A short trial cannot see what a mask does far away: the rules themselves are compared over the whole context.
    """
    seen: list[tuple[Any, int | None]] = []

    def observe(layer: nn.Module, *args: Any, **rules: Any) -> Any:
        seen.append((args[3], rules.get("sliding_window")))
        return cached_attention(layer, *args, **rules)

    def rule_of(*, mask_function: Rule, **_: Any) -> Rule:
        return mask_function

    AttentionInterface.register(OBSERVED, observe)
    AttentionMaskInterface.register(OBSERVED, rule_of)
    network = RowNetwork(module, NUM_NEEDED, OBSERVED)
    network.open([], 1, 2)
    network.read([[1, 2]])
    network.close()
    return bool(seen) and all(_is_known(rule, window, context_length) for rule, window in set(seen))


def _is_known(rule: Any, window: int | None, context_length: int) -> bool:
    if not callable(rule):
        return False
    queries = torch.linspace(0, context_length - 1, NUM_SAMPLED).long()[:, None]
    keys = torch.arange(context_length)[None]
    expected = keys <= queries
    if window is not None:
        expected &= keys > queries - window
    zero = torch.zeros(1, 1, dtype=torch.long)
    return torch.equal(rule(zero, zero, queries, keys).expand_as(expected), expected)


def _steady_length(module: nn.Module, context_length: int) -> int:
    """The longest text in which a position's states do not depend on the text's length.

    Some rotary embeddings are scaled by the longest position: what a cache keeps would be wrong in a longer text.
    """
    with suppress(Exception):  # a model that takes no positions
        if _is_steady(module, context_length):
            return context_length
        low, high = 2, context_length  # steady, and not steady
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _is_steady(module, middle) else (low, middle)
        return low
    return context_length


def _is_steady(module: nn.Module, length: int) -> bool:
    """Whether a far position leaves the logits at the first two as they are."""
    device = next(module.parameters()).device
    ids = torch.tensor([[5, 3, 4]], device=device) % _num_ids(module)
    positions = torch.tensor([[0, 1, length - 1]], device=device)
    near = module(input_ids=ids[:, :2], position_ids=positions[:, :2], use_cache=False).logits[0, :2].float()
    far = module(input_ids=ids, position_ids=positions, use_cache=False).logits[0, :2].float()
    return torch.allclose(near, far, rtol=1e-4, atol=1e-4 * float(near.abs().max()))
