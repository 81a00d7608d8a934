"""Arms of a comparison: runs grouped by their settings, and whether they can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from sftframe.confidence import groups_note, merged_groups
from sftframe.config import settings_in_words
from sftframe.errors import ConfigError, DataError
from sftframe.runs import LoadedRun

_NOT_AN_ARM = ("seed", "out", "threads", "device", "before", "max_failures", "data.group")
"""Settings in which runs of one arm may differ."""
_UNNAMED = (*_NOT_AN_ARM, "prompt.content")
"""Settings that do not say what an arm is."""
_NEEDED = ("data", "test")
"""Pairing hashes that all compared runs must share."""
_WHAT = {
    "data": "another data file",
    "split": "another split",
    "test": "other test items",
    "initial_weights": "other initial weights",
    "order": "other batches",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedArm:
    """Runs that differ only in their seed."""

    name: str
    runs: Mapping[int, LoadedRun]
    """By seed."""

    def any_run(self) -> LoadedRun:
        """The run of the first seed, for values that are the same in all."""
        return next(iter(self.runs.values()))


def groups_of(arms: Iterable[ComparedArm]) -> dict[int, str]:
    """By item its group in any run; items without one are left out (see `confidence.merged_groups`)."""
    return merged_groups(_groups(run) for run in _runs(arms))


def note_on_groups(arms: Sequence[ComparedArm]) -> str:
    """A line if the runs do not all have the same groups of items; empty if they do."""
    return groups_note({str(run.path): _groups(run) for run in _runs(arms)})


def _groups(run: LoadedRun) -> dict[int, str]:
    return {item.index: item.group for item in run.items if item.group}


def _runs(arms: Iterable[ComparedArm]) -> Iterator[LoadedRun]:
    return (run for arm in arms for run in arm.runs.values())


def group_into_arms(runs: Sequence[LoadedRun]) -> list[ComparedArm]:
    """Group runs into arms: runs of one arm differ only in the seed. An arm's name shows how it differs from the
    others.

    Raises:
        ConfigError: one arm only, or two runs with the same settings and seed.
    """
    groups: list[tuple[dict[str, Any], dict[int, LoadedRun]]] = []
    for run in runs:
        own = {key: value for key, value in run.settings.items() if key not in _NOT_AN_ARM}
        members = next((members for settings, members in groups if settings == own), None)
        if members is None:
            groups.append((own, members := {}))
        if run.seed in members:
            raise ConfigError(
                f"{members[run.seed].path} and {run.path} have the same settings and seed {run.seed}: leave one out"
            )
        members[run.seed] = run
    if len(groups) < 2:
        listed = ", ".join(str(run.path) for run in runs)
        raise ConfigError(f"nothing to compare: {listed} differ only in their seed; give a run with another setting")
    names = _names([settings for settings, _ in groups])
    return [ComparedArm(name=name, runs=members) for name, (_, members) in zip(names, groups, strict=True)]


def differing_settings(arms: Sequence[ComparedArm]) -> dict[str, dict[str, Any]]:
    """By arm the settings in which the arms differ, without texts of prompt styles."""
    chosen = [{key: value for key, value in arm.any_run().settings.items() if key not in _UNNAMED} for arm in arms]
    keys = [key for key in dict.fromkeys(key for own in chosen for key in own) if _differs(chosen, key)]
    return {arm.name: {key: own[key] for key in keys if key in own} for arm, own in zip(arms, chosen, strict=True)}


def check_comparable(arms: Iterable[ComparedArm], *, by_design: Mapping[str, str] | None = None) -> list[str]:
    """Check that all runs have the same test items, and that runs of one seed are pairs.

    Args:
        by_design: pairing hashes that an axis of the ablation changes, with the axis. None: the runs were not made to
        be paired, and what they do not share is only reported.

    Returns:
        What is not shared, one line each.

    Raises:
        DataError: the runs have different data or test items, or an ablation's arms do not pair.
    """
    everything = [(arm.name, run) for arm in arms for run in arm.runs.values()]
    first_name, first = everything[0]
    for name, run in everything:
        for key in _NEEDED:
            if run.pairing_hashes.get(key) != first.pairing_hashes.get(key):
                raise DataError(
                    f"{run.path} ({name}) has {_WHAT[key]} than {first.path} ({first_name}), so they cannot be "
                    "compared: make the runs with the same --data, split and length limit"
                )
    return list(_unpaired(everything, by_design))


def _unpaired(everything: Sequence[tuple[str, LoadedRun]], by_design: Mapping[str, str] | None) -> Iterable[str]:
    for key, what in _WHAT.items():
        differing = _first_pair_that_differs(everything, key)
        if differing is None:
            continue
        one, other = differing
        if by_design is None:
            yield f"not paired: within seed {one.seed}, {other.path} has {what} than {one.path}"
        elif key in by_design:
            yield f"arms have {what} by design: {by_design[key]} differs"
        else:
            raise DataError(
                f"these arms do not pair: within seed {one.seed}, {other.path} has {what} than {one.path}; "
                "look for a setting that drops or cuts examples in one arm only, such as tokens.over_long"
            )


def _first_pair_that_differs(
    everything: Sequence[tuple[str, LoadedRun]], key: str
) -> tuple[LoadedRun, LoadedRun] | None:
    first_of: dict[int, LoadedRun] = {}
    for _, run in everything:
        one = first_of.setdefault(run.seed, run)
        if one.pairing_hashes.get(key) != run.pairing_hashes.get(key):
            return one, run
    return None


def _names(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings in which arms differ, `alpaca · mask-pad`; a setting that one arm lacks counts as different."""
    keys = [key for key in dict.fromkeys(key for settings in chosen for key in settings) if _differs(chosen, key)]
    return [settings_in_words({key: own[key] for key in keys if key in own}) or "default" for own in chosen]


