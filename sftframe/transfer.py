"""Batches on their way to a device: tensors of one type travel as one copy that nobody waits for.

Takes tensors in the CPU's memory, gives the same on a device. Knows nothing of models or of what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sftframe.records import Batch


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of one type on a device, copied together; on a CUDA device from pinned memory and without waiting.

    What needs them is queued behind the copy on the device, and torch keeps the pinned memory until it is done.

    >>> [part.tolist() for part in send([torch.tensor([1, 2]), torch.tensor([[3]])], torch.device("cpu"))]
    [[1, 2], [[3]]]
    """
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    # elsewhere a copy that is not waited for may read memory that has been given away meanwhile
    is_pinned = device.type == "cuda"
    moved = (flat.pin_memory() if is_pinned else flat).to(device, non_blocking=is_pinned)
    parts = torch.split(moved, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def batch_on(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; it keeps its copy in the CPU's memory, see `Batch.host`."""
    if batch.inputs.device == device:
        return batch
    inputs, targets = send([batch.inputs, batch.targets], device)
    weights = None if batch.weights is None else send([batch.weights], device)[0]
    return Batch(inputs=inputs, targets=targets, weights=weights, indices=batch.indices, host=batch)
