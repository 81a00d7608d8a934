"""The examples of each batch, and the targets that really count in it.

The order of an epoch depends only on seed and epoch, so a run can be stopped and resumed anywhere. The counted targets
are measured on the training batches, and compared with the promises of the collate strategy.
"""

from sftframe.stages.batches.collating import collate, evaluation_batches
from sftframe.stages.batches.counting import (
    LABELS,
    PADDING,
    TargetCounts,
    check_promise,
    counted_weights,
    target_roles,
)
from sftframe.stages.batches.loader import StepLoader
from sftframe.stages.batches.order import batch_rows, epoch_order

__all__ = [
    "LABELS",
    "PADDING",
    "StepLoader",
    "TargetCounts",
    "batch_rows",
    "check_promise",
    "collate",
    "counted_weights",
    "epoch_order",
    "evaluation_batches",
    "target_roles",
]
