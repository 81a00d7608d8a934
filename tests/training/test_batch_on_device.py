"""Batches on their way to a device; torch's `meta` device stands for one that is not the CPU."""

from __future__ import annotations

import torch

from sftframe import Batch
from sftframe.training import batch_on, to_device

META = torch.device("meta")


def test_tensors_sent_together_keep_their_shapes_and_values() -> None:
    tensors = [torch.tensor([[1, 2], [3, 4]]), torch.tensor([], dtype=torch.int64), torch.tensor([5])]
    assert [part.tolist() for part in to_device(tensors, torch.device("cpu"))] == [[[1, 2], [3, 4]], [], [5]]


def test_a_batch_on_its_device_stays_as_it_is() -> None:
    batch = Batch(inputs=torch.tensor([[1, 2]]), targets=torch.tensor([[2, 3]]))
    assert batch_on(batch, torch.device("cpu")) is batch


def test_a_batch_that_travels_keeps_the_hosts_copy() -> None:
    weights = torch.tensor([[0.5, 1.0]])
    batch = Batch(inputs=torch.tensor([[1, 2]]), targets=torch.tensor([[2, 3]]), weights=weights, indices=(7,))
    moved = batch_on(batch, META)
    assert moved.host is batch
    assert moved.indices == (7,)
    assert moved.weights is not None
    for tensor, dtype in ((moved.inputs, torch.int64), (moved.targets, torch.int64), (moved.weights, torch.float32)):
        assert (tensor.device, tensor.dtype, tensor.shape) == (META, dtype, (1, 2))
