"""Fine-tuning: batches with counted targets, optimizer steps, their loop and its callbacks, checkpoints, LoRA.

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
from sftframe.training.callbacks import Callback, EarlyStopping, Pause, Progress, RunEnd, RunStart, walled
from sftframe.training.checkpoints import Checkpoint
from sftframe.training.fingerprint import weights_hash
from sftframe.training.loop import Evaluation, train
from sftframe.training.lora import LoraAdapters, check_lora, check_lora_package
from sftframe.training.optimizer import FusedAdamW, OptimizerStep
from sftframe.training.parts import Spread, TrainingParts, make_trainer, training_parts
from sftframe.training.passes import Passes
from sftframe.training.trainer import Trainer

__all__ = [
    "LABELS",
    "PADDING",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Evaluation",
    "FusedAdamW",
    "LoraAdapters",
    "OptimizerStep",
    "Passes",
    "Pause",
    "Progress",
    "RunEnd",
    "RunStart",
    "Spread",
    "StepLoader",
    "TargetCounts",
    "Trainer",
    "TrainingParts",
    "batch_on",
    "batch_rows",
    "check_lora",
    "check_lora_package",
    "check_promise",
    "collate",
    "counted_weights",
    "epoch_order",
    "evaluation_batches",
    "make_trainer",
    "target_roles",
    "to_device",
    "train",
    "training_parts",
    "walled",
    "weights_hash",
]
