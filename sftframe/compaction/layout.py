"""Which positions of a batch matter, and its loss as a sum over terms: index arithmetic alone.

All of it happens in the CPU's memory where the batch has a copy there (`Batch.host`), and the results travel to the
batch's device together: a GPU is never asked for a number that the CPU would have to wait for.

Shapes: B rows, T positions, N positions that matter, P of them shared by all rows, R rows with counted targets, S the
longest rest of a row after the shared positions, M positions with a counted target, K loss terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sftframe.plugins import IGNORED
from sftframe.records import Batch
from sftframe.training import to_device


def select_states(x: Tensor, states: Tensor) -> Tensor:
    """(N, C) to (M, C) at increasing, distinct indices; its gradient is a copy, not a scattered addition."""
    if len(states) == len(x):
        return x
    selected: Tensor = _Select.apply(x, states)  # type: ignore[no-untyped-call]
    return selected


class _Select(torch.autograd.Function):
    """Some positions of all; those that were not chosen get a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, chosen: Tensor) -> Tensor:
        ctx.save_for_backward(chosen)
        ctx.num_all = len(x)
        return x.index_select(0, chosen)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (chosen,) = ctx.saved_tensors
        return scattered(grads[0], chosen, ctx.num_all), None


def scattered(grad: Tensor, positions: Tensor, num_all: int) -> Tensor:
    """Rows at their positions; all other rows are zero."""
    return grad.new_zeros(num_all, grad.shape[1]).index_copy_(0, positions, grad)


HEAD_ROWS = 1024
"""Positions whose logits exist at the same time: 200 MB for GPT-2's vocabulary; smaller chunks are slower."""

MIN_SHARED = 4
"""Fewer common first positions are not worth the extra attention call and copies that sharing takes."""


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
    """Per row with counted targets, the positions after the shared beginning; R of them, 0 where none are left."""
    slots: Tensor
    """int64 (N - P,): where each rest position is when the rests stand padded as (rows with a rest, S), flattened."""
    sources: Tensor
    """int64 (rows with a rest * S,): and back; padding slots repeat a neighbour."""
    states: Tensor
    """int64 (M,): positions with a counted target, as indices into N, increasing."""
    term_states: Tensor
    """int64 (K,): per loss term an index into `states`."""
    term_targets: Tensor
    """int64 (K,): per loss term the token id to be predicted."""
    term_weights: Tensor
    """float64 (K,): summed over the rows that share position and target."""
    chunks: tuple[tuple[slice, slice], ...]
    """The states in chunks of `HEAD_ROWS`, and the terms of each chunk."""
    shape: tuple[int, int]
    """(B, T) of the padded batch."""
    counted_positions: Tensor
    """int64 (number of counted targets,): where in the flattened (B, T) they are."""
    counted_terms: Tensor
    """int64 (number of counted targets,): the term of each."""

    @property
    def is_even(self) -> bool:
        """Whether the positions are one row, or rows of one length with nothing in common: nothing to be padded."""
        rests = {length for length in self.rest_lengths if length}
        return not rests or (not self.num_shared and len(rests) == 1)

    def spread(self, term_values: Tensor) -> Tensor:
        """Values of the terms, (K,), at every counted target of the padded batch: (B, T), 0 elsewhere."""
        padded = term_values.new_zeros(self.shape[0] * self.shape[1])
        return padded.index_copy_(0, self.counted_positions, term_values[self.counted_terms]).view(self.shape)

    def on(self, device: torch.device) -> CompactBatch:
        """The same on a device: two copies, whatever the number of tensors."""
        if self.ids.device == device:
            return self
        names = (
            *("ids", "positions", "slots", "sources", "states"),
            *("term_states", "term_targets", "counted_positions", "counted_terms"),
        )
        moved = to_device([getattr(self, name) for name in names], device)
        weights = self.term_weights.float() if device.type == "mps" else self.term_weights  # mps knows no float64
        changes: dict[str, Any] = dict(zip(names, moved, strict=True))
        return replace(self, **changes, term_weights=to_device([weights], device)[0])


def compact(batch: Batch, *, share: bool = True) -> CompactBatch:
    """Find out what of a batch matters.

    Args:
        share: compute a beginning that all rows have in common once; off where a position is not a function of its
            row alone, as under dropout.
    """
    return _compact(batch.host or batch, share=share).on(batch.inputs.device)


def _compact(batch: Batch, *, share: bool) -> CompactBatch:
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
    rest_lengths = is_rest.sum(dim=1)  # (R,)
    return CompactBatch(
        ids=torch.cat([inputs[:1, :num_shared].flatten(), inputs[is_rest]]),
        positions=torch.cat([columns[:num_shared], columns.expand_as(is_rest)[is_rest]]),
        num_shared=num_shared,
        rest_lengths=tuple(rest_lengths.tolist()),
        shape=(counted.shape[0], counted.shape[1]),
        counted_positions=counted.flatten().nonzero().squeeze(1),
        **_padding(rest_lengths),
        **_terms(batch, rows, where),
    )


def _num_shared(inputs: Tensor, lengths: Tensor) -> int:
    """How many first positions all rows have in common, none of them after the longest row's end."""
    if len(inputs) == 1:
        return 0
    same = (inputs == inputs[:1]).all(dim=0)  # (T,)
    common = int(same.long().cumprod(0).sum())
    shared = min(common, int(lengths.max()))
    return shared if shared >= MIN_SHARED else 0


def _padding(lengths: Tensor) -> dict[str, Any]:
    """How rests of these lengths, (R,), become rows of the same length, and come back."""
    lengths = lengths[lengths > 0]
    longest = int(lengths.max()) if len(lengths) else 0
    is_real = torch.arange(longest, device=lengths.device) < lengths[:, None]  # (rows with a rest, S)
    return {
        "slots": is_real.flatten().nonzero().squeeze(1),
        "sources": (is_real.flatten().cumsum(0) - 1).clamp(min=0),
    }


def _terms(batch: Batch, rows: Tensor, where: Tensor) -> dict[str, Any]:
    """The loss terms: counted targets, those with the same position and target taken together."""
    targets = batch.targets[rows]
    counted = targets != IGNORED  # (R, T)
    targets = targets[counted]
    weights = torch.ones(len(targets), device=targets.device) if batch.weights is None else batch.weights[rows][counted]
    spread = int(targets.max()) + 1 if len(targets) else 1
    keys, terms = torch.unique(where[counted] * spread + targets, return_inverse=True)
    states, term_states = torch.unique(keys // spread, return_inverse=True)
    return {
        "chunks": _chunks(term_states, len(states)),
        "states": states,
        "term_states": term_states,
        "term_targets": keys % spread,
        "term_weights": torch.zeros(len(keys), dtype=torch.float64, device=targets.device).index_add_(
            0, terms, weights.double()
        ),
        "counted_terms": terms,
    }


def _chunks(term_states: Tensor, num_states: int) -> tuple[tuple[slice, slice], ...]:
    """States in chunks of `HEAD_ROWS`, and the terms of each; terms are in the order of their states."""
    starts = range(0, num_states, HEAD_ROWS)
    borders = torch.searchsorted(term_states, torch.tensor([*starts, num_states], device=term_states.device)).tolist()
    return tuple(
        (slice(start, min(start + HEAD_ROWS, num_states)), slice(first, last))
        for start, first, last in zip(starts, borders, borders[1:], strict=False)
    )
