"""Finished runs as the arms of a comparison: read, grouped by their settings, refused if they do not match.

Everything is read from the folders: no data file, plugin or model is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftframe.config import flattened, read_toml, settings_in_words
from sftframe.errors import ConfigError, DataError
from sftframe.records import ItemResult
from sftframe.runs import RunFolder
from sftframe.stored import read_object, read_record, read_records

_NOT_AN_ARM = ("seed", "out", "threads", "device", "before", "max_failures")
"""Settings in which runs of one arm may differ."""
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
class FinishedRun:
    """The contents of a run's folder that a comparison needs."""

    path: Path
    seed: int
    settings: Mapping[str, Any]
    """Flat configuration, `train.lr` and the like."""
    pairing: Mapping[str, str]
    judge: str
    items: tuple[ItemResult, ...]
    summary: Mapping[str, Any]
    """`summary.json`."""
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedArm:
    """Runs that differ only in their seed."""

    name: str
    runs: Mapping[int, FinishedRun]
    """By seed."""

    def any_run(self) -> FinishedRun:
        """The run of the first seed, for values that are the same in all."""
        return next(iter(self.runs.values()))


def read_run(path: Path) -> FinishedRun:
    """A finished run.

    Raises:
        ConfigError: the folder is no run, or its run is not finished.
    """
    folder = RunFolder.open(path)
    if not (folder.items_path.exists() and folder.summary_path.exists()):
        raise ConfigError(f"{path} is not finished: finish it with sftframe run --resume {path}")
    manifest, summary = read_object(folder.manifest_path), read_object(folder.summary_path)
    said = read_record(_Identity, manifest, folder.manifest_path)
    read_record(_Measured, summary, folder.summary_path)
    return FinishedRun(
        path=path,
        seed=said.seed,
        settings=dict(flattened(read_toml(folder.config_path))),
        pairing=said.pairing,
        judge=said.judge,
        items=tuple(read_records(ItemResult, folder.items_path)),
        summary=summary,
        manifest=manifest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """Required entries of a manifest."""

    seed: int
    pairing: dict[str, str]
    judge: str
    tokenizer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    counted_share: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Entries of a summary that are shown."""

    train: _Trained | None = None


def group_into_arms(runs: Sequence[FinishedRun]) -> list[ComparedArm]:
    """Group runs into arms: runs of one arm differ only in the seed. An arm's name shows how it differs from the
    others.

    Raises:
        ConfigError: one arm only, or two runs with the same settings and seed.
    """
    groups: list[tuple[dict[str, Any], dict[int, FinishedRun]]] = []
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
            if run.pairing.get(key) != first.pairing.get(key):
                raise DataError(
                    f"{run.path} ({name}) has {_WHAT[key]} than {first.path} ({first_name}), so they cannot be "
                    "compared: make the runs with the same --data, split and length limit"
                )
    return list(_unpaired(everything, by_design))


def _unpaired(everything: Sequence[tuple[str, FinishedRun]], by_design: Mapping[str, str] | None) -> Iterable[str]:
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
    everything: Sequence[tuple[str, FinishedRun]], key: str
) -> tuple[FinishedRun, FinishedRun] | None:
    first_of: dict[int, FinishedRun] = {}
    for _, run in everything:
        one = first_of.setdefault(run.seed, run)
        if one.pairing.get(key) != run.pairing.get(key):
            return one, run
    return None


def _names(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings in which arms differ, `alpaca · mask-pad`; a setting that one arm lacks counts as different."""
    keys = [key for key in dict.fromkeys(key for settings in chosen for key in settings) if _differs(chosen, key)]
    return [settings_in_words({key: own[key] for key in keys if key in own}) or "default" for own in chosen]


def _differs(chosen: Sequence[Mapping[str, Any]], key: str) -> bool:
    return any(settings.get(key) != chosen[0].get(key) for settings in chosen)
