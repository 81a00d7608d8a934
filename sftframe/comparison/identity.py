"""Checks that runs with the same settings were made of the same pieces: text of a style, version of a plugin.

If a style depends on hash order or on the date, or a plugin was updated between two cells, runs with the same settings
are not the same experiment. Their manifests show it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from sftframe.comparison.runs import ComparedArm, FinishedRun
from sftframe.errors import DataError

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


_Cell = tuple[str, FinishedRun]
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
