"""The one list of yardsticks: what is measured of a model on the test examples, and how arms are compared by it.

A new yardstick is a new entry of `YARDSTICKS`: then it is in `summary.json`, in tables and reports of runs, in
comparisons and ablations, and can be chosen with `--yardstick`.

Training losses are no yardstick: with different masks they are sums over different tokens. Every figure is a sum over
items, tokens or bytes divided by another one, never a mean of means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from sftframe.analysis import effects
from sftframe.analysis.pairs import Direction
from sftframe.errors import ConfigError, suggestion
from sftframe.records import AnsweredItem, JudgeSummary, Likelihood, Yardsticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that was measured of one model on a set of examples."""

    likelihoods: Sequence[Likelihood]
    items: Sequence[AnsweredItem] = ()
    """Empty where no answers were asked for."""
    judge: JudgeSummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """A measurement of test items."""

    key: str
    """As in `summary.json`."""
    label: str
    short_label: str
    """With its unit, for the head of a narrow column."""
    unit: str
    direction: Direction
    meaning: str
    score: Callable[[AnsweredItem], float | None] | None = None
    """Score of one item; None if it has none. Of a ratio of sums the numerator. A yardstick without scores of items is
    shown for each run, but arms are not compared by it.
    """
    weight: Callable[[AnsweredItem], float] | None = None
    """Of a ratio of sums the denominator; all arms share it, because they share the references."""
    of_run: Callable[[Measured], float | None] | None = None
    """The figure of a run; by default the mean of the scores, or the ratio of the sums."""
    is_share: bool = False
    """Scores are 0 or 100 per item, and the figure of a run is a share from 0 to 1."""
    margin: float = 0.0
    """Differences up to this count as none unless the user says otherwise."""
    is_margin_relative: bool = False
    """The margin is a share of the baseline's own mean."""
    score_range: float | None = None
    """Largest possible difference of two scores."""
    best: float | None = None
    """The best figure, where it is neither the highest nor the lowest."""
    digits: int = 1
    decided_by: str = ""
    """What a sentence says between `By` and the verdict; by default the label."""
    is_about_answers: bool = True
    """Whether scores are of the answers that were written; likelihoods are of the references."""
    effect: Callable[[float, tuple[float, float] | None], str] | None = None
    """A difference in words, from the difference and both means if these are of the same items; by default the figure
    with its unit.
    """
    sides: tuple[str, str] = ("better", "worse")
    """What an item is in the better direction and in the other one; in the positive and the negative one if neither is
    good.
    """

    def figure(self, measured: Measured) -> float | None:
        """The figure of a run; None where nothing was measured."""
        if self.of_run is not None:
            return self.of_run(measured)
        assert self.score is not None, f"yardstick {self.key} has neither scores nor a figure of a run"
        scores = [(self.score(item), self.weight(item) if self.weight else 1.0) for item in measured.items]
        known = [(score, weight) for score, weight in scores if score is not None]
        total = sum(weight for _, weight in known)
        return sum(score for score, _ in known) / (100 if self.is_share else 1) / total if total else None

    def cost(self, figure: float) -> float | None:
        """A number that is lower where a figure is better; None where neither direction is good by itself."""
        if self.best is not None:
            return abs(figure - self.best)
        return {"higher": -figure, "lower": figure, "none": None}[self.direction]

    def margin_at(self, baseline_mean: float) -> float:
        """The margin in the yardstick's unit."""
        return self.margin * abs(baseline_mean) if self.is_margin_relative else self.margin

    def text(self, value: float) -> str:
        """A mean for people, without its unit."""
        return f"{value:.{self.digits}f}"

    def amount(self, difference: float) -> str:
        """A difference with its unit, never rounded to zero.

        >>> find_yardstick("exact_match").amount(12.5), find_yardstick("judge").amount(-0.02)
        ('+12.5 of 100 answers', '-0.02 points of 100')
        """
        return f"{effects.figure(difference, self.digits)} {'of 100 answers' if self.is_share else self.unit}"

    def effect_in_words(self, difference: float, means: tuple[float, float] | None = None) -> str:
        """A difference in words.

        Args:
            means: of baseline and candidate; None if they are not of the same items.
        """
        return self.amount(difference) if self.effect is None else self.effect(difference, means)

    def signed(self, difference: float) -> str:
        """A difference for people, without its unit."""
        return f"{difference:+.{self.digits}f}"


def _per_response_token(measured: Measured) -> float:
    num_tokens = sum(one.num_response_tokens for one in measured.likelihoods)
    return sum(one.response_nll for one in measured.likelihoods) / max(num_tokens, 1)


def _per_response_byte(measured: Measured) -> float:
    num_bytes = sum(one.num_response_bytes for one in measured.likelihoods)
    return sum(one.response_nll for one in measured.likelihoods) / max(num_bytes, 1)


