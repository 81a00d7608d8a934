"""The yardsticks that can be compared between arms with any mask or template, and their margins.

Training losses are no yardstick: with different masks they are sums over different tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sftframe.analysis.pairs import Direction
from sftframe.errors import ConfigError, suggestion
from sftframe.records import AnsweredItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """A measurement of test items, one number each."""

    key: str
    """As in `summary.json`."""
    label: str
    short_label: str
    """With its unit, for the head of a narrow column."""
    unit: str
    direction: Direction
    margin: float
    """Differences up to this count as none unless the user says otherwise."""
    is_margin_relative: bool = False
    """The margin is a share of the baseline's own mean."""
    score_range: float | None = None
    """Largest possible difference of two scores."""
    digits: int = 1
    score: Callable[[AnsweredItem], float | None]
    """Score of one item; None if it has none. Of a ratio of sums the numerator."""
    weight: Callable[[AnsweredItem], float] | None = None
    """Of a ratio of sums the denominator; all arms share it, because they share the references."""
    meaning: str

    def margin_at(self, baseline_mean: float) -> float:
        """The margin in the yardstick's unit."""
        return self.margin * abs(baseline_mean) if self.is_margin_relative else self.margin

    def text(self, value: float) -> str:
        """A mean for people, without its unit."""
        return f"{value:.{self.digits}f}"

    def signed(self, difference: float) -> str:
        """A difference for people, without its unit."""
        return f"{difference:+.{self.digits}f}"


YARDSTICKS = (
    Yardstick(
        key="judge",
        label="Judge's score",
        short_label="judge",
        unit="points of 100",
        direction="higher",
        margin=2.0,
        score_range=100,
        score=lambda item: item.score,
        meaning="Mean of the judge's scores, 0-100.",
    ),
    Yardstick(
        key="exact_match",
        label="Exact answers",
        short_label="exact %",
        unit="% of items",
        direction="higher",
        margin=2.0,
        score_range=100,
        score=lambda item: 100.0 * item.is_exact,
        meaning="Answers equal to the reference, white space at the ends aside.",
    ),
    Yardstick(
        key="response_nll_per_byte",
        label="Response NLL per byte",
        short_label="NLL/byte",
        unit="nats per byte",
        direction="lower",
        margin=0.02,
        is_margin_relative=True,
        digits=4,
        score=lambda item: item.response_nll,
        weight=lambda item: float(item.num_response_bytes),
        meaning="How much the reference answers surprise the model, per UTF-8 byte; compares across templates.",
    ),
    Yardstick(
        key="stop_rate",
        label="Answers that stop",
        short_label="stops %",
        unit="% of items",
        direction="higher",
        margin=2.0,
        score_range=100,
        score=lambda item: None if item.has_stopped is None else 100.0 * item.has_stopped,
        meaning="Answers that end by themselves; the others ran on until they were cut off.",
    ),
    Yardstick(
        key="length_ratio",
        label="Length ratio",
        short_label="length",
        unit="characters per character",
        direction="none",
        margin=0.05,
        digits=3,
        score=lambda item: float(len(item.answer)),
        weight=lambda item: float(len(item.reference)),
        meaning="Length of the answers over that of the references; neither direction is good by itself.",
    ),
)


def find_yardstick(key: str) -> Yardstick:
    """The yardstick of this key.

    Raises:
        ConfigError: there is none.
    """
    found = next((yardstick for yardstick in YARDSTICKS if yardstick.key == key), None)
    if found is None:
        raise ConfigError(f"no yardstick {key!r}{suggestion(key, [yardstick.key for yardstick in YARDSTICKS])}")
    return found


def scored(yardstick: Yardstick, items: Iterable[AnsweredItem]) -> dict[int, float | None]:
    """Score by item index; items that cannot have one (an empty reference has no ratio) are left out."""
    return {item.index: yardstick.score(item) for item in items if yardstick.weight is None or yardstick.weight(item)}
