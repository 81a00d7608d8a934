"""A verdict in words, for people who have to decide."""

from __future__ import annotations

from sftframe.statistics.results import Coverage, Interval, Needed, VerdictKind


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
