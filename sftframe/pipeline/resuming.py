"""How far training came, from a checkpoint and the lines of `metrics.jsonl`; both are checked.

A run's folder may come from anywhere. Wrong values in it must stop the resume, or an older checkpoint is used, before
any number is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.checkpoints import Checkpoint
from sftframe.errors import ConfigError
from sftframe.records import StepRecord
from sftframe.stages.batches import LABELS
from sftframe.stored import read_record


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The state that training writes next to the weights of a checkpoint."""

    last: StepRecord
    """The step after which it was written."""
    counts: Mapping[str, list[int]]
    """`TargetCounts.state`."""
    is_halving: bool
    """Micro-batches were halved because memory ran out."""


def read_state(checkpoint: Checkpoint) -> SavedState:
    """The state of a checkpoint.

    Raises:
        ConfigError: it is not what this version of sftframe writes.
    """
    value, last = dict(checkpoint.state), checkpoint.state.get("last")
    if isinstance(last, Mapping):  # JSON has no NaN
        value["last"] = {key: math.nan if found is None else found for key, found in last.items()}
    state = read_record(SavedState, value, checkpoint.folder / "state.json")
    shapes = {key: len(counts) for key, counts in state.counts.items()}
    if state.last.step != checkpoint.step or shapes != {"all": len(LABELS), "counted": len(LABELS)}:
        raise ConfigError(f"{checkpoint.folder} is of another step than its name says, or counts other roles")
    return state


def are_metrics(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every line has its kind and its step."""
    return all(line.get("kind") in ("step", "eval") and type(line.get("step")) is int for line in lines)
