"""Records of a run's results: one per item, and the final table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sftframe.records.answers import StopReason
from sftframe.records.verdicts import VerdictStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """All results of one test item: a line of `items.jsonl`, which comparisons read."""

    index: int
    """`Example.index`."""
    instruction: str
    input: str
    reference: str
    answer: str
    stop_reason: StopReason | None
    """None where it is not known how the answer ended."""
    response_nll: float | None
    """Nats of the reference's response and end tokens; None where no model was measured."""
    num_response_bytes: int
    """UTF-8 bytes of the reference."""
    score: float | None
    """The judge's score, 0-100; None where it gave none."""
    verdict: VerdictStatus | None
    """None where the item was not judged."""
    reason: str
    """The judge's."""

    @property
    def is_exact(self) -> bool:
        """The answer equals the reference after stripping white space."""
        return self.answer.strip() == self.reference.strip()

    @property
    def has_stopped(self) -> bool | None:
        """The answer ended by itself; None where that is not known."""
        return None if self.stop_reason is None else self.stop_reason != "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSummary:
    """A judge's verdicts in one line."""

    name: str
    mean: float | None
    """Mean score of the scored items, 0-100; None where nothing could be scored."""
    ci95: tuple[float, float] | None
    num_scored: int
    num_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardsticks:
    """Held-out measurements that can be compared between runs with different prompt styles or collate strategies."""

    response_nll_per_token: float
    """Nats per token of response and end."""
    response_nll_per_byte: float
    """The same nats per UTF-8 byte of the reference responses, to compare tokenizers and templates."""
    prompt_nll_per_token: float
    """Nats per token of the prompt."""
    exact_match: float | None = None
    """Share of answers equal to the reference after stripping white space, 0-1."""
    stop_rate: float | None = None
    """Share of answers that end by themselves, 0-1."""
    length_ratio: float | None = None
    """Characters of all answers over characters of all references."""
    judge: JudgeSummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSummary:
    """What training cost, and which targets counted."""

    steps: int
    examples_seen: int
    tokens_seen: int
    seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    counted_share: Mapping[str, float]
    """Per role (and `padding`): the share of target positions that counted in the loss, 0-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run's last table shows; written as `summary.json`."""

    run: str
    prompt: str
    collate: str
    model: str
    data: str
    seed: int
    before: Yardsticks | None
    after: Yardsticks | None
    train: TrainSummary | None
    length_report: Mapping[str, int] = field(default_factory=dict)
