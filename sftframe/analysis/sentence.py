"""A comparison in words: one sentence that stays true when it is quoted alone, and what stands below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftframe.analysis.effects import figure, size
from sftframe.analysis.looks import Looks
from sftframe.analysis.pairs import Comparison, Interval, VerdictKind
from sftframe.analysis.yardsticks import Yardstick

MAX_FULL = 3
"""More comparisons than this are told by verdict, not one by one."""
MAX_NAMED = 4
"""Most arms of one verdict that are named; of more only the number is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A comparison, with its two sides in words: `collate mask-pad`, not `mask-pad`."""

    comparison: Comparison
    baseline: str
    candidate: str
    means: tuple[float, float] | None = None
    """Of baseline and candidate; None if they are not of the items of the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What the claims rest on, and so all that they may speak of."""

    yardstick: Yardstick
    judge: str = ""
    """Of the scores; empty if it does not matter for this yardstick, or if it is not known."""
    model: str = ""
    """The one model of all arms; empty if the arms differ in it, or if it is not known."""
    data: str = ""
    """Name; empty if it is not known."""
    num_items: int
    num_groups: int | None = None
    """None = every item is a unit of its own."""
    num_seeds: int
    is_trained: bool = True
    """False: sets of answers, and nothing is known of how they were made."""
    is_model_varied: bool = False
    is_averaged: bool = False
    """The claims are about single settings, each averaged over the others."""
    doubtful: Sequence[str] = ()
    """Arms, in words, on which the judge itself warns that it should not decide."""
    is_judge_noise_unknown: bool = False
    """The judge may grade the same answer differently, and nobody measured how much."""
    looks: Looks | None = None
    """While seeds were added; None = the arms were compared once."""


def sentence(claims: Sequence[Claim], design: Design) -> str:
    """The verdicts with their figures, what they rest on, and their main limits."""
    told = _one_by_one(claims, design) if len(claims) <= MAX_FULL else _by_verdict(claims, design)
    return "; ".join([f"By {_by(design)}, {told}, {_basis(design)}", *_limits(claims, design)]) + "."


def details(claims: Sequence[Claim], design: Design) -> tuple[str, ...]:
    """What `sentence` leaves out, a line each, with the verdict where the sentence only counts it."""
    if len(claims) == 1:
        return claims[0].comparison.comments
    lines = []
    for claim in claims:
        clause = _clause(claim, design)
        clause = f"It{clause[2:]}" if clause.startswith("it cannot") else clause  # a name keeps its first letter
        told = [*([f"{clause}."] if len(claims) > MAX_FULL else []), *claim.comparison.comments]
        if told:
            lines.append(" ".join(told) if len(claims) > MAX_FULL else f"{claim.candidate}: {' '.join(told)}")
    return tuple(lines)


def effect(claim: Claim, design: Design) -> str:
    """How large the difference is, and for how many items which side is better."""
    found, yardstick = claim.comparison, design.yardstick
    up, down = yardstick.sides
    averaged = " averaged over the seeds," if found.num_seeds > 1 else ""
    told = yardstick.effect_in_words(found.difference, claim.means)
    counted = found.num_better + found.num_worse + found.num_tied
    labelled = " with people's labels" if counted < found.num_items else ""
    return (
        f"With {claim.candidate} {told}. Of {counted:,} item{'s' * (counted != 1)}{labelled},{averaged} "
        f"{found.num_better:,} {'is' if found.num_better == 1 else 'are'} {up}, {found.num_worse:,} {down} and "
        f"{found.num_tied:,} the same.{_agreement(found)}"
    )


def _agreement(found: Comparison) -> str:
    """In how many seeds the difference has the sign of their mean; empty with one seed, or without a difference."""
    if len(found.seed_differences) < 2 or figure(found.difference, 1) == "0":
        return ""
    num_agreeing = sum(one * found.difference > 0 for one in found.seed_differences)
    return f" The difference has this direction in {num_agreeing} of {len(found.seed_differences)} seeds."


SAME_WORTH = 0.02
"""Half widths that differ by a smaller part count as the same."""


def worth(claim: Claim, design: Design, cost: str = "") -> str:
    """Where the uncertainty comes from, and whether more seeds or more items would reduce it more; empty if no interval
    can be narrower.

    Args:
        cost: of the seeds that this is told for, in words.
    """
    found = claim.comparison.worth
    if found is None:
        return ""
    now, digits = found.half_width, design.yardstick.digits
    unit = "of 100 answers" if design.yardstick.is_share else design.yardstick.unit
    more_seeds = f"{found.seeds} more seeds{f' ({cost})' if cost else ''}"
    more_items = f"{found.items:,} more items{' in new groups' if design.num_groups is not None else ''}"
    ways = [
        (what, size(then, digits))
        for what, then in ((more_seeds, found.with_seeds), (more_items, found.with_items))
        if then is not None
    ]
    narrower = [(what, f"to about ±{then}") for what, then in ways if then != size(now, digits)]
    hardly = [what for what, then in ways if then == size(now, digits)]
    parts = [
        f"{what} {'would narrow the interval ' * (number == 0)}{then}" for number, (what, then) in enumerate(narrower)
    ]
    parts += [f"{what} would hardly narrow it" for what in hardly]
    told = f"{_sources(claim)}{_enumerated(parts)}; it is ±{size(now, digits)} {unit} now."
    if found.with_seeds is None or found.with_items is None:
        return told
    if abs(found.with_seeds - found.with_items) < SAME_WORTH * now:
        return f"{told} Both are worth about the same."
    is_seeds = found.with_seeds < found.with_items
    what, other = ("Seeds", "item") if is_seeds else ("Items", "seed")
    like = found.items_like_seeds if is_seeds else found.seeds_like_items
    as_much = f"no number of {other}s" if like is None else f"{like:,} more {other}{'s' * (like != 1)}"
    return f"{told} {what} are worth more here: {as_much} would do as much."


_SOURCES = {"seed": "seeds", "item": "items", "judge": "the judge's noise", "other": "chance in single answers"}


def _sources(claim: Claim) -> str:
    found = claim.comparison
    shares = found.components.shares_of_mean(found.num_seeds, found.num_items)
    parts = [
        f"{_SOURCES[cause]} ({share:.0%})"
        for cause, share in sorted(shares.items(), key=lambda one: -one[1])
        if round(share, 2)
    ]
    if not parts:
        return ""
    if found.num_seeds == 1:
        return f"The part of the seeds is not known from one seed; the rest comes from {_enumerated(parts)}. "
    return f"The uncertainty comes from {_enumerated(parts)}. "


def in_words(settings: Mapping[str, Any]) -> str:
    """An arm's settings with the name of each.

    >>> in_words({"collate.name": "prompt-weight", "collate.weight": 0.1, "train.lora.rank": 8})
    'collate prompt-weight · weight 0.1 · lora.rank 8'
    """
    return " · ".join(f"{_key_in_words(key)} {value}" for key, value in settings.items())


def _key_in_words(key: str) -> str:
    section, _, rest = key.partition(".")
    return section if rest in ("", "name") else rest


def _one_by_one(claims: Sequence[Claim], design: Design) -> str:
    return _enumerated([_clause(claim, design) for claim in claims]) + _averaged(design)


def _averaged(design: Design) -> str:
    return ", averaged over the other settings" if design.is_averaged else ""


def _clause(claim: Claim, design: Design) -> str:
    found = claim.comparison
    one, other = _subjects(claim, design)
    is_plural = one != claim.candidate and design.yardstick.is_about_answers
    are, differ = ("are", "differ") if is_plural else ("is", "differs")
    said = {
        "better": f"{one} {are} better than {other}",
        "worse": f"{one} {are} worse than {other}",
        "different": f"{one} {differ} from {other}",
        "equivalent": f"{one} and {other} are equivalent within ±{found.margin or 0:.3g}",
        "identical": f"{claim.candidate} and {claim.baseline} are identical (the same answers to every item)",
        "cannot tell": f"it cannot be told whether {one} {are} better or worse than {other}"
        if design.yardstick.direction != "none"
        else f"it cannot be told whether {one} {differ} from {other}",
    }[found.verdict]
    return said if found.verdict == "identical" else f"{said} ({'; '.join(_figures(found, design))})"


def _subjects(claim: Claim, design: Design) -> tuple[str, str]:
    """With one seed a claim is about what that seed gave, not about the settings."""
    if design.num_seeds > 1:
        return claim.candidate, claim.baseline
    if not design.is_trained:
        return f"the answers of {claim.candidate}", f"those of {claim.baseline}"
    if design.yardstick.is_about_answers:
        return f"the answers with {claim.candidate}", f"those with {claim.baseline}"
    return f"the one run with {claim.candidate}", f"the one with {claim.baseline}"


def _figures(found: Comparison, design: Design) -> list[str]:
    """Difference, interval, and what the interval does not show: missing scores, and a correction that decided."""
    difference = design.yardstick.amount(found.difference)
    interval = found.equivalence_interval if found.verdict == "equivalent" else found.interval
    parts = [f"{difference}, {_bounds(interval, design)}" if interval else difference]
    missing = found.missing
    if missing is not None:
        left = f"{missing.num_items - found.num_items:,} of {missing.num_items:,} items without a score"
        if missing.changes_verdict:
            parts.append(f"{left} could turn this round")
        else:
            parts.append(f"{left} {'is' if missing.num_items - found.num_items == 1 else 'are'} left out")
    elif found.verdict == "cannot tell" and interval and not interval.low <= 0 <= interval.high:
        parts.append("not enough among so many comparisons")
    return parts


def _bounds(interval: Interval, design: Design) -> str:
    low, high = (figure(bound, design.yardstick.digits) for bound in (interval.low, interval.high))
    return f"{100 * interval.level:.0f} % interval {low} to {high}"


_SAID: dict[VerdictKind, tuple[str, str]] = {
    "better": ("is better", "are better"),
    "worse": ("is worse", "are worse"),
    "different": ("differs", "differ"),
    "equivalent": ("is equivalent", "are equivalent"),
    "identical": ("gave the same answers", "gave the same answers"),
    "cannot tell": ("cannot be told from it", "cannot be told from it"),
}
"""By verdict, of one arm and of several."""


def _by_verdict(claims: Sequence[Claim], design: Design) -> str:
    against = {claim.baseline for claim in claims}
    whose = "" if design.num_seeds > 1 else "the answers of " if design.yardstick.is_about_answers else "the runs of "
    if len(against) == 1:
        what = f"of {whose}{len(claims)} arms compared with {'those of ' * bool(whose)}{claims[0].baseline}"
    else:
        what = f"of {whose}{len(claims)} choices, each compared with the baseline's"
    groups = {kind: [claim for claim in claims if claim.comparison.verdict == kind] for kind in _SAID}
    parts = [_group(kind, found, design) for kind, found in groups.items() if found]
    return f"{what}{_averaged(design)}, {_enumerated(parts)}"


def _group(kind: VerdictKind, claims: Sequence[Claim], design: Design) -> str:
    said = f"{len(claims)} {_SAID[kind][len(claims) > 1]}"
    if kind == "equivalent":
        said += f" within ±{claims[0].comparison.margin or 0:.3g}"
    if len(claims) > MAX_NAMED:
        return said
    if kind in ("better", "worse", "different"):
        named = [f"{claim.candidate}: {'; '.join(_figures(claim.comparison, design))}" for claim in claims]
    else:
        named = [claim.candidate for claim in claims]
    return f"{said} ({'; '.join(named)})"


def _by(design: Design) -> str:
    yardstick = design.yardstick
    by = yardstick.decided_by or f"the yardstick {yardstick.label}"
    return f"{by} {design.judge}".rstrip()


def _basis(design: Design) -> str:
    items = f"{design.num_items:,} test item{'s' * (design.num_items != 1)}"
    items += f" of {design.data}" if design.data else ""
    if design.num_groups is not None:
        items += " (all in one group)" if design.num_groups == 1 else f" (in {design.num_groups:,} groups)"
    seeds = "one training seed" if design.num_seeds == 1 else f"{design.num_seeds:,} training seeds"
    parts = [f"the model {design.model}"] if design.model else []
    parts += [seeds] if design.is_trained else ["one set of answers each"]
    return f"with {_enumerated([*parts, items])}"


def _limits(claims: Sequence[Claim], design: Design) -> list[str]:
    found = []
    if design.doubtful:
        found.append(f"this judge warns that it should not decide on {_names(design.doubtful)}")
    if all(claim.comparison.interval is None and claim.comparison.verdict == "cannot tell" for claim in claims):
        found.append("nothing can be said about chance")
    elif len(claims) == 1 and claims[0].comparison.verdict == "cannot tell":
        found.append("this does not show that they are equal")
    if design.num_seeds == 1:
        again = "training again with another seed" if design.is_trained else "another set of answers"
        found.append(f"{again} could change this")
    if design.num_items == 1 or design.num_groups == 1:
        found.append("this speaks of no other items")
    num_open = sum(bool(one.comparison.missing and one.comparison.missing.changes_verdict) for one in claims)
    if num_open and len(claims) > MAX_FULL:
        found.append(f"items without a score could turn {num_open} of the verdicts round")
    if len(claims) > 1:
        found.append(f"verdicts are corrected for {len(claims)} comparisons, intervals are not")
    if design.looks is not None and design.looks.is_corrected:
        found.append(f"verdicts and intervals allow for all {len(design.looks.planned)} planned looks")
    elif design.looks is not None and design.looks.is_uncorrected:
        found.append(design.looks.uncorrected)
    if design.is_judge_noise_unknown:
        found.append("the judge's own noise was not measured")
    others = ["models"] if not design.is_model_varied else []
    others += ["data", "judges"] if design.judge else ["data"]
    return [*found, f"other {_enumerated(others)} were not tested"]


def _names(names: Sequence[str]) -> str:
    return _enumerated(names) if len(names) <= MAX_NAMED else f"{len(names)} arms"


def _enumerated(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
