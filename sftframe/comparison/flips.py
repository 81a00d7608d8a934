"""The items that two arms answer differently, the largest differences first, with both answers and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from sftframe.comparison.runs import ComparedArm
from sftframe.comparison.yardsticks import Yardstick, scored
from sftframe.records import ItemResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedItem:
    """An item on which candidate and baseline differ."""

    index: int
    instruction: str
    input: str
    reference: str
    baseline_scores: tuple[float | None, ...]
    """One per common seed."""
    candidate_scores: tuple[float | None, ...]
    baseline_answer: str
    """Both arms' answers of the seed at which the two differ most."""
    candidate_answer: str
    seed: int
    """That seed."""
    difference: float
    """Candidate minus baseline, averaged over the seeds at which both have a score."""


def flipped_items(baseline: ComparedArm, candidate: ComparedArm, yardstick: Yardstick) -> list[FlippedItem]:
    """Items whose score differs in at least one seed, largest mean difference first, then by index."""
    seeds = sorted(set(baseline.runs) & set(candidate.runs))
    both = [(seed, _by_index(baseline, seed), _by_index(candidate, seed)) for seed in seeds]
    found = []
    for index in both[0][1] if both else ():
        pairs = {seed: (one[index], other[index]) for seed, one, other in both if index in one and index in other}
        flip = _flip(pairs, yardstick)
        if flip is not None:
            found.append(flip)
    return sorted(found, key=lambda flip: (-abs(flip.difference), flip.index))


def _by_index(arm: ComparedArm, seed: int) -> dict[int, ItemResult]:
    return {item.index: item for item in arm.runs[seed].items}


def _flip(pairs: Mapping[int, tuple[ItemResult, ItemResult]], yardstick: Yardstick) -> FlippedItem | None:
    """From baseline's and candidate's item by seed."""
    scores = {seed: (_score(yardstick, one), _score(yardstick, other)) for seed, (one, other) in pairs.items()}
    differences = {
        seed: second - first for seed, (first, second) in scores.items() if first is not None and second is not None
    }
    if not any(differences.values()):
        return None
    seed = max(differences, key=lambda seed: abs(differences[seed]))
    one, other = pairs[seed]
    return FlippedItem(
        index=one.index,
        instruction=one.instruction,
        input=one.input,
        reference=one.reference,
        baseline_scores=tuple(first for first, _ in scores.values()),
        candidate_scores=tuple(second for _, second in scores.values()),
        baseline_answer=one.answer,
        candidate_answer=other.answer,
        seed=seed,
        difference=fmean(differences.values()),
    )


def _score(yardstick: Yardstick, item: ItemResult) -> float | None:
    return scored(yardstick, [item]).get(item.index)
