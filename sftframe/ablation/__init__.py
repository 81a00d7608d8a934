"""A grid of runs that differ only in what is varied: planned, run, resumed and extended."""

from sftframe.ablation.cells import AblationObserver
from sftframe.ablation.conclusion import conclude, detectable_difference
from sftframe.ablation.elsewhere import Elsewhere
from sftframe.ablation.folder import AblationFolder
from sftframe.ablation.gradients import write_gradient_cosines
from sftframe.ablation.grid import Axis, Cell, Request, read_request, split_axes, split_values
from sftframe.ablation.planning import Cost, Plan, cost, estimated_training_s, make_plan
from sftframe.ablation.running import Ablation, CellResult
from sftframe.ablation.until_decided import Finished, run_and_conclude
from sftframe.plugins import CellEvent

__all__ = [
    "Ablation",
    "AblationFolder",
    "AblationObserver",
    "Axis",
    "Cell",
    "CellEvent",
    "CellResult",
    "Cost",
    "Elsewhere",
    "Finished",
    "Plan",
    "Request",
    "conclude",
    "cost",
    "detectable_difference",
    "estimated_training_s",
    "make_plan",
    "read_request",
    "run_and_conclude",
    "split_axes",
    "split_values",
    "write_gradient_cosines",
]
