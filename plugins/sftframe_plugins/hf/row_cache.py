"""A key-value cache of rows of any lengths for models of transformers, and the attention over it.

A model computes everything but attention position by position, so the new positions of all rows go through it as one
row, (1, N), with their true positions. Two things are exchanged: the cache that every layer gives its keys and values
to, and the attention function. No padding and no mask of the model is needed.

Shapes: B rows, T new positions of a row, N of all rows, S kept positions of a row, P shared positions, H heads of
queries, G groups (heads of keys and values), D and E widths of a head's keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.cache_utils import Cache

ATTENTION = "sftframe-cached"
"""The attention function's name in transformers. No mask function has this name, so that no masks are made."""

HOLDER = "sftframe_cache"
"""The attribute of every layer that has the cache."""

CLEANED_AT_ONCE = 32
"""Columns that are added at a time: memory is used as the answers grow, not for their possible length."""

MANY_SCORES = 2**25
"""Scores that are computed at a time, 128 MiB in float32."""


class Kept:
    """Keys and values of one layer.

    Args:
        key, value: the first new ones, (G, N, D) and (G, N, E); only their form counts.
        num_rows: the most rows at a time.
        capacity: columns of a row.
    """

    def __init__(self, key: Tensor, value: Tensor, num_rows: int, capacity: int) -> None:
        self.blocks = tuple(x.new_empty(num_rows, len(x), capacity, x.shape[-1]) for x in (key, value))
        self.shared = tuple(x.new_empty(len(x), 0, x.shape[-1]) for x in (key, value))  # (G, P, D), (G, P, E)
        self._num_clean = 0

    def clean(self, num_columns: int) -> None:
        """Clear new columns: a masked column has weight 0, but 0 times old memory may be NaN."""
        if num_columns > self._num_clean:
            stop = num_columns + CLEANED_AT_ONCE
            for block in self.blocks:
                block[:, :, self._num_clean : stop] = 0.0
            self._num_clean = min(stop, self.blocks[0].shape[2])

    def put(self, rows: Tensor, columns: Tensor, new: tuple[Tensor, Tensor]) -> None:
        """Keep keys and values, (G, N, …) each, in these rows and columns, int64 (N,) each."""
        for block, x in zip(self.blocks, new, strict=True):
            block[rows, :, columns] = x.transpose(0, 1)

    def move(self, source: int, target: int, num_columns: int) -> None:
        """Copy a row over another."""
        for block in self.blocks:
            block[target, :, :num_columns] = block[source, :, :num_columns]


