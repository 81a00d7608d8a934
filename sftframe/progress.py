"""What a run tells while it goes on. The base class is silent; the command line shows bars."""

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
    """Told of every stage; every method may be overridden, none has to be."""

    def begin(self, stage: str, total: int | None, unit: str) -> None:
        """A stage starts.

        Args:
            total: units of work in it; None = not known.
            unit: what is counted, in the plural: `examples`, `steps`, `bytes`.
        """

    def advance(self, amount: int = 1, **figures: float) -> None:
        """More of the current stage is done; figures are the latest of it, for instance `loss=2.1`."""

    def end(self) -> None:
        """The current stage is over."""

    def note(self, text: str) -> None:
        """Something worth knowing, one line."""

    def warn(self, text: str) -> None:
        """Something worth worrying about, one line."""

    def evaluated(self, record: EvalRecord, sample: Sample) -> None:
        """Training paused for a look at the validation examples."""
