"""Whether a run will fit into memory and onto the disk, checked before anything expensive."""

from __future__ import annotations

import psutil

from sftframe.config import RunConfig
from sftframe.errors import TrainingError
from sftframe.interfaces import CausalLM, ModelBackend


def check_memory(config: RunConfig, backend: ModelBackend, *, longest: int, device: str) -> None:
    """Check that weights, gradients, AdamW's moments and activations fit.

    Args:
        longest: tokens of the longest training example.

    Raises:
        TrainingError: they do not, by the backend's own estimate.
    """
    settings = config.train
    needed = backend.training_bytes(
        settings.batch_size * longest,
        trains_all=settings.lora is None,
        is_recomputing=settings.gradient_checkpointing,
    )
    free = free_memory(device)
    if needed is None or needed <= free:
        return
    raise TrainingError(
        f"{config.model.name} in float32 with AdamW and batches of {settings.batch_size} x {longest} tokens needs "
        f"about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free: lower --batch-size (and raise "
        "train.accumulate), set train.gradient_checkpointing=true or train.lora.rank=16, choose a smaller model, or "
        "continue with --skip-memory-check"
    )


def disk_bytes(model: CausalLM, config: RunConfig) -> int:
    """Disk that a run takes for its model and its checkpoints; all else is small."""
    num_bytes = sum(p.numel() * p.element_size() for p in model.module.parameters())
    # a checkpoint has weights and both of AdamW's moments; a new one is written before an old one is deleted
    kept = config.train.keep_checkpoints
    num_checkpoints = kept + 1 if kept else 0
    num_copies = 1 + 3 * num_checkpoints + (num_checkpoints or 2 if config.train.keeps_best else 0)
    return num_bytes * num_copies


def free_memory(device: str) -> int:
    """Bytes that a program may still take on a device."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
