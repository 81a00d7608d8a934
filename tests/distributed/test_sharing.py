"""Sharing the rows of a batch out over ranks."""

import pytest
import torch

from sftframe import Batch
from sftframe.distributed.sharing import rows_of, share_out, shared_step
from sftframe.records import StepData


def batch(*targets: list[int], weights: list[list[float]] | None = None) -> Batch:
    wanted = torch.tensor(targets)
    given = None if weights is None else torch.tensor(weights)
    inputs = torch.arange(wanted.numel()).view_as(wanted)
    return Batch(inputs=inputs, targets=wanted, weights=given, indices=tuple(range(10, 10 + len(targets))))


def test_ranks_get_rows_by_their_positions_and_not_by_their_number():
    assert share_out([10, 1, 1, 1, 7], 2) == [[0], [1, 2, 3, 4]]


def test_every_row_is_at_one_rank_and_loads_differ_by_at_most_the_longest_row():
    costs = [5, 3, 9, 2, 2, 8, 1, 4, 7]
    shares = share_out(costs, 3)
    assert sorted(row for share in shares for row in share) == list(range(9))
    loads = [sum(costs[row] for row in share) for share in shares]
    assert max(loads) - min(loads) <= 9


def test_a_share_has_its_rows_without_what_comes_after_their_last_counted_target():
    part = rows_of(batch([1, 2, 3, -100], [1, -100, -100, -100], [1, 2, 3, 4]), [0, 1])
    assert part.targets.tolist() == [[1, 2, 3], [1, -100, -100]]
    assert part.inputs.tolist() == [[0, 1, 2], [4, 5, 6]]
    assert part.indices == (10, 11)


def test_a_share_without_rows_is_one_position_that_weighs_nothing():
    part = rows_of(batch([1, 2]), [])
    assert part.inputs.shape == (1, 1)
    assert part.weights is not None
    assert part.weights.tolist() == [[0.0]]


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_all_ranks_have_the_same_number_of_passes_and_the_weight_of_the_whole_step(num_ranks: int):
    step = StepData(
        number=1,
        epoch=0.5,
        micro_batches=(batch([1, 2], [3, 4]), batch([5, -100])),
        weight=5.0,
        num_tokens=8,
        num_examples=3,
    )
    parts = shared_step(step, num_ranks)
    assert [len(part.micro_batches) for part in parts] == [2] * num_ranks
    assert {part.weight for part in parts} == {5.0}
    counted = [int((one.targets != -100).sum()) for part in parts for one in part.micro_batches if one.weights is None]
    assert sum(counted) == 5
