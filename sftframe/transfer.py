"""Copies of batches to a device: one copy for all tensors of one type, and the CPU does not wait for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sftframe.records import Batch


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of one type on a device, copied together; to a CUDA device from pinned memory and without waiting.

    The device runs later work after the copy, and torch keeps the pinned memory until the copy is done.

    >>> [part.tolist() for part in send([torch.tensor([1, 2]), torch.tensor([[3]])], torch.device("cpu"))]
    [[1, 2], [[3]]]
    """
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    # on other devices a copy without waiting may read memory that is already used for something else
    is_pinned = device.type == "cuda"
    moved = (flat.pin_memory() if is_pinned else flat).to(device, non_blocking=is_pinned)
    parts = torch.split(moved, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def batch_on(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; it keeps the one in the CPU's memory, see `Batch.host`."""
    if batch.inputs.device == device:
        return batch
    inputs, targets = send([batch.inputs, batch.targets], device)
    weights = None if batch.weights is None else send([batch.weights], device)[0]
    return Batch(inputs=inputs, targets=targets, weights=weights, indices=batch.indices, host=batch)
