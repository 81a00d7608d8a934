"""The interface for progress of a run. The base class prints nothing; the command line shows bars."""

from __future__ import annotations

from dataclasses import dataclass

from sftframe.records import EvalRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A validation example answered during training."""

    instruction: str
    input: str
    reference: str
    answer: str


class Observer:
    """Its methods are called during a run. Override any of them, or none."""

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        """A stage starts.

        Args:
            total: units of work in it; None = not known.
            unit: the counted things, in the plural: `examples`, `steps`, `bytes`.
        """

    def advance(self, amount: int = 1, **figures: float) -> None:
        """More of the current stage is done; `figures` are the latest values, for example `loss=2.1`."""

    def end(self) -> None:
        """The current stage has ended."""

    def note(self, text: str) -> None:
        """Information, one line."""

    def warn(self, text: str) -> None:
        """A warning, one line."""

    def evaluated(self, record: EvalRecord, sample: Sample) -> None:
        """Training paused to evaluate the validation examples."""
