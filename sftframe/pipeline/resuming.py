"""How far training came, as a checkpoint and the lines of `metrics.jsonl` tell it; neither is believed unchecked.

Takes what was read of the files, gives records. A run's folder may come from anywhere, and what is wrong in it must end
a resume, or go back to an older checkpoint, before any of it is reckoned with.
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
    """What training writes beside the weights of a checkpoint."""

    last: StepRecord
    """The step behind which it was written."""
    counts: Mapping[str, list[int]]
    """`TargetCounts.state`."""
    is_halving: bool
    """Micro-batches were halved for want of memory."""


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
        raise ConfigError(f"{checkpoint.folder} holds another step than its name says, or counts of other roles")
    return state


def are_metrics(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every line says what it is and behind which step."""
    return all(line.get("kind") in ("step", "eval") and type(line.get("step")) is int for line in lines)
