"""Finds out how a model's answers can be written quickly and exactly: by trying it, not by the model's name.

Two or three short texts of different lengths are read and continued for a few tokens in each way, and the logits are
compared with those of the model without a cache.

Shapes: N positions, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
        if kind is not RowNetwork:
            return _Trial(kind(module, NUM_NEEDED), module).is_right()
        masks = _Masks()
        return _Trial(RowNetwork(module, NUM_NEEDED, masks.watch()), module).is_right() and masks.are_known(
            context_length
        )
    return False


class _Trial:
    """Texts that are read and continued by a network, and what the plain model says."""

    def __init__(self, network: ModelNetwork, module: nn.Module) -> None:
        self._network, self._module = network, module
        self._num_ids = _num_ids(module)
        self._shared = self._ids(0, 2) if network.can_share else []
        self._texts: list[list[int]] = []
        self._places: list[int] = []  # which text the row at each place of the network is
        self._found: list[tuple[int, int, Tensor]] = []  # a text, a position in it, and the logits there
        is_half = next(module.parameters()).dtype in (torch.float16, torch.bfloat16)
        self._tolerance = ROUGH_TOLERANCE if is_half else TOLERANCE

    def is_right(self) -> bool:
        """Whether all logits are right: after reading, after a row has joined, after two steps, and after one left."""
        network = self._network
        network.open(self._shared, 3, NUM_NEEDED - len(self._shared))
        self._read([self._ids(10, 4), self._ids(20, 4 if network.needs_equal_lengths else 2)])
        if network.can_join:
            self._read([self._ids(30, 3)])
        for step in range(2):
            self._write(step)
            network.drop(0)
            self._places[0] = self._places[-1]
            self._places.pop()
        network.close()
        return self._agree()

    def _read(self, texts: list[list[int]]) -> None:
        logits = self._network.read(texts)  # (B, V)
        for text, row in zip(texts, logits, strict=True):
            self._places.append(len(self._texts))
            self._texts.append(text)
            self._note(self._places[-1], row)

    def _write(self, step: int) -> None:
        """Continue every row by one token or two."""
        counts = [1 + (place + step) % 2 if self._network.can_guess else 1 for place in range(len(self._places))]
        news = [self._ids(40 + 10 * step + place, count) for place, count in enumerate(counts)]
        logits = iter(self._network.write(news))  # (N, V)
        for number, new in zip(self._places, news, strict=True):
            for token_id in new:
                self._texts[number].append(token_id)
                self._note(number, next(logits))
        self._network.advance(counts)

    def _note(self, number: int, logits: Tensor) -> None:
        self._found.append((number, len(self._shared) + len(self._texts[number]) - 1, logits.float()))

    def _agree(self) -> bool:
        """Whether the found logits are those of the plain model, as far as rounding lets them."""
        plain = [self._plain(self._shared + text) for text in self._texts]
        longest = self._shared + self._texts[0]
        changed = [*((token_id + 1) % self._num_ids for token_id in longest[:-1]), longest[-1]]
        effect = (plain[0][-1] - self._plain(changed)[-1]).abs().max()  # of the tokens before the last one
        errors = torch.stack([(logits - plain[number][at]).abs().max() for number, at, logits in self._found])
        return bool((errors.max() <= self._tolerance * effect) & (effect > 0))

    def _ids(self, start: int, count: int) -> list[int]:
        return [(3 + 7 * (start + number)) % self._num_ids for number in range(count)]

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


class _Masks:
    """The rules of the masks that the layers of a model would use, beside the windows that they tell the attention.

    A short trial cannot see what a mask does far away, so the rules themselves are compared over the whole context.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[Any, int | None]] = set()

    def watch(self) -> str:
        """The name of an attention function that works as usual and looks at the rules."""

        def observe(layer: nn.Module, *args: Any, **rules: Any) -> Any:
            self._seen.add((args[3], rules.get("sliding_window")))
            return cached_attention(layer, *args, **rules)

        def rule_of(*, mask_function: Rule, **_: Any) -> Rule:
            return mask_function

        AttentionInterface.register(OBSERVED, observe)
        AttentionMaskInterface.register(OBSERVED, rule_of)
        return OBSERVED

    def are_known(self, context_length: int) -> bool:
        """Whether every layer's mask is the one that the attention function makes from `sliding_window`."""
        return bool(self._seen) and all(_is_known(rule, window, context_length) for rule, window in self._seen)


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