def _differs(chosen: Sequence[Mapping[str, Any]], key: str) -> bool:
    return any(settings.get(key) != chosen[0].get(key) for settings in chosen)


_MAX_NAMED = 4
"""Cells that are named per variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trait:
    """An entry of a manifest that depends only on some settings."""

    entry: str
    keys: tuple[str, ...] = ()
    """Keys of the entry that count; empty = all of them."""
    what: str
    sections: tuple[str, ...]
    """The settings that decide it."""
    advice: str


_STEADY = "a prompt style must give the same text in every process, so it must not depend on hash() or set order"
_ONE_VERSION = "make all of them with one version"
_TRAITS = (
    _Trait(entry="template", keys=("sha256",), what="prompt text", sections=("prompt",), advice=_STEADY),
    _Trait(
        entry="template",
        keys=("prompt_ids",),
        what="prompt ids",
        sections=("prompt", "model"),
        advice="use one tokenizer for all",
    ),
    _Trait(entry="tokenizer", what="tokenizer", sections=("model",), advice="use one tokenizer for all"),
    _Trait(entry="weights", what="weights", sections=("model",), advice="use the same weights for all"),
    *(
        _Trait(
            entry=f"components.{seam}",
            keys=("plugin", "version"),
            what=f"plugin of the {label}",
            sections=(seam,),
            advice=_ONE_VERSION,
        )
        for seam, label in (
            ("prompt", "prompt style"),
            ("collate", "collate strategy"),
            ("model", "model"),
            ("judge", "judge"),
        )
    ),
)


def check_identity(arms: Sequence[ComparedArm], *, is_grid: bool) -> list[str]:
    """Check that runs with the same settings of a piece have the same piece.

    Args:
        is_grid: the arms are those of an ablation, so they must share what is not varied. For runs that were made one
        by one a difference is only noted.

    Returns:
        What arms do not share, one line each.

    Raises:
        DataError: cells of one arm, or of one grid, differ; the message names the piece and the cells.
    """
    notes = []
    for trait in _TRAITS:
        for variants in _variants(trait, arms):
            told = "; ".join(f"{_shown(trait, value)} in {_named(cells)}" for value, cells in variants.items())
            if is_grid or not _is_by_arm(variants):
                raise DataError(
                    f"these runs have the same settings but not the same {trait.what}, so they cannot be compared: "
                    f"{told}; {trait.advice}, then make those runs again"
                )
            notes.append(f"arms with the same settings differ in their {trait.what}: {told}")
    return notes


_Cell = tuple[str, LoadedRun]
"""Name of the arm, and the run."""
_Variants = Mapping[str, list[_Cell]]
"""Cells by value, as JSON."""


def _variants(trait: _Trait, arms: Sequence[ComparedArm]) -> Iterator[_Variants]:
    """Each group of cells with the same settings in which more than one value is found."""
    groups: dict[str, dict[str, list[_Cell]]] = {}
    for arm in arms:
        for run in arm.runs.values():
            value = _value(trait, run.manifest)
            if value is None:  # an older version did not record it
                continue
            own = {key: run.settings[key] for key in sorted(run.settings) if key.split(".")[0] in trait.sections}
            found = groups.setdefault(repr(own), {})
            found.setdefault(json.dumps(value, sort_keys=True), []).append((arm.name, run))
    return (found for found in groups.values() if len(found) > 1)


def _value(trait: _Trait, manifest: Mapping[str, Any]) -> Any:
    entry: Any = manifest
    for key in trait.entry.split("."):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    if isinstance(entry, Mapping) and trait.entry == "weights":  # the place of a file is not its content
        return {key: value for key, value in entry.items() if not _is_place(value)} or None
    if not isinstance(entry, Mapping) or not trait.keys:
        return entry
    values = [entry.get(key) for key in trait.keys]
    return None if all(value is None for value in values) else values


def _is_place(value: object) -> bool:
    return isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute())


def _is_by_arm(variants: _Variants) -> bool:
    """Whether no arm has cells with different values."""
    seen: dict[str, str] = {}
    return all(seen.setdefault(name, value) == value for value, cells in variants.items() for name, _ in cells)


def _shown(trait: _Trait, value: str) -> str:
    if trait.entry.startswith("components."):
        return " ".join(str(part) for part in json.loads(value))
    known = json.loads(value)
    digest = known[0] if trait.keys and isinstance(known[0], str) else hashlib.sha256(value.encode()).hexdigest()
    return f"{digest[:8]}…"


def _named(cells: Sequence[_Cell]) -> str:
    names = [f"{name} · seed {run.seed} ({run.path})" for name, run in cells[:_MAX_NAMED]]
    more = len(cells) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
