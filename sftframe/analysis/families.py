"""The note on test questions that look like families although no group is named, with what groups would change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sftframe.analysis.pairs import Comparison
from sftframe.analysis.runs import ComparedArm, groups_of
from sftframe.data import likely_families


def families_note(
    arms: Sequence[ComparedArm],
    comparisons: Sequence[Comparison],
    grouped: Callable[[Mapping[int, str]], Sequence[Comparison]],
) -> str:
    """A line if no group is named and items look like families; else empty.

    Args:
        comparisons: as they are, each item a unit of its own.
        grouped: the same with groups, by item.
    """
    runs = [run for arm in arms for run in arm.runs.values()]
    if groups_of(arms) or any(run.settings.get("data.group") is False for run in runs):
        return ""
    known = {item.index: item for run in runs for item in run.items}
    items = [known[index] for index in sorted(known)]
    families = likely_families(items, [item.reference for item in items])
    if families is None:
        return ""
    found = grouped({item.index: f"family {number}" for item, number in zip(items, families.groups, strict=False)})
    return f"{families.told}, and no group is named{_changes(comparisons, found)}: {families.setting}"


def _changes(comparisons: Sequence[Comparison], grouped: Sequence[Comparison]) -> str:
    """The interval that groups would widen most, and the verdicts that they would change."""
    known = [
        (one.grouping.widening, one.candidate, one.grouping)
        for one in grouped
        if one.grouping and one.grouping.widening
    ]
    if not known:
        return ""
    factor, name, grouping = max(known, key=lambda one: one[0])
    told = (
        f"; with them as groups the interval of {name} would be ±{grouping.half_width:.3g} instead of "
        f"±{grouping.half_width_ungrouped:.3g} ({factor:.2g} times as wide)"
    )
    changed = [
        f"{one.candidate} would be {one.verdict!r}"
        for one, before in zip(grouped, comparisons, strict=True)
        if one.verdict != before.verdict
    ]
    return f"{told}, and {', '.join(changed)}" if changed else told
