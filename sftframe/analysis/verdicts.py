"""A verdict on every arm: better, worse, equivalent or not known yet, with the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sftframe.analysis.intervals import (
    components_of,
    confidence_interval,
    coverage,
    equivalence_p_value,
    holm,
    p_value,
    sign_flip,
    spread,
    variance_components,
)
from sftframe.analysis.pairs import (
    ArmSummary,
    CommonScores,
    Comparison,
    ComparisonTable,
    Coverage,
    Direction,
    Interval,
    Needed,
    PairedDifferences,
    Scores,
    VerdictKind,
    common_scores,
    differences,
)
from sftframe.analysis.planning import minimum_detectable_difference, needed_to_settle
from sftframe.errors import ConfigError, suggestion


def explain(
    *,
    verdict: VerdictKind,
    names: tuple[str, str],
    difference: float,
    interval: Interval | None,
    is_significant_alone: bool,
    margin: float | None,
    needed: Needed | None,
    covers: Coverage | None,
    unit: str,
) -> str:
    """One to three sentences: the verdict with its figures, what would settle it, and what it does not cover."""
    baseline, candidate = names
    figures = f"{_number(difference, unit)}"
    if interval is not None:
        figures += f", 95 % interval {interval.low:+.3g} to {interval.high:+.3g}"
    said = {
        "better": f"{candidate} is better than {baseline} ({figures}).",
        "worse": f"{candidate} is worse than {baseline} ({figures}).",
        "different": f"{candidate} differs from {baseline} ({figures}).",
        "equivalent": f"{candidate} and {baseline} are equivalent within ±{margin or 0:g} ({figures}).",
        "cannot tell": f"Cannot tell {candidate} from {baseline} ({figures}).",
    }[verdict]
    parts = [said]
    if verdict == "cannot tell" and is_significant_alone:
        parts.append("Alone it would count as a difference, but not among so many arms.")
    if verdict == "cannot tell" and covers in ("items", "items and seeds"):
        parts.append(_settle(needed, margin))
    parts.append(_limits(covers))
    return " ".join(part for part in parts if part)


def _number(value: float, unit: str) -> str:
    return f"{value:+.3g} {unit}".rstrip()


def _settle(needed: Needed | None, margin: float | None) -> str:
    if needed is None:
        tail = "" if margin else "; say which difference matters (a margin) to ask for equivalence instead"
        return f"No number of items or seeds in reach would settle it, if the difference is as small as it looks{tail}."
    what = f"would settle it with a chance of {needed.power:.0%}, if the difference is what it looks like now"
    items = f"about {_more(needed.items, 'item')}" if needed.items is not None else ""
    seeds = _more(needed.seeds, "seed") if needed.seeds is not None else ""
    if needed.both is not None:
        more = f"{_more(needed.both[0], 'item')} together with {_more(needed.both[1], 'seed')}"
        return f"Neither more items nor more seeds alone: about {more} {what}."
    ways = " or ".join(way for way in (items, seeds) if way)
    return f"{ways[0].upper()}{ways[1:]} {what}."


def _more(count: int, noun: str) -> str:
    return f"{count} more {noun}{'s' * (count != 1)}"


def _limits(covers: Coverage | None) -> str:
    if covers == "items":
        return "One seed: this speaks of other items only; how much another seed would change it is unknown."
    if covers == "seeds":
        return "One item: this speaks of other seeds only."
    return "" if covers else "One item and one seed: nothing can be said about chance."


ALPHA = 0.05
POWER = 0.8


def compare_arms(
    scores: Scores,
    *,
    baseline: str | None = None,
    direction: Direction = "higher",
    margin: float | None = None,
    weights: Mapping[int, float] | None = None,
    score_range: float | None = None,
    judge_variance: float | None = None,
    unit: str = "",
    labels: Mapping[str, str] | None = None,
) -> ComparisonTable:
    """Compare every arm with the baseline.

    Args:
        scores: arm to seed to item to score. Arms with the same seed count as paired.
        baseline: the first arm unless named.
        direction: which scores are better.
        margin: smaller differences do not matter; without a margin nothing is called equivalent.
        weights: denominators by item, if the scores are numerators of a ratio of sums (bytes, for NLL per byte).
        score_range: largest possible difference: 100 for a judge's scores, 1 for shares, None without bound.
        judge_variance: of one score, from `analysis.judge_variance`.
        unit: of the scores, for the explanations: `points`.
        labels: names of arms in the explanations, if the arm's own name says too little.

    Raises:
        ConfigError: an unknown baseline, fewer than two arms, a margin that is not positive.
        DataError: all arms share no seed or no item, an infinite score, a bad weight.
    """
    common = common_scores(scores, weights)
    first = _position(common.names, baseline)
    if margin is not None and not 0 < margin < np.inf:
        raise ConfigError(f"the margin is {margin}; expected a positive difference, in the unit of the scores")
    question = _Question(
        direction=direction,
        margin=margin,
        score_range=score_range,
        judge_variance=judge_variance,
        unit=unit,
        labels=labels or {},
    )
    return ComparisonTable(
        arms=tuple(_arm(common, position) for position in range(len(common.names))),
        comparisons=_comparisons(common, first, question),
        seeds=common.seeds,
        items=common.items,
        num_dropped_items=common.num_dropped_items,
        num_dropped_seeds=common.num_dropped_seeds,
        direction=direction,
    )


def verdict_of(
    difference: float, p_difference: float | None, p_equivalence: float | None, direction: Direction
) -> VerdictKind:
    """The rule: equivalent if that is shown, else better or worse if a difference is shown, else `cannot tell`.

    A difference that is shown to be smaller than the margin does not matter, even if it is certain.

    >>> verdict_of(3.0, 0.01, None, "higher")
    'better'
    >>> verdict_of(3.0, 0.2, 0.3, "higher")
    'cannot tell'
    """
    if p_equivalence is not None and p_equivalence < ALPHA:
        return "equivalent"
    if p_difference is None or p_difference >= ALPHA:
        return "cannot tell"
    if direction == "none":
        return "different"
    return "better" if (difference > 0) == (direction == "higher") else "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """The arguments of `compare_arms` without the scores."""

    direction: Direction
    margin: float | None
    score_range: float | None
    judge_variance: float | None
    unit: str
    labels: Mapping[str, str]


def _comparisons(common: CommonScores, first: int, question: _Question) -> tuple[Comparison, ...]:
    others = [position for position in range(len(common.names)) if position != first]
    pairs = [differences(common, first, other) for other in others]
    margin, score_range = question.margin, question.score_range
    p_values = [p_value(pair, score_range=score_range) for pair in pairs]
    equivalences = [margin and equivalence_p_value(pair, margin, score_range=score_range) for pair in pairs]
    tests = zip(p_values, holm(p_values), holm(equivalences), strict=True)
    names = [(common.names[first], common.names[other]) for other in others]
    return tuple(
        _comparison(pair, of, *found, alpha=ALPHA / len(pairs), question=question)
        for pair, of, found in zip(pairs, names, tests, strict=True)
    )


def _comparison(
    pair: PairedDifferences,
    names: tuple[str, str],
    p: float | None,
    p_holm: float | None,
    p_equivalence: float | None,
    *,
    alpha: float,
    question: _Question,
) -> Comparison:
    """One pair's result.

    Args:
        alpha: for plans: Holm's strictest step, so that a plan does not depend on the other arms.
    """
    verdict = verdict_of(pair.mean, p_holm, p_equivalence, question.direction)
    interval = confidence_interval(pair, level=1 - ALPHA, score_range=question.score_range)
    needed = _needed(pair, alpha, question) if verdict == "cannot tell" else None
    num_better, num_worse, num_tied = _counts(pair, question.direction)
    return Comparison(
        baseline=names[0],
        candidate=names[1],
        difference=pair.mean,
        interval=interval,
        p_value=p,
        p_holm=p_holm,
        sign_flip=sign_flip(pair),
        margin=question.margin,
        p_equivalence=p_equivalence,
        verdict=verdict,
        explanation=explain(
            verdict=verdict,
            names=(question.labels.get(names[0], names[0]), question.labels.get(names[1], names[1])),
            difference=pair.mean,
            interval=interval,
            is_significant_alone=p is not None and p < ALPHA,
            margin=question.margin,
            needed=needed,
            covers=coverage(*pair.values.shape),
            unit=question.unit,
        ),
        needed=needed,
        minimum_detectable=_detectable(pair, alpha, question),
        components=variance_components(pair, judge_variance=question.judge_variance),
        num_better=num_better,
        num_worse=num_worse,
        num_tied=num_tied,
    )


def _needed(pair: PairedDifferences, alpha: float, question: _Question) -> Needed | None:
    num_seeds, num_items = pair.values.shape
    if num_items < 2:
        return None
    return needed_to_settle(
        pair.mean,
        components_of(spread(pair.influence, score_range=question.score_range)),
        num_items=num_items,
        num_seeds=num_seeds,
        margin=question.margin,
        alpha=alpha,
        power=POWER,
    )


def _detectable(pair: PairedDifferences, alpha: float, question: _Question) -> float | None:
    num_seeds, num_items = pair.values.shape
    if num_items < 2:
        return None
    components = components_of(spread(pair.influence, score_range=question.score_range))
    return minimum_detectable_difference(components, num_items=num_items, num_seeds=num_seeds, alpha=alpha, power=POWER)


def _counts(pair: PairedDifferences, direction: Direction) -> tuple[int, int, int]:
    means = pair.values.mean(axis=0) * (-1.0 if direction == "lower" else 1.0)  # (I,)
    return int((means > 0).sum()), int((means < 0).sum()), int((means == 0).sum())


def _arm(common: CommonScores, position: int) -> ArmSummary:
    values = common.values[position]  # (S, I)
    return ArmSummary(
        name=common.names[position],
        mean=float(values.mean()),
        seed_means=tuple(values.mean(axis=1).tolist()),
        num_missing_items=common.num_missing_items[position],
    )


def _position(names: tuple[str, ...], baseline: str | None) -> int:
    if baseline is None:
        return 0
    if baseline not in names:
        raise ConfigError(f"no arm {baseline!r} to compare with{suggestion(baseline, names)}")
    return names.index(baseline)
