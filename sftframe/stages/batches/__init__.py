"""Which examples form which batch, and what a batch really counts.

The order of an epoch is a function of seed and epoch alone, so a run can be stopped and resumed anywhere. What counts
is measured on the batches that are trained on, and compared with what the collate strategy promises.
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
