"""The verdict of an ablation's runs, its report, and the difference that a grid could detect."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sftframe.ablation.folder import AblationFolder
from sftframe.ablation.judge_noise import measured_judge_variance
from sftframe.ablation.planning import Plan
from sftframe.ablation.reporting import write_ablation_report
from sftframe.ablation.running import Ablation, CellResult
from sftframe.comparison import (
    ComparedArm,
    ComparisonResult,
    compare,
    comparison_document,
    find_yardstick,
    read_run,
)
from sftframe.errors import ConfigError
from sftframe.files import write_json
from sftframe.pipeline.setup import Components, prepare_data, resolve
from sftframe.progress import Observer
from sftframe.registry import Registry
from sftframe.statistics import VarianceComponents, minimum_detectable_difference
from sftframe.stored import read_record


def conclude(
    ablation: Ablation,
    cells: Sequence[CellResult],
    *,
    asks_judge: bool = True,
    warn: Callable[[str], None] = lambda text: None,
) -> ComparisonResult | None:
    """Compare the arms that have a complete run, and write the results and the report.

    Arms without one are left out, and so are seeds that not every other arm has; the caller knows which failed.

    Args:
        asks_judge: let the judge grade again, if its noise is wanted and not known yet.
        warn: gets what is left out.

    Returns:
        None if fewer than two arms are left.

    Raises:
        DataError: the arms do not pair.
        JudgeError: the judge's noise is wanted, and the judge is not there.
    """
    variance = measured_judge_variance(ablation, cells, asks_judge=asks_judge, warn=warn)
    result = _compared(ablation, cells, variance)
    write_json(
        ablation.folder.results_path,
        {
            "cells": [
                {
                    "arm": one.cell.arm.name,
                    "seed": one.cell.seed,
                    "run": str(one.path.relative_to(ablation.folder.path)),
                    "error": one.error,
                }
                for one in cells
            ],
            "judge_noise": {"repeats": ablation.plan.config.repeats, "variance": variance},
            "comparison": None if result is None else comparison_document(result),
        },
    )
    if result is not None:
        write_ablation_report(ablation, result, cells, warn=warn)
    return result


def detectable_difference(plan: Plan, registry: Registry, *, sd: float | None = None, pilot: Path | None = None) -> str:
    """The difference that a grid would find, in words, before it is run. Give `sd` or `pilot`, for the scatter of
    scores.

    Args:
        sd: standard deviation of one item's paired difference between two arms; differences between seeds do not count
        then. pilot: an earlier ablation; its variances are used.

    Raises:
        ConfigError: neither or both are given, the pilot has no results, or the standard deviation is not positive.
        DataError: the data cannot be read.
    """
    if sd is not None and pilot is not None:
        raise ConfigError("--sd and --pilot both say how much scores vary: give only one of them")
    yardstick = find_yardstick(plan.config.yardstick)
    components = _given_spread(sd) if pilot is None else _pilot_spread(pilot, yardstick.key)
    num_items, num_seeds = _num_test_items(plan, registry), len(plan.grid.seeds)
    found = minimum_detectable_difference(
        components, num_items=num_items, num_seeds=num_seeds, alpha=0.05 / max(1, len(plan.grid.arms) - 1), power=0.8
    )
    caveat = "" if components.seed is not None else "; the variation between seeds is not known, so it may be more"
    return (
        f"with {num_items} items and {num_seeds} seed{'s' * (num_seeds != 1)} the smallest difference found with "
        f"80 % power is {found:.3g} ({yardstick.unit}){caveat}"
    )


def remedy(result: ComparisonResult, path: Path, *, num_seeds: int) -> str:
    """The command that adds enough seeds for a verdict; empty if more seeds alone are not enough.

    Args:
        path: of the ablation.
        num_seeds: the number it has now.
    """
    wanted = [found.needed.seeds for found in result.told if found.verdict == "cannot tell" and found.needed]
    num_more = max((number for number in wanted if number), default=0)
    if not num_more:
        return ""
    command = shlex.join(["sftframe", "ablate", "--resume", str(path), "--seeds", str(num_seeds + num_more)])
    return f"Add {num_more} seed{'s' * (num_more != 1)} and keep the existing runs with: {command}"


def _compared(ablation: Ablation, cells: Sequence[CellResult], variance: float | None) -> ComparisonResult | None:
    plan = ablation.plan
    runs: dict[str, dict[int, Path]] = {}
    for one in cells:
        if not one.error:
            runs.setdefault(one.cell.arm.name, {})[one.cell.seed] = one.path
    if len(runs) < 2:
        return None
    arms = [
        ComparedArm(name=name, runs={seed: read_run(path) for seed, path in paths.items()})
        for name, paths in runs.items()
    ]
    baseline = plan.config.baseline
    result = compare(
        arms,
        yardstick=plan.config.yardstick,
        margin=plan.config.margin,
        baseline=baseline if baseline in runs else None,
        by_design=plan.designed_differences,
        settings={arm.name: dict(arm.settings) for arm in plan.grid.arms if arm.name in runs},
        judge_variance=variance,
    )
    return replace(result, remedy=remedy(result, ablation.folder.path, num_seeds=len(plan.grid.seeds)))


def _given_spread(sd: float | None) -> VarianceComponents:
    if sd is None or not sd > 0:
        raise ConfigError(f"--sd {sd}: expected a positive standard deviation, in the unit of the yardstick")
    return VarianceComponents(seed=None, item=sd**2, residual=0.0)


def _pilot_spread(pilot: Path, yardstick: str) -> VarianceComponents:
    """Components of the pair with the largest variance."""
    folder = AblationFolder.open(pilot)
    tables = (folder.read_results().comparison or {}).get("yardsticks")
    found = [table for table in tables if _is_table(table, yardstick)] if isinstance(tables, list) else []
    spreads = [
        read_record(VarianceComponents, one.get("components") if isinstance(one, dict) else one, folder.results_path)
        for table in found
        for one in table["comparisons"]
    ]
    if not spreads:
        raise ConfigError(f"{pilot} has no results for {yardstick!r}: finish it first, or give --sd")
    return max(spreads, key=lambda one: one.total)


def _is_table(table: object, yardstick: str) -> bool:
    return isinstance(table, dict) and table.get("key") == yardstick and isinstance(table.get("comparisons"), list)


def _num_test_items(plan: Plan, registry: Registry) -> int:
    config = resolve(plan.grid.arms[0].layer, registry)
    return len(prepare_data(config, Components.choose(config, registry), Observer()).test_examples())
