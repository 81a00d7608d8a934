"""Exact batch compaction: a padded `Batch` as the positions that matter, each once, and the loss terms on them.

In a causal network a position is a function of the tokens up to it. So positions behind a row's last counted target
change nothing, and where all rows begin alike, the beginning needs computing only once; its keys and values serve all
rows. This is index arithmetic on the batch alone, whichever collate strategy made it, and the loss and its gradients
stay what the padded computation gives, up to the order of additions.

A model uses it in three places:

    layout = compact(batch)
    x = embed(layout.ids, layout.positions)                        # (N, C)
    attend = CompactAttention(layout, num_heads)                   # in every layer: attend(query, key, value)
    loss = weighted_loss(x[layout.states], head_weight, layout)    # in float32

Everything between (norms, linear maps, activations) treats each position by itself and works on (N, C) as it is.

Shapes: B rows, T positions, N positions that matter, P of them shared by all rows, R rows with counted targets, S the
longest rest of a row behind the shared positions, M positions with a counted target, K loss terms, C width, H heads,
D width of a head, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.interfaces.collate import IGNORED
from sftframe.records import Batch

MIN_SHARED = 4
"""Fewer common first positions are not worth the extra attention call and copies that sharing takes."""

HEAD_ROWS = 1024
"""Positions whose logits exist at the same time: 200 MB for GPT-2's vocabulary; smaller chunks are slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactBatch:
    """The positions of a batch that matter, and its loss as a sum over terms."""

    ids: Tensor
    """int64 (N,): the shared beginning, then each row's rest."""
    positions: Tensor
    """int64 (N,): where in its row each id stands."""
    num_shared: int
    """P."""
    rest_lengths: tuple[int, ...]
    """Per row with counted targets, the positions behind the shared beginning; R of them, 0 where none are left."""
    states: Tensor
    """int64 (M,): positions with a counted target, as indices into N, increasing."""
    term_states: Tensor
    """int64 (K,): per loss term an index into `states`."""
    term_targets: Tensor
    """int64 (K,): per loss term the token id to be predicted."""
    term_weights: Tensor
    """float64 (K,): summed over the rows that share position and target."""
    counted: Tensor
    """bool (B, T): where the batch has a counted target."""
    counted_terms: Tensor
    """int64 (number of counted targets,): the term of each, row by row."""

    def spread(self, term_values: Tensor) -> Tensor:
        """Values of the terms, (K,), at every counted target of the padded batch: (B, T), 0 elsewhere."""
        padded = torch.zeros(self.counted.shape, dtype=term_values.dtype, device=term_values.device)
        padded[self.counted] = term_values[self.counted_terms]
        return padded


def compact(batch: Batch, *, share: bool = True) -> CompactBatch:
    """Find out what of a batch matters.

    Args:
        share: compute a beginning that all rows have in common once; off where a position is not a function of its
            row alone, as under dropout.
    """
    counted = batch.targets != IGNORED  # (B, T)
    last = counted.long() * torch.arange(1, counted.shape[1] + 1, device=counted.device)  # (B, T)
    lengths = last.amax(dim=1)  # (B,): 1 + the last counted position
    rows = lengths.nonzero().squeeze(1)  # (R,)
    inputs, lengths = batch.inputs[rows], lengths[rows]
    num_shared = _num_shared(inputs, lengths) if share and len(rows) > 0 else 0
    columns = torch.arange(inputs.shape[1], device=inputs.device)  # (T,)
    is_rest = (columns >= num_shared) & (columns < lengths[:, None])  # (R, T)
    where = is_rest.flatten().cumsum(0).view_as(is_rest) - 1 + num_shared  # (R, T): index into N
    where = torch.where(columns < num_shared, columns, where)
    terms = _terms(batch, rows, where)
    return CompactBatch(
        ids=torch.cat([inputs[:1, :num_shared].flatten(), inputs[is_rest]]),
        positions=torch.cat([columns[:num_shared], columns.expand_as(is_rest)[is_rest]]),
        num_shared=num_shared,
        rest_lengths=tuple(is_rest.sum(dim=1).tolist()),
        counted=counted,
        **terms,
    )


def _num_shared(inputs: Tensor, lengths: Tensor) -> int:
    """How many first positions all rows have in common, none of them behind the longest row's end."""
    if len(inputs) == 1:
        return 0
    same = (inputs == inputs[:1]).all(dim=0)  # (T,)
    common = int(same.long().cumprod(0).sum())
    shared = min(common, int(lengths.max()))
    return shared if shared >= MIN_SHARED else 0


