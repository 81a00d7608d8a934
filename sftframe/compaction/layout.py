"""Which positions of a batch matter, and its loss as a sum over terms: index arithmetic alone.

Shapes: B rows, T positions, N positions that matter, P of them shared by all rows, R rows with counted targets, M
positions with a counted target, K loss terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sftframe.interfaces.collate import IGNORED
from sftframe.records import Batch

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