class RowCache(Cache):  # type: ignore[misc]
    """The kept positions of some rows, behind a shared beginning. Layers are added as the model names them.

    Args:
        num_rows: the most rows at a time.
        capacity: columns of a row, without the shared beginning.
    """

    def __init__(self, num_rows: int, capacity: int) -> None:
        super().__init__(layers=[])  # transformers' own layers are not used
        self.num_rows, self.capacity = num_rows, capacity
        self.num_shared = 0
        self.lengths: list[int] = []
        self.kept: dict[nn.Module, Kept] = {}  # by the layer's attention
        self._shared: dict[nn.Module, tuple[Tensor, ...]] = {}
        self._now: Pass | None = None

    def share(self, other: RowCache) -> None:
        """Take the first row of another cache as the beginning of all rows."""
        self.num_shared = other.lengths[0]
        self._shared = {
            layer: tuple(block[0, :, : self.num_shared].clone() for block in kept.blocks)
            for layer, kept in other.kept.items()
        }

    def begin(self, new: Pass) -> None:
        """Have the next forward pass compute these positions."""
        self._now = new

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        """What a layer gives to its cache, and gets back; called by the model.

        Only the attention function keeps keys and values: what a layer gives here may be a compressed form of them.
        """
        return key_states, value_states

    def attend(self, layer: nn.Module, query: Tensor, new: tuple[Tensor, Tensor], **rules: Any) -> Tensor:
        """Keep a layer's new keys and values, (G, N, D) and (G, N, E), and mix the kept values by the queries,
        (H, N, D) to (N, H, E); see `Pass.attend`.
        """
        assert self._now is not None, "`begin` comes first"
        if layer not in self.kept:
            self.kept[layer] = Kept(*new, self.num_rows, self.capacity)
            if self.num_shared:
                self.kept[layer].shared = self._shared.pop(layer)
        kept = self.kept[layer]
        kept.clean(self._now.stop)
        kept.put(self._now.rows, self._now.columns, new)
        return self._now.attend(query, kept, **rules)

    def advance(self, num_new: Sequence[int]) -> None:
        """Keep this number of new positions of each row."""
        self.lengths[:] = [length + new for length, new in zip(self.lengths, num_new, strict=True)]

    def drop(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = len(self.lengths) - 1
        self.lengths[row] = self.lengths[last]
        if row != last:
            for kept in self.kept.values():
                kept.move(last, row, self.lengths[last])
        self.lengths.pop()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """0: a model must not count positions by the cache; it gets them."""
        return 0


class Pass:
    """One forward pass over the next positions of some rows.

    Args:
        cache: has the rows, or room for them after its last one.
        first: place of the first row; the pass computes all rows from there on.
        starts: kept positions of each row before.
        counts: new positions of each row.
        device: of the cache.
    """

    def __init__(
        self, cache: RowCache, first: int, starts: Sequence[int], counts: Sequence[int], device: torch.device
    ) -> None:
        self._num_rows, self._longest = len(counts), max(counts)
        self._places = slice(first, first + len(counts))
        self._num_shared = cache.num_shared
        self.stop = max(start + self._longest for start in starts)
        self.stop = min(self.stop, cache.capacity)
        sizes, befores = torch.tensor(counts, device=device), torch.tensor(starts, device=device)
        owners = torch.repeat_interleave(sizes)  # (N,)
        self.last = sizes.cumsum(0) - 1  # (B,): each row's last position among the N
        within = torch.arange(len(owners), device=device) - (self.last + 1 - sizes)[owners]  # (N,)
        self.rows, self.columns = first + owners, befores[owners] + within  # (N,) each
        self.positions = self._num_shared + self.columns  # (N,)
        self._is_even = min(counts) == self._longest
        self._slots = owners * self._longest + within  # (N,): where each is among (B * T)
        self._are_first = not any(starts)
        self._is_seen_whole = self._longest == 1 and min(starts) == max(starts)
        self._new_columns = befores[:, None] + torch.arange(self._longest, device=device)  # (B, T)
        if self._are_first:
            self._new_columns = self._new_columns[:1]  # the same for all rows
        self._masks: dict[int | None, tuple[Tensor | None, Tensor | None]] = {}

    def attend(
        self,
        query: Tensor,
        kept: Kept,
        *,
        scale: float,
        window: int | None,
        softcap: float | None,
        sinks: Tensor | None,
    ) -> Tensor:
        """Each new position sees the shared beginning, its row before it, and itself: (H, N, D) to (N, H, E).

        Args:
            scale: of the products of queries and keys.
            window: a position sees this many, itself included; None = all.
            softcap: scores are squeezed to this size by tanh.
            sinks: (H,), a further score of each head whose share is lost.
        """
        heads = self._padded(query)  # (B, H, T, D)
        hidden_shared, hidden = self._hidden(window)
        keys, values = (block[self._places, :, : self.stop] for block in kept.blocks)  # (B, G, S, …) each
        if self._longest > 8 and softcap is None and sinks is None:
            mixed = self._fused(heads, (keys, values), kept, scale, hidden_shared, hidden)
        else:
            parts = [
                _mixed(
                    heads[:, :, at],
                    (keys, values),
                    kept.shared,
                    scale,
                    None if hidden_shared is None else hidden_shared[..., at, :],
                    None if hidden is None else hidden[..., at, :],
                    softcap,
                    sinks,
                )
                for at in self._blocks(heads.shape[1])
            ]
            mixed = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)  # (B, H, T, E)
        flat = mixed.transpose(1, 2).flatten(0, 1)  # (B * T, H, E)
        return flat if self._is_even else flat[self._slots]

    def _padded(self, query: Tensor) -> Tensor:
        """(H, N, D) to (B, H, T, D)."""
        each = query.transpose(0, 1)  # (N, H, D)
        if not self._is_even:
            padded = each.new_zeros(self._num_rows * self._longest, *each.shape[1:])
            padded[self._slots] = each
            each = padded
        return each.view(self._num_rows, self._longest, *each.shape[1:]).transpose(1, 2)

    def _blocks(self, num_heads: int) -> list[slice]:
        """The new positions in parts, so that there are never too many scores."""
        size = max(1, MANY_SCORES // (self._num_rows * num_heads * (self._num_shared + self.stop)))
        return [slice(start, min(start + size, self._longest)) for start in range(0, self._longest, size)]

    def _fused(
        self,
        heads: Tensor,
        own: tuple[Tensor, Tensor],
        kept: Kept,
        scale: float,
        hidden_shared: Tensor | None,
        hidden: Tensor | None,
    ) -> Tensor:
        """By torch's fused kernels: (B, H, T, D) to (B, H, T, E)."""
        is_grouped = heads.shape[1] != own[0].shape[1]
        if not self._num_shared and self._are_first and hidden_shared is None and self._is_plain(hidden):
            return F.scaled_dot_product_attention(heads, *own, is_causal=True, scale=scale, enable_gqa=is_grouped)
        assert hidden is not None
        shape = (*hidden.shape[:-1], self._num_shared)
        before = hidden.new_zeros(shape) if hidden_shared is None else hidden_shared.expand(shape)
        seen = ~torch.cat([before, hidden], dim=-1)  # (B or 1, 1, T, P + S)
        keys, values = (
            torch.cat([shared.expand(self._num_rows, -1, -1, -1), rest], dim=2)
            for shared, rest in zip(kept.shared, own, strict=True)
        )  # (B, G, P + S, …) each
        return F.scaled_dot_product_attention(heads, keys, values, attn_mask=seen, scale=scale, enable_gqa=is_grouped)

    def _is_plain(self, hidden: Tensor | None) -> bool:
        """Whether nothing but later positions is hidden."""
        return hidden is not None and hidden is self._masks[None][1]

    def _hidden(self, window: int | None) -> tuple[Tensor | None, Tensor | None]:
        """What is not seen: bool (B or 1, 1, T, P) of the shared beginning and (B or 1, 1, T, S) of the rows; None =
        all of it is seen.
        """
        if None not in self._masks:
            self._masks[None] = (None, self._later())
        if window is not None and self._num_shared + self.stop <= window:
            window = None  # nothing is far enough away
        if window not in self._masks:
            self._masks[window] = self._far(window)
        return self._masks[window]

    def _later(self) -> Tensor | None:
        if self._is_seen_whole:
            return None
        columns = torch.arange(self.stop, device=self.columns.device)
        return (columns > self._new_columns[..., None])[:, None]

    def _far(self, window: int | None) -> tuple[Tensor, Tensor]:
        """As `_hidden`, for a window that leaves something out."""
        assert window is not None
        positions = self._num_shared + self._new_columns[:, None, :, None]  # (B or 1, 1, T, 1)
        kept = torch.arange(self._num_shared + self.stop, device=positions.device)
        hidden = (kept > positions) | (kept <= positions - window)  # (B or 1, 1, T, P + S)
        return hidden[..., : self._num_shared], hidden[..., self._num_shared :]


def _mixed(
    heads: Tensor,
    own: tuple[Tensor, Tensor],
    shared: tuple[Tensor, ...],
    scale: float,
    hidden_shared: Tensor | None,
    hidden: Tensor | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention by two products, (B, H, T, D) to (B, H, T, E).

    With one query per row, the fused kernels are not faster, and two products need no copy of the shared keys: the
    queries of all rows use them in one product. The heads of a group share its keys.
    """
    num_rows, num_heads, num_new, _ = heads.shape
    num_groups, num_shared = len(shared[0]), shared[0].shape[1]
    grouped = (heads * scale).reshape(num_rows, num_groups, -1, heads.shape[-1])  # (B, G, R * T, D)
    scores = grouped @ own[0].transpose(-1, -2)  # (B, G, R * T, S)
    if num_shared:
        scores = torch.cat([_for_all(grouped, shared[0].transpose(-1, -2)), scores], dim=-1)  # (B, G, R * T, P + S)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    by_head = scores.view(num_rows, num_heads, num_new, -1)  # (B, H, T, P + S)
    if hidden is not None:
        by_head[..., num_shared:].masked_fill_(hidden, float("-inf"))
    if hidden_shared is not None and num_shared:
        by_head[..., :num_shared].masked_fill_(hidden_shared, float("-inf"))
    if sinks is not None:
        extra = sinks.to(by_head.dtype)[None, :, None, None].expand(num_rows, -1, num_new, 1)
        by_head = torch.cat([by_head, extra], dim=-1)
    shares = by_head.softmax(dim=-1, dtype=torch.promote_types(torch.float32, heads.dtype)).to(heads.dtype)
    if sinks is not None:
        shares = shares[..., :-1]
    shares = shares.reshape(scores.shape)
    mixed = shares[..., num_shared:] @ own[1]  # (B, G, R * T, E)
    if num_shared:
        mixed += _for_all(shares[..., :num_shared], shared[1])
    return mixed.view(num_rows, num_heads, num_new, -1)


def _for_all(x: Tensor, matrices: Tensor) -> Tensor:
    """Multiply (B, G, Q, X) by one matrix a group, (G, X, Y): (B, G, Q, Y)."""
    products = x.transpose(0, 1).flatten(1, 2) @ matrices  # (G, B * Q, Y)
    return products.view(len(matrices), len(x), -1, products.shape[-1]).transpose(0, 1)


def cached_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: queries (1, H, N, D) to mixed values, (1, N, H, E)."""
    cache: RowCache = getattr(module, HOLDER).cache
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    rules = {"scale": scale, "window": sliding_window, "softcap": softcap, "sinks": s_aux}
    mixed = cache.attend(module, query[0], (key[0], value[0]), **rules)
    return mixed[None], None


class Holder:
    """Where all layers of a model find the cache."""

    def __init__(self) -> None:
        self.cache: RowCache | None = None


def connect(model: nn.Module, name: str = ATTENTION) -> Holder:
    """Have the model attend to a `RowCache`. Its configuration changes, so give a copy."""
    AttentionInterface.register(ATTENTION, cached_attention)
    holder = Holder()
    for module in model.modules():
        setattr(module, HOLDER, holder)
        config = getattr(module, "config", None)
        if config is not None:
            config._attn_implementation = name
    return holder
