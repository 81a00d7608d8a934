"""Fine-tuning: batches with counted targets, optimizer steps, checkpoints, LoRA.

The order of an epoch depends only on seed and epoch, so a run can be stopped and resumed anywhere.
"""

from sftframe.training.batches import (
    LABELS,
    PADDING,
    StepLoader,
    TargetCounts,
    batch_on,
    batch_rows,
    check_promise,
    collate,
    counted_weights,
    epoch_order,
    evaluation_batches,
    target_roles,
    to_device,
)
from sftframe.training.checkpoints import Checkpoint
from sftframe.training.lora import LoraAdapters, check_lora, check_lora_package
from sftframe.training.trainer import Trainer

__all__ = [
    "LABELS",
    "PADDING",
    "Checkpoint",
    "LoraAdapters",
    "StepLoader",
    "TargetCounts",
    "Trainer",
    "batch_on",
    "batch_rows",
    "check_lora",
    "check_lora_package",
    "check_promise",
    "collate",
    "counted_weights",
    "epoch_order",
    "evaluation_batches",
    "target_roles",
    "to_device",
]
