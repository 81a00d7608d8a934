"""Checkpoints of several processes, by torch's distributed checkpoint: each process writes its parts as safetensors.

The files say where each part belongs, so any number of processes can read them, one too. Names are `module.<weight>`
and `optimizer.<parameter number>.<moment>`. Nothing is a pickle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from sftframe.files import DiskError

WEIGHT = "module."
MOMENT = "optimizer."

MODULE_FILE = "module.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
"""The files of a checkpoint that one process wrote; several write `shard-….safetensors`."""


def is_sharded(folder: Path) -> bool:
    """Whether several processes wrote a checkpoint."""
    return any(folder.glob("shard-*.safetensors"))


def write(folder: Path, parts: Mapping[str, Tensor]) -> None:
    """Write this process's parts into a folder that all processes see. All of them must call it.

    Args:
        parts: a `DTensor` is written in parts, any other tensor by one of the processes.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        save(dict(parts), storage_writer=writer)
    except CheckpointException as error:
        reasons = sorted({f"rank {rank}: {reason}" for rank, (reason, _) in error.failures.items()})
        raise DiskError(f"cannot write {folder}: {'; '.join(reasons)}") from error


def read_parts(folder: Path, parts: Mapping[str, Tensor]) -> None:
    """Read this process's parts, of a checkpoint that any number of processes wrote. All must call it.

    Args:
        parts: filled in place.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    if is_sharded(folder):
        try:
            load(dict(parts), storage_reader=HuggingFaceStorageReader(str(folder)))
        except CheckpointException as error:
            raise ValueError("; ".join(sorted({str(reason) for reason, _ in error.failures.values()}))) from error
        return
    for file, prefix in ((MODULE_FILE, WEIGHT), (OPTIMIZER_FILE, MOMENT)):
        with safe_open(str(folder / file), framework="pt") as found:
            twins = found.metadata() or {}  # of a weight that is tied to another one, the other's name
            for name, part in parts.items():
                if name.startswith(prefix):
                    key = name.removeprefix(prefix)
                    put(part, found.get_tensor(key if key in found.keys() else twins[key]))  # noqa: SIM118


def put(part: Tensor, whole: Tensor) -> None:
    """Copy a process's part of a whole tensor.

    Raises:
        ValueError: they are of different shapes.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    if part.shape != whole.shape:
        raise ValueError(f"expected the shape {tuple(part.shape)}, found {tuple(whole.shape)}")
    with torch.no_grad():
        if not isinstance(part, DTensor):
            part.copy_(whole)
            return
        placed = distribute_tensor(whole.to(part.device), part.device_mesh, part.placements, src_data_rank=None)
        part.to_local().copy_(placed.to_local())


def read_whole(folder: Path) -> dict[str, Tensor]:
    """Everything that the processes wrote, as whole tensors by name; for one process alone."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(folder))
    described = reader.read_metadata().state_dict_metadata
    tensors = {
        name: torch.empty(one.size, dtype=one.properties.dtype)
        for name, one in described.items()
        if isinstance(one, TensorStorageMetadata)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that there is one process
        load(dict(tensors), storage_reader=reader, no_dist=True)
    return tensors