def _terms(batch: Batch, rows: Tensor, where: Tensor) -> dict[str, Tensor]:
    """The loss terms: counted targets, those with the same position and target taken together."""
    targets = batch.targets[rows]
    counted = targets != IGNORED  # (R, T)
    targets = targets[counted]
    weights = torch.ones(len(targets), device=targets.device) if batch.weights is None else batch.weights[rows][counted]
    spread = int(targets.max()) + 1 if len(targets) else 1
    keys, terms = torch.unique(where[counted] * spread + targets, return_inverse=True)
    states, term_states = torch.unique(keys // spread, return_inverse=True)
    return {
        "states": states,
        "term_states": term_states,
        "term_targets": keys % spread,
        "term_weights": torch.zeros(len(keys), dtype=torch.float64, device=targets.device).index_add_(
            0, terms, weights.double()
        ),
        "counted_terms": terms,
    }


class CompactAttention:
    """Causal attention over the positions of a `CompactBatch`: (N, C) queries, keys and values to (N, C)."""

    def __init__(self, layout: CompactBatch, num_heads: int, *, dropout: float = 0.0) -> None:
        self._num_heads = num_heads
        self._dropout = dropout
        self._num_shared = layout.num_shared
        device = layout.ids.device
        lengths = torch.tensor([n for n in layout.rest_lengths if n], dtype=torch.int64, device=device)
        self._num_rows = len(lengths)
        self._longest = int(lengths.max()) if len(lengths) else 0
        is_real = torch.arange(self._longest, device=device) < lengths[:, None]  # (R, S)
        self._slots = is_real.flatten().nonzero().squeeze(1)  # (N - P,): where each rest position is in (R * S)
        sources = is_real.flatten().cumsum(0) - 1  # (R * S,): and back; padding slots repeat a neighbour
        self._sources = sources.clamp(min=0)
        self._is_padded = len(self._slots) < len(self._sources)
        self._mask = self._causal_mask(device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each position sees itself and those before it in its row, the shared beginning included."""
        shared = slice(0, self._num_shared)
        rest = slice(self._num_shared, None)
        parts = []
        if self._num_shared:
            heads = [self._split(x[shared][None]) for x in (query, key, value)]  # each (1, H, P, D)
            parts.append(self._join(self._attend(*heads, is_causal=True)))
        if self._num_rows:
            rows = [self._split(self._padded(x[rest])) for x in (query, key, value)]  # each (R, H, S, D)
            if self._num_shared:
                seen = [
                    torch.cat([first.expand(self._num_rows, -1, -1, -1), own], dim=2)
                    for first, own in zip(heads[1:], rows[1:], strict=True)
                ]  # each (R, H, P + S, D)
                mixed = self._attend(rows[0], *seen, mask=self._mask)
            else:
                mixed = self._attend(*rows, is_causal=True)
            parts.append(self._unpadded(self._join(mixed)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool = False, mask: Any = None
    ) -> Tensor:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=is_causal, dropout_p=self._dropout
        )

    def _causal_mask(self, device: torch.device) -> Tensor:
        """bool (S, P + S), True = seen: all of the shared beginning, and the own rest up to oneself."""
        own = torch.ones(self._longest, self._longest, dtype=torch.bool, device=device).tril()
        return torch.cat([own.new_ones(self._longest, self._num_shared), own], dim=1)

    def _padded(self, x: Tensor) -> Tensor:
        """(N - P, C) to (R, S, C)."""
        if self._is_padded:
            x = _Pad.apply(x, self._sources, self._slots)  # type: ignore[no-untyped-call]
        return x.reshape(self._num_rows, self._longest, -1)

    def _unpadded(self, x: Tensor) -> Tensor:
        """(R * S, C) to (N - P, C)."""
        return select_states(x, self._slots) if self._is_padded else x

    def _split(self, x: Tensor) -> Tensor:
        """(R, S, C) to (R, H, S, D)."""
        return x.view(*x.shape[:2], self._num_heads, -1).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        """(R, H, S, D) to (R * S, C)."""
        return x.transpose(1, 2).flatten(2).flatten(0, 1)


class _Pad(torch.autograd.Function):
    """Rows to slots. Every row has one slot of its own, so its gradient is that slot's: no scattered additions.

    Padding slots hold some row's values. Nothing of them comes back: real positions do not see them under the causal
    mask, and `_Unpad` gives their results no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sources: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        return x.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slots,) = ctx.saved_tensors
        return grads[0].index_select(0, slots), None, None


class _Unpad(torch.autograd.Function):
    """Slots to rows; padding slots get a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.num_slots = x.shape[0]
        return x.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (slots,) = ctx.saved_tensors
        padded = grads[0].new_zeros(ctx.num_slots, grads[0].shape[1])
        return padded.index_copy_(0, slots, grads[0]), None


def select_states(x: Tensor, states: Tensor) -> Tensor:
    """(N, C) to (M, C) at increasing, distinct indices; its gradient is a copy, not a scattered addition."""
    if len(states) == len(x):
        return x
    selected: Tensor = _Unpad.apply(x, states)  # type: ignore[no-untyped-call]
    return selected


def weighted_loss(states: Tensor, head: Tensor, layout: CompactBatch) -> Tensor:
    """Sum of the weighted losses of all terms, a float32 scalar (float64 for float64 states) with gradient.

    Args:
        states: (M, C), the normalised hidden states at `layout.states`.
        head: (V, C), the weight of the linear map to logits.
    """
    terms = layout.term_states, layout.term_targets, layout.term_weights
    loss: Tensor = _HeadLoss.apply(states, head, *terms)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def term_nll(states: Tensor, head: Tensor, layout: CompactBatch) -> Tensor:
    """Negative log-likelihood of every term, (K,), nats, without gradient; see `CompactBatch.spread`."""
    losses = states.new_empty(len(layout.term_targets), dtype=_exact(states.dtype))
    for rows, terms in _chunks(layout.term_states, len(states)):
        logits = _logits(states[rows], head)
        own = layout.term_states[terms] - rows.start
        losses[terms] = logits.logsumexp(dim=1)[own] - logits[own, layout.term_targets[terms]]
    return losses


class _HeadLoss(torch.autograd.Function):
    """Head and cross-entropy as one step: the logits' gradient is made where the logits were, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, head: Tensor, term_states: Tensor, term_targets: Tensor, term_weights: Tensor
    ) -> Tensor:
        needs_grad = any(ctx.needs_input_grad)
        total = states.new_zeros((), dtype=_exact(states.dtype))
        state_grad = torch.empty_like(states) if needs_grad else None
        head_grad = None
        for rows, terms in _chunks(term_states, len(states)):
            logits = _logits(states[rows], head)  # (m, V)
            own, targets = term_states[terms] - rows.start, term_targets[terms]
            weights = term_weights[terms].to(logits.dtype)
            levels = logits.logsumexp(dim=1)  # (m,)
            total += ((levels[own] - logits[own, targets]) * weights).sum()
            if state_grad is None:
                continue
            row_weights = torch.zeros_like(levels).index_add_(0, own, weights)
            grad = logits.sub_(levels[:, None]).exp_().mul_(row_weights[:, None])
            grad.index_put_((own, targets), -weights, accumulate=True)
            grad = grad.to(states.dtype)
            state_grad[rows] = grad @ head.to(states.dtype)
            part = grad.T @ states[rows]
            head_grad = part if head_grad is None else head_grad.add_(part)
        ctx.grads = state_grad, head_grad
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        state_grad, head_grad = ctx.grads
        ctx.grads = None, None
        scale = grads[0]
        states = None if state_grad is None else state_grad * scale.to(state_grad.dtype)
        head = None if head_grad is None else (head_grad * scale.to(head_grad.dtype)).to(ctx.head_dtype)
        return states, head, None, None, None


def _chunks(term_states: Tensor, num_states: int) -> list[tuple[slice, slice]]:
    """States in chunks of `HEAD_ROWS`, and the terms of each; terms are in the order of their states."""
    starts = range(0, num_states, HEAD_ROWS)
    borders = torch.searchsorted(term_states, torch.tensor([*starts, num_states], device=term_states.device)).tolist()
    return [
        (slice(start, min(start + HEAD_ROWS, num_states)), slice(first, last))
        for start, first, last in zip(starts, borders, borders[1:], strict=False)
    ]


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _logits(states: Tensor, head: Tensor) -> Tensor:
    logits = F.linear(states, head.to(states.dtype))
    return logits.to(_exact(states.dtype))
