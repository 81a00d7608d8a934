"""A grid of runs that differ only in what is varied: planned, run, resumed and extended."""

from sftframe.ablation.config import AblateConfig, Request, read_request
from sftframe.ablation.folder import AblationFolder
from sftframe.ablation.grid import Arm, Axis, Cell, Grid, split_axes, split_values
from sftframe.ablation.planning import Plan, make_plan
from sftframe.ablation.progress import AblationObserver, CellEvent
from sftframe.ablation.running import Ablation, CellResult

__all__ = [
    "AblateConfig",
    "Ablation",
    "AblationFolder",
    "AblationObserver",
    "Arm",
    "Axis",
    "Cell",
    "CellEvent",
    "CellResult",
    "Grid",
    "Plan",
    "Request",
    "make_plan",
    "read_request",
    "split_axes",
    "split_values",
]
