"""The best evaluation, its weights, and whether it is time to stop early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from sftframe import checkpoints
from sftframe.files import DiskError, disk


class BestWeights:
    """Watches the response NLL on the validation examples and keeps the weights of its lowest value.

    They are next to the checkpoints as `best-N`, N the step. Replaced best weights stay until the next checkpoint, so
    that a run can go back to any checkpoint and finds the best weights before it.

    Args:
        folder: where the checkpoints are.
        patience: evaluations in a row without a new best after which to stop; None = never.
        past: lines of `metrics.jsonl` from before an interruption.
    """

    def __init__(self, folder: Path, *, patience: int | None = None, past: Iterable[Mapping[str, Any]] = ()) -> None:
        self._folder = folder
        self._patience = patience
        self._seen = _evaluations(past)

    @property
    def is_over(self) -> bool:
        """Whether the last `patience` evaluations were no better than the best before them.

        >>> best = BestWeights(Path("checkpoints"), patience=2)
        >>> best._seen = [(2, 3.0), (4, 2.0), (6, 2.5), (8, 2.1)]
        >>> best.is_over
        True
        """
        best = _best_step(self._seen)
        num_since = sum(best is not None and step > best for step, _ in self._seen)
        return self._patience is not None and num_since >= self._patience

    def observe(self, step: int, response_nll: float, module: torch.nn.Module) -> None:
        """Read an evaluation of the module, and keep the weights if it is the best so far.

        Raises:
            DiskError: they cannot be written.
        """
        self._seen.append((step, response_nll))
        if _best_step(self._seen) == step:
            checkpoints.save_weights(self._place(step), module)

    def forget_others(self) -> None:
        """Delete all weights but the best, and the best before each checkpoint that is kept."""
        ends = [*checkpoints.steps(self._folder), self._seen[-1][0]] if self._seen else []
        wanted = {self._place(step) for end in ends if (step := _best_step(self._seen, end)) is not None}
        for path in self._folder.glob("best-*"):
            if path not in wanted:
                with suppress(OSError):  # the next checkpoint tries again
                    disk().remove(path)

    def restore(self, module: torch.nn.Module) -> None:
        """Put the best weights into the module.

        Raises:
            DiskError: they are damaged.
        """
        step = _best_step(self._seen)
        if step is None:
            return
        place = self._place(step)
        if not checkpoints.is_whole(place):
            raise DiskError(f"the best weights in {place} are damaged: train again")
        checkpoints.load_weights(place, module)

    def _place(self, step: int) -> Path:
        return self._folder / f"best-{step}"


def missing_best(folder: Path, past: Iterable[Mapping[str, Any]]) -> str | None:
    """Why the best weights up to now cannot be read; None if they can, or nothing was evaluated."""
    step = _best_step(_evaluations(past))
    if step is None or checkpoints.is_whole(folder / f"best-{step}"):
        return None
    return f"the best weights before it, best-{step}, are missing or damaged"


def _evaluations(lines: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Step and response NLL; the untuned model's evaluation does not count."""
    return [(line["step"], line["response_nll_per_token"]) for line in lines if line["kind"] == "eval" and line["step"]]


def _best_step(seen: Sequence[tuple[int, float]], end: int | None = None) -> int | None:
    """Position of the lowest value up to a step, the first of equals; None without any."""
    values = [(value, step) for step, value in seen if end is None or step <= end]
    return min(values)[1] if values else None
