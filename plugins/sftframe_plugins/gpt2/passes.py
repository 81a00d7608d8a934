"""The three forward passes of cached writing: the shared beginning, the rest of new rows, and the next tokens.

Each is an `Attend` made for one pass; all layers use its indices and masks. Linear maps and norms see real positions
only; padding exists only inside attention.

Shapes: L layers, B rows, T new positions of a row, N new positions of all rows, S columns, P shared positions, H heads,
D width of a head, C = H x D.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe_plugins.gpt2.cache import KeyValueCache
from sftframe_plugins.gpt2.network import GPT2, CausalRows, join_heads, split_heads


def read_shared(network: GPT2, ids: Sequence[int]) -> Tensor:
    """Keys and values of the shared beginning: (L, 2, H, P, D); P is 0 without one."""
    num_layers, num_heads, width = network.config.num_layers, network.config.num_heads, network.config.width
    weight = network.wte.weight
    kept = weight.new_empty(num_layers, 2, num_heads, len(ids), width // num_heads)
    causal = CausalRows(num_heads)

    def attend(layer: int, joined: Tensor) -> Tensor:
        _, key, value = joined.chunk(3, dim=-1)
        kept[layer, 0], kept[layer, 1] = split_heads(key, num_heads)[0], split_heads(value, num_heads)[0]
        return causal(layer, joined)

    if ids:
        # no state is wanted: the last layer computes keys and values only
        network.hidden(torch.tensor([ids], device=weight.device), attend=attend, keep=lambda x: x[:, :0])
    return kept


class Reading:
    """The pass over the positions of new rows after the shared beginning, flattened: (N, C).

    Call `cache.join(lengths)` after it.
    """

    def __init__(self, cache: KeyValueCache, lengths: Sequence[int]) -> None:
        self._cache = cache
        self._num_rows, self._longest = len(lengths), max(lengths)
        device = cache.device
        sizes = torch.tensor(lengths, device=device)
        rows = torch.repeat_interleave(sizes)  # (N,)
        self.last = sizes.cumsum(0) - 1  # (B,): each row's last position among the N
        self._columns = torch.arange(len(rows), device=device) - (self.last + 1 - sizes)[rows]  # (N,)
        first = len(cache.lengths)
        self._rows = first + rows
        self._places = slice(first, first + len(lengths))
        self._slots = rows * self._longest + self._columns  # (N,): where each position is in (B * S)
        own = torch.ones(self._longest, self._longest, dtype=torch.bool, device=device).tril()  # (S, S)
        self._mask = torch.cat([own.new_ones(self._longest, cache.num_shared), own], dim=1)  # (S, P + S)
        self.positions = cache.num_shared + self._columns  # (N,)
        cache.clean(self._longest)

    def __call__(self, layer: int, joined: Tensor) -> Tensor:
        """Keep the new keys and values; each position sees the shared beginning, those before it, and itself."""
        query, key, value = joined.chunk(3, dim=-1)
        cache = self._cache
        cache.put(layer, self._rows, self._columns, key, value)
        seen = cache.columns(layer, self._places, self._longest)  # (B, H, S, D) each
        padded = query.new_zeros(self._num_rows * self._longest, query.shape[-1])
        padded[self._slots] = query
        heads = split_heads(padded.view(self._num_rows, self._longest, -1), cache.num_heads)  # (B, H, S, D)
        if not cache.num_shared:
            mixed = F.scaled_dot_product_attention(heads, *seen, is_causal=True)
        else:
            keys, values = (
                torch.cat([first.expand(self._num_rows, -1, -1, -1), own], dim=2)
                for first, own in zip(cache.shared(layer), seen, strict=True)
            )  # (B, H, P + S, D) each
            mixed = F.scaled_dot_product_attention(heads, keys, values, attn_mask=self._mask)
        return join_heads(mixed).flatten(0, 1)[self._slots]  # (N, C)


class Step:
    """The pass over the next T positions of every row in the cache: (B, T, C).

    Call `cache.advance` after it, with the number of the T positions that each row keeps: the next pass overwrites the
    rest.
    """

    def __init__(self, cache: KeyValueCache, num_new: int = 1) -> None:
        self._cache = cache
        self._num_rows = len(cache.lengths)
        self._stop = max(cache.lengths) + num_new
        lengths = torch.tensor(cache.lengths, device=cache.device)
        columns = lengths[:, None] + torch.arange(num_new, device=cache.device)  # (B, T)
        self._rows = torch.arange(self._num_rows, device=cache.device).repeat_interleave(num_new)  # (B * T,)
        self._columns = columns.flatten()
        self._hidden = self._unseen(columns)
        self.positions = cache.num_shared + columns
        cache.clean(self._stop)

    def __call__(self, layer: int, joined: Tensor) -> Tensor:
        """Keep the new keys and values; each position sees the shared beginning, its row before it, and itself.

        With one query per row, SDPA's kernels are not faster than two products, and two products need no copy of the
        shared keys: the queries of all rows use them in one product.
        """
        query, key, value = joined.chunk(3, dim=-1)
        cache = self._cache
        cache.put(layer, self._rows, self._columns, key.flatten(0, 1), value.flatten(0, 1))
        keys, values = cache.columns(layer, slice(self._num_rows), self._stop)  # (B, H, S, D) each
        heads = split_heads(query, cache.num_heads) * keys.shape[-1] ** -0.5  # (B, H, T, D)
        scores = heads @ keys.transpose(-1, -2)  # (B, H, T, S)
        if self._hidden is not None:
            scores.masked_fill_(self._hidden, float("-inf"))
        if not cache.num_shared:
            return join_heads(_softmax(scores) @ values)
        shared_keys, shared_values = cache.shared(layer)  # (H, P, D) each
        first = self._for_all(heads, shared_keys.transpose(-1, -2))  # (B, H, T, P)
        weights = _softmax(torch.cat([first, scores], dim=-1))  # (B, H, T, P + S)
        of_first, of_own = weights[..., : cache.num_shared], weights[..., cache.num_shared :]
        return join_heads(of_own @ values + self._for_all(of_first, shared_values))

    def _for_all(self, x: Tensor, matrices: Tensor) -> Tensor:
        """Multiply (B, H, T, X) by one matrix a head, (H, X, Y): (B, H, T, Y)."""
        products = x.transpose(0, 1).flatten(1, 2) @ matrices  # (H, B * T, Y)
        return products.view(len(matrices), self._num_rows, -1, products.shape[-1]).transpose(0, 1)

    def _unseen(self, columns: Tensor) -> Tensor | None:
        """bool (B, 1, T, S), True = not seen; None if every new position sees all columns."""
        lengths = self._cache.lengths
        if columns.shape[1] == 1 and min(lengths) == max(lengths):
            return None
        return (torch.arange(self._stop, device=columns.device) > columns[..., None])[:, None]


def _softmax(scores: Tensor) -> Tensor:
    return scores.softmax(dim=-1, dtype=torch.float32).to(scores.dtype)
