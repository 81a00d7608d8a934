"""Checks a batch against its strategy's promises, row by row: rows in order, each end counted once, no padding.

If a strategy breaks one of these, the model never stops, or learns another row's answers, while the loss looks normal.
So every batch of a run is checked, not only a sample.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sftframe.errors import PluginError
from sftframe.interfaces import IGNORED, CollateStrategy
from sftframe.records import Batch, Role, TokenizedExample
from sftframe.stages.batches.counting import counted_weights


def check_rows(strategy: CollateStrategy, batch: Batch, examples: Sequence[TokenizedExample]) -> None:
    """Check that every row contains its example, shifted by one, and that padding and ends count as they should.

    Raises:
        PluginError: they do not; the message names the strategy, the example and what is wrong.
    """
    width = batch.inputs.shape[1]
    wanted_indices = tuple(example.index for example in examples)
    if batch.indices and tuple(batch.indices) != wanted_indices:
        raise _broken(
            strategy, f"made rows of the examples {list(batch.indices)} out of {list(wanted_indices)}", _ORDER
        )
    lengths = torch.tensor([len(example.ids) - 1 for example in examples])
    if int(lengths.max()) > width:
        longest = examples[int(lengths.argmax())]
        raise _broken(strategy, f"cut example {longest.index} to {width} positions", _CUT)
    is_text = torch.arange(width) < lengths[:, None]  # (B, T)
    targets = _next_ids(examples, width)
    counted = counted_weights(batch) > 0  # (B, T)
    wrong = (batch.targets != targets) & (batch.targets != IGNORED) & is_text
    if (row := _first_row(wrong)) is not None:
        expected = (
            f"expected the id that comes next, or {IGNORED}; rows start at the first position, padding comes after"
        )
        raise _broken(strategy, f"gave example {examples[row].index} other targets than its ids", expected)
    if not strategy.padding_weight > 0 and (row := _first_row(counted & ~is_text)) is not None:
        number = int((counted & ~is_text)[row].sum())
        found = f"counts {number} padding targets of example {examples[row].index}"
        raise _broken(strategy, found, f"expected the target {IGNORED} there, or a padding_weight over 0")
    if strategy.role_weight(Role.END) > 0:
        _check_ends(strategy, counted, examples)


def _check_ends(strategy: CollateStrategy, counted: Tensor, examples: Sequence[TokenizedExample]) -> None:
    for row, example in enumerate(examples):
        last = len(example.ids) - 2
        if example.num_truncated or example.roles[-1] != Role.END or last < 0 or counted[row, last]:
            continue
        expected = (
            "expected it to count once, or a role_weight of 0 for Role.END; recognise padding by length, never by id"
        )
        raise _broken(strategy, f"does not count the end token of example {example.index}", expected)


_CUT = "set tokens.max_length and tokens.over_long, which cut rows and count what they cut"
_ORDER = "expected rows in the order given"


def _broken(strategy: CollateStrategy, found: str, expected: str) -> PluginError:
    return PluginError(f"collate strategy {strategy.name!r} {found}; {expected}")


def _next_ids(examples: Sequence[TokenizedExample], width: int) -> Tensor:
    """The id that follows each position: int64 (B, T), 0 after a row's end."""
    targets = torch.zeros(len(examples), width, dtype=torch.int64)
    for row, example in enumerate(examples):
        targets[row, : len(example.ids) - 1] = torch.as_tensor(example.ids, dtype=torch.int64)[1:]
    return targets


def _first_row(wrong: Tensor) -> int | None:
    rows = wrong.any(dim=1).nonzero()
    return int(rows[0]) if len(rows) else None
