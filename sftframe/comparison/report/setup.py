"""The set-up of the runs: versions, machine and data of all of them, pairing hashes by seed, folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sftframe.comparison.result import ComparisonResult
from sftframe.comparison.runs import FinishedRun
from sftframe.stages.report.manifest import Table, manifest_tables

_SHOWN = ("versions", "machine", "data", "judge", "device", "dtype")
"""Parts of a manifest that should be the same in all runs."""
PAIRING = ("data", "split", "test", "initial_weights", "order")
"""Hashes in the order of their columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRow:
    """The hashes that the runs of one seed share."""

    seed: int
    hashes: tuple[tuple[str, ...], ...]
    """Per column the different hashes; one if all arms share it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run."""

    arm: str
    seed: int
    path: str


def manifest_of(result: ComparisonResult) -> tuple[Table, ...]:
    """The first run's manifest, without the parts that should differ."""
    manifest = _runs(result)[0].manifest
    return manifest_tables({key: manifest[key] for key in _SHOWN if key in manifest})


def differing_entries(result: ComparisonResult) -> tuple[str, ...]:
    """Entries that differ between runs but should not, one line per entry with its values."""
    known: dict[str, list[str]] = {}
    for run in _runs(result):
        for caption, lines in manifest_tables({key: run.manifest[key] for key in _SHOWN if key in run.manifest}):
            for name, value in lines:
                known.setdefault(name if caption == "run" else f"{caption}.{name}", []).append(value)
    num_runs = len(_runs(result))
    return tuple(
        f"{name}: {', '.join(dict.fromkeys(values))}" + (" or nothing" if len(values) < num_runs else "")
        for name, values in known.items()
        if len(set(values)) > 1 or len(values) < num_runs
    )


def pairing_rows(result: ComparisonResult) -> tuple[PairingRow, ...]:
    """One row per seed, with every hash that its runs have."""
    by_seed: dict[int, list[FinishedRun]] = {}
    for run in _runs(result):
        by_seed.setdefault(run.seed, []).append(run)
    return tuple(
        PairingRow(seed=seed, hashes=tuple(_different([run.pairing.get(key, "") for run in runs]) for key in PAIRING))
        for seed, runs in sorted(by_seed.items())
    )


def run_rows(result: ComparisonResult) -> tuple[RunRow, ...]:
    """Every run's folder."""
    return tuple(
        RunRow(arm=arm.name, seed=seed, path=str(run.path)) for arm in result.arms for seed, run in arm.runs.items()
    )


def _runs(result: ComparisonResult) -> list[FinishedRun]:
    return [run for arm in result.arms for run in arm.runs.values()]


def _different(hashes: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hashes))