def _per_prompt_token(measured: Measured) -> float:
    num_tokens = sum(one.num_prompt_tokens for one in measured.likelihoods)
    return sum(one.prompt_nll for one in measured.likelihoods) / max(num_tokens, 1)


YARDSTICKS = (
    Yardstick(
        key="judge",
        label="Judge's score",
        short_label="judge",
        unit="points of 100",
        direction="higher",
        meaning="Mean of the judge's scores, 0-100. Higher is better.",
        score=lambda item: item.score,
        of_run=lambda measured: measured.judge.mean if measured.judge else None,
        margin=2.0,
        score_range=100,
        decided_by="the scores of the judge",
        effect=effects.points_in_words,
    ),
    Yardstick(
        key="exact_match",
        label="Exact matches",
        short_label="exact %",
        unit="% of items",
        direction="higher",
        meaning="Answers equal to the reference, white space at the ends aside. Higher is better.",
        score=lambda item: 100.0 * item.is_exact,
        is_share=True,
        margin=2.0,
        score_range=100,
        decided_by="exact matches with the reference answers",
        effect=effects.matches_in_words,
    ),
    Yardstick(
        key="response_nll_per_byte",
        label="Response NLL per byte",
        short_label="NLL/byte",
        unit="nats per byte",
        direction="lower",
        meaning="How much the reference answers surprise the model, per UTF-8 byte. Lower is better; compares across "
        "tokenizers and prompt styles.",
        score=lambda item: item.response_nll,
        weight=lambda item: float(item.num_response_bytes),
        of_run=_per_response_byte,
        margin=0.02,
        is_margin_relative=True,
        digits=4,
        decided_by="the likelihood of the reference answers (NLL, where less is better)",
        is_about_answers=False,
        effect=effects.nll_in_words,
    ),
    Yardstick(
        key="stop_rate",
        label="Stops by itself",
        short_label="stops %",
        unit="% of items",
        direction="higher",
        meaning="Answers that end by themselves; the others ran on until they were cut off. Higher is better.",
        score=lambda item: None if item.has_stopped is None else 100.0 * item.has_stopped,
        is_share=True,
        margin=2.0,
        score_range=100,
        decided_by="the share of answers that end by themselves",
        effect=effects.stops_in_words,
    ),
    Yardstick(
        key="length_ratio",
        label="Length ratio",
        short_label="length",
        unit="characters per character",
        direction="none",
        meaning="Length of the answers over that of the references; best near 1.",
        score=lambda item: float(len(item.answer)),
        weight=lambda item: float(len(item.reference)),
        margin=0.05,
        best=1.0,
        digits=3,
        decided_by="the length of the answers against the references",
        effect=effects.length_in_words,
        sides=("longer", "shorter"),
    ),
    Yardstick(
        key="response_nll_per_token",
        label="Response NLL per token",
        short_label="NLL/token",
        unit="nats per token",
        direction="lower",
        meaning="How much the reference answers, end included, surprise the model. Lower is better; compares between "
        "runs with the same tokenizer.",
        of_run=_per_response_token,
        digits=4,
    ),
    Yardstick(
        key="prompt_nll_per_token",
        label="Prompt NLL per token",
        short_label="prompt NLL",
        unit="nats per token",
        direction="none",
        meaning="How much the prompts surprise the model. It falls when prompts count in the loss; neither direction "
        "is good by itself.",
        of_run=_per_prompt_token,
        digits=4,
    ),
)
"""In the order in which tables show them."""

COMPARED = tuple(yardstick for yardstick in YARDSTICKS if yardstick.score is not None)
"""Those by which arms can be compared."""


def measure(measured: Measured, yardsticks: Sequence[Yardstick] = YARDSTICKS) -> Yardsticks:
    """All yardsticks of one model."""
    named = {field.name for field in fields(Yardsticks)} - {"judge", "others"}
    figures = {yardstick.key: yardstick.figure(measured) for yardstick in yardsticks if yardstick.key != "judge"}
    return Yardsticks(
        **{key: figure for key, figure in figures.items() if key in named},  # type: ignore[arg-type]
        judge=measured.judge,
        others={key: figure for key, figure in figures.items() if key not in named},
    )


def find_yardstick(key: str) -> Yardstick:
    """The yardstick of this key, by which arms can be compared.

    Raises:
        ConfigError: there is none.
    """
    found = next((yardstick for yardstick in COMPARED if yardstick.key == key), None)
    if found is None:
        raise ConfigError(f"no yardstick {key!r}{suggestion(key, [yardstick.key for yardstick in COMPARED])}")
    return found


def scored(yardstick: Yardstick, items: Iterable[AnsweredItem]) -> dict[int, float | None]:
    """Score by item index; items that cannot have one (an empty reference has no ratio) are left out."""
    assert yardstick.score is not None
    return {item.index: yardstick.score(item) for item in items if yardstick.weight is None or yardstick.weight(item)}
