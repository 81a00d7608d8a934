"""The order of an epoch is torch's own, and a function of seed and epoch alone."""

import pytest
import torch
from torch.utils.data import DataLoader

from sftframe.training import batch_rows, epoch_order


@pytest.mark.parametrize(("seed", "size"), [(123, 935), (0, 7), (2**40, 64)])
def test_it_is_the_order_of_a_shuffling_data_loader_epoch_after_epoch(seed: int, size: int) -> None:
    torch.manual_seed(seed)
    loader = DataLoader(range(size), batch_size=4, shuffle=True)
    passes = [[int(i) for batch in loader for i in batch] for _ in range(4)]
    assert [epoch_order(size, seed=seed, epoch=epoch) for epoch in range(4)] == passes


def test_it_leaves_torchs_own_random_numbers_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    epoch_order(100, seed=1, epoch=2)
    assert torch.rand(3).equal(wanted)


def test_without_shuffling_it_is_the_order_of_the_file() -> None:
    assert epoch_order(4, seed=1, epoch=3, shuffle=False) == [0, 1, 2, 3]


def test_every_example_comes_once_an_epoch() -> None:
    assert sorted(epoch_order(50, seed=9, epoch=6)) == list(range(50))


def test_the_last_batch_is_smaller_or_left_out() -> None:
    assert list(batch_rows([4, 2, 0, 1, 3], 2)) == [[4, 2], [0, 1], [3]]
    assert list(batch_rows([4, 2, 0, 1, 3], 2, drop_last=True)) == [[4, 2], [0, 1]]


def test_a_last_batch_that_is_full_stays() -> None:
    assert list(batch_rows([1, 0], 2, drop_last=True)) == [[1, 0]]
