"""More seeds and arms for an existing ablation. Its cells do not change; settings that would change them are
refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sftframe.ablation.grid import Axis
from sftframe.ablation.planning import Plan
from sftframe.config import Layer, flattened, merge, nested
from sftframe.errors import ConfigError

_NAMED = ("prompt", "collate", "model")
"""Axes of components' names, which the table `[ablate]` lists by seam."""


def extended_document(
    document: Mapping[str, Any], *, seeds: int | Sequence[int] | None, axes: Sequence[Axis], settings: Layer
) -> dict[str, Any]:
    """The plan of an ablation with more seeds and arms. Pure.

    Args:
        document: as `Plan.document` gives it.
        seeds: the new total number of seeds, or a list of seeds to add.
        axes: values to add, by key; existing values are not added twice.
        settings: keys with one value; if the key is an axis, the value is added to it.

    Raises:
        ConfigError: fewer seeds than there are.
    """
    table = dict(document["ablate"])
    found = {key: list(table[key]) for key in _NAMED if table.get(key)}
    found |= {key: list(values) for key, values in flattened(table.get("set", {}))}
    added = [(axis.key.removesuffix(".name"), axis.values) for axis in axes]
    fixed: Layer = {}
    for key, value in flattened(merge(settings)):
        label = key.removesuffix(".name")
        if label in found:
            added.append((label, (value,)))
        else:
            fixed = merge(fixed, nested(key, value))
    for label, values in added:
        known = found.setdefault(label, [])
        known += [value for value in values if value not in known]
    named = {label: values for label, values in found.items() if label in _NAMED}
    others = {label: values for label, values in found.items() if label not in _NAMED}
    table = {**table, **named, "set": others, "seeds": _seeds(table["seeds"], seeds)}
    base = merge({key: value for key, value in document.items() if key != "ablate"}, fixed)
    return {**base, "ablate": table}


def _seeds(known: Sequence[int], wanted: int | Sequence[int] | None) -> list[int]:
    if not isinstance(wanted, int):
        return [*known, *(seed for seed in dict.fromkeys(wanted or ()) if seed not in known)]
    if wanted < len(known):
        raise ConfigError(
            f"--seeds {wanted}: this ablation has {len(known)} seeds ({', '.join(map(str, known))}), and seeds are "
            f"never removed; give a number above {len(known)}, or the seeds to add, as in --seeds {max(known) + 1},"
        )
    return [*known, *range(max(known) + 1, max(known) + 1 + wanted - len(known))]


def check_cells_are_kept(old: Plan, new: Plan, path: object) -> None:
    """Check that every cell of the old plan is in the new plan, in the same folder and with the same settings.

    Args:
        path: of the ablation, for the message.

    Raises:
        ConfigError: one is not; the message names the setting.
    """
    before, after = dict(flattened(old.base)), dict(flattened(new.base))
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            raise ConfigError(
                f"{key.removesuffix('.name')} is {before.get(key)!r} in all cells of {path} and cannot become "
                f"{after.get(key)!r}: leave it out, or start a new ablation with it"
            )
    arms = {arm.slug: arm for arm in new.grid.arms}
    for arm in old.grid.arms:
        kept = arms.get(arm.slug)
        if kept is None or kept.layer != arm.layer:
            axes = {axis.key for axis in old.grid.axes}
            fresh = ", ".join(axis.label for axis in new.grid.axes if axis.key not in axes)
            raise ConfigError(
                f"{fresh or 'this'} is not varied in {path} and would change its arm {arm.name!r}: values can be added "
                f"to {', '.join(axis.label for axis in old.grid.axes)}; start a new ablation to vary something else"
            )
