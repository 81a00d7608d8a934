"""What a finished grid shows: the comparison, the judge's noise, and the files of the results."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sftframe.ablation.folder import AblationFolder
from sftframe.ablation.grid import Arm
from sftframe.ablation.planning import Plan
from sftframe.ablation.running import Ablation, CellResult
from sftframe.analysis import (
    ComparedArm,
    ComparisonResult,
    Looks,
    PeopleLabels,
    TakenLook,
    VarianceComponents,
    compare,
    find_yardstick,
    judge_variance,
    minimum_detectable_difference,
    read_labels,
    with_labels,
)
from sftframe.confidence import group_freedom, units_of
from sftframe.config import merge
from sftframe.data import load_examples, split
from sftframe.errors import ConfigError, SftframeError
from sftframe.files import write_json, write_whole
from sftframe.formatting import duration
from sftframe.judging import Judging, judge_behind
from sftframe.pipeline import Components, prepare_data, resolve, view_examples
from sftframe.progress import Observer
from sftframe.prompts.tokens import tokenize
from sftframe.registry import Registry
from sftframe.report import PageInput, comparison_document, comparison_page, read_arm_curves
from sftframe.runs import RunStore, load_run, read_record
from sftframe.trust import claims_of, judge_claims, require, trust_command, unaccepted


def measured_judge_variance(
    ablation: Ablation,
    cells: Sequence[CellResult],
    *,
    asks_judge: bool = True,
    warn: Callable[[str], None] = lambda text: None,
) -> float | None:
    """Variance of one score, in squared points.

    A value in the ablation's results is not measured again. A deterministic judge has no noise.

    Args:
        asks_judge: measure it if it is not known yet; False for a report, which calls no judge.
        warn: gets a line if it is not known and not measured.

    Returns:
        None if it is not known, or if the judge is not deterministic and `ablate.repeats` is 1.

    Raises:
        ConfigError: the user has not accepted this judge.
        JudgeError: the judge is not there, or fails on too many answers.
    """
    config = resolve(ablation.plan.base, ablation.registry)
    judge = ablation.registry.judge(config.judge.name, config.judge.options)
    if judge.is_deterministic:
        return 0.0
    repeats = ablation.plan.config.repeats
    complete = next((one for one in cells if not one.error), None)
    if repeats < 2 or complete is None:
        return None
    known = ablation.folder.read_results().judge_noise
    if known is not None and known.repeats == repeats and known.variance is not None:
        return known.variance
    path = ablation.folder.path
    if not asks_judge:
        warn(
            f"the judge's own noise is not part of this report, because it is not measured yet: "
            f"sftframe ablate --resume {path} measures it"
        )
        return None
    require(path, judge_claims(judge, (), inside=[path]))
    judge.check()
    items = [item.for_judge() for item in RunStore.open(complete.path).load().items]
    judging = Judging.of(config, judge, ablation.registry, Observer())
    judgement = judging.judge_answers(items, stage="judge again", num_repeats=repeats)
    judgement.check(config.max_failures)
    gradings = (judgement.verdicts, *judgement.repeats)
    return judge_variance([{verdict.index: verdict.score for verdict in grading} for grading in gradings])


ShownTokens = list[tuple[str, str, bool, float]]
"""Text, role label, whether it counts as a target, weight."""


def write_ablation_report(
    ablation: Ablation,
    result: ComparisonResult,
    cells: Sequence[CellResult],
    *,
    warn: Callable[[str], None] = lambda text: None,
) -> None:
    """Write `report.html`.

    Args:
        warn: gets what is left out.

    Raises:
        DataError: a run's `metrics.jsonl` is damaged.
    """
    folder = ablation.folder
    page = PageInput(
        result=result,
        title=str(folder.path),
        failed_cells=[(one.cell.name, one.error) for one in cells if one.error],
        curves=read_arm_curves(result.arms),
        gradients=folder.read_gradients(),
        command=shlex.join(["sftframe", "ablate", "--config", str(folder.plan_path), "--out", f"{folder.path}-again"]),
        token_examples=_token_examples(ablation, result, warn),
    )
    write_whole(folder.report_path, comparison_page(page))


def _token_examples(
    ablation: Ablation, result: ComparisonResult, warn: Callable[[str], None]
) -> dict[str, ShownTokens]:
    path = ablation.folder.path
    unknown = unaccepted(claims_of(ablation.folder.read_plan(), ablation.registry, inside=[path], asks_judge=False))
    if unknown:
        words = "; ".join(claim.words for claim in unknown)
        warn(f"no example is shown as tokens, because sftframe would {words}; accept it with: {trust_command(path)}")
        return {}
    arms = {arm.name: arm for arm in ablation.arms}
    found: dict[str, ShownTokens] = {}
    for compared in result.arms:
        with suppress(SftframeError):  # without its vocabulary the example is missing, not the report
            found[compared.name] = _tokens_of(arms[compared.name], compared.any_run().seed, ablation.registry)
    return {name: tokens for name, tokens in found.items() if tokens}


def _tokens_of(arm: Arm, seed: int, registry: Registry) -> ShownTokens:
    """Tokens of the first example with an input in the first batch in file order; of its first if none has one."""
    config = resolve(merge(arm.layer, {"seed": seed}), registry)
    components = Components.choose(config, registry)
    batch = split(load_examples(config.data), config.data).train[: config.train.batch_size]
    chosen = next((example for example in batch if example.input), batch[0])
    store, _ = tokenize(
        batch,
        components.style,
        components.tokenizer,
        config.tokens,
        context_length=components.backend.context_length(None),
    )
    return [
        (token.text, token.role, token.weight > 0, token.weight)
        for example, tokens in view_examples(components, store, len(store))
        if example.index == chosen.index
        for token in tokens
    ]


def conclude(
    ablation: Ablation,
    cells: Sequence[CellResult],
    *,
    asks_judge: bool = True,
    people: PeopleLabels | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> ComparisonResult | None:
    """Compare the arms that have a complete run, and write the results and the report.

    Arms without one are left out, and so are seeds that not every other arm has; the caller knows which failed.

    Args:
        asks_judge: let the judge grade again, if its noise is wanted and not known yet.
        people: labels that correct the judge; by default those that the ablation's folder has.
        warn: gets what is left out.

    Returns:
        None if fewer than two arms are left.

    Raises:
        DataError: the arms do not pair.
        JudgeError: the judge's noise is wanted, and the judge is not there.
    """
    variance = measured_judge_variance(ablation, cells, asks_judge=asks_judge, warn=warn)
    compared = _compared(ablation, cells, variance)
    if compared is not None and not any(one.error for one in cells):
        ablation.folder.write_looks(_recorded(ablation.folder.read_looks(), compared))
    result = _labelled(compared, ablation.folder, people)
    if result is not None and compared is not None and result.main.yardstick != compared.main.yardstick:
        result = replace(result, looks=_uncorrected(compared.looks))
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
            "tuning": ablation.tuning,
            "comparison": None if result is None else comparison_document(result),
        },
    )
    if result is not None:
        write_ablation_report(ablation, result, cells, warn=warn)
    return result


def _uncorrected(looks: Looks | None) -> Looks | None:
    """The looks for a verdict that does not allow for them: one with people's labels."""
    return replace(looks, planned=()) if looks is not None and len(looks.taken) > 1 else None


def _recorded(earlier: Sequence[TakenLook], result: ComparisonResult) -> list[TakenLook]:
    """The looks with this one. If it was taken before with another yardstick or margin, it stays as it was."""
    now = result.look
    before = next((look for look in earlier if look.seeds == now.seeds), now)
    is_same = (before.yardstick, before.margin) == (now.yardstick, now.margin)
    return [*(look for look in earlier if len(look.seeds) < len(now.seeds)), now if is_same else before]


def detectable_difference(plan: Plan, registry: Registry, *, sd: float | None = None, pilot: Path | None = None) -> str:
    """The difference that a grid would find, in words, before it is run. Give `sd` or `pilot`, for the scatter of
    scores.

    Args:
        sd: standard deviation of one item's paired difference between two arms; differences between seeds do not count
            then.
        pilot: an earlier ablation; its variances are used.

    Raises:
        ConfigError: neither or both are given, the pilot has no results, or the standard deviation is not positive.
        DataError: the data cannot be read.
    """
    if sd is not None and pilot is not None:
        raise ConfigError("--sd and --pilot both say how much scores vary: give only one of them")
    yardstick = find_yardstick(plan.config.yardstick)
    if pilot is not None:
        components = _pilot_spread(pilot, yardstick.key)
    elif sd is not None and sd > 0:
        components = VarianceComponents(seed=None, item=sd**2, residual=0.0)
    else:
        raise ConfigError(f"--sd {sd}: expected a positive standard deviation, in the unit of the yardstick")
    config = resolve(plan.grid.arms[0].layer, registry)
    examples = prepare_data(config, Components.choose(config, registry), Observer()).test_examples()
    num_items, num_seeds = len(examples), len(plan.grid.seeds)
    sizes = [*Counter(units_of(range(num_items), {i: one.group for i, one in enumerate(examples)}) or ()).values()]
    if len(sizes) == 1:
        return f"all {num_items} test items are of one group, so no number of seeds says anything about other items"

    def detectable(spread: VarianceComponents) -> float:
        return minimum_detectable_difference(
            spread,
            num_items=num_items,
            num_seeds=num_seeds,
            alpha=0.05 / max(1, len(plan.grid.arms) - 1),
            power=0.8,
            item_freedom=group_freedom(sizes) if sizes else None,
        )

    found = detectable(components)
    groups = f" in {len(sizes)} groups" if sizes else ""
    caveat = "" if components.seed is not None else "; the variation between seeds is not known, so it may be more"
    if sizes and sd is not None:
        together = VarianceComponents(seed=None, item=sd**2 * sum(size**2 for size in sizes) / num_items, residual=0.0)
        caveat += f"; if the items of a group all differ alike, it is {detectable(together):.3g}"
    return (
        f"with {num_items} items{groups} and {num_seeds} seed{'s' * (num_seeds != 1)} the smallest difference found "
        f"with 80 % power is {found:.3g} ({yardstick.unit}){caveat}"
    )


def remedy(result: ComparisonResult, path: Path, *, num_seeds: int) -> str:
    """How to carry out the plans for a verdict, and what the training costs; empty if there is none.

    Seeds can be added to an ablation, with a command; items need a new one.

    Args:
        path: of the ablation.
        num_seeds: the number it has now.
    """
    if result.looks is not None and result.looks.is_corrected and result.looks.next is not None:
        if result.look.is_decided:
            return ""
        return f"Continue with: {shlex.join(['sftframe', 'ablate', '--resume', str(path)])}"
    plans = [found.needed for found in result.told if found.verdict == "cannot tell" and found.needed]
    num_more = max((plan.seeds for plan in plans if plan.seeds), default=0)
    if num_more:
        command = shlex.join(["sftframe", "ablate", "--resume", str(path), "--seeds", str(num_seeds + num_more)])
        added = f"{num_more} seed{'s' * (num_more != 1)}{_cost(result, num_more)}"
        return f"Add {added} and keep the existing runs with: {command}"
    together = [plan.both for plan in plans if plan.both]
    if not together:
        return ""
    items, seeds = (max(numbers) for numbers in zip(*together, strict=True))
    return (
        f"Items cannot be added to an ablation: start a new one with {num_seeds + seeds} seeds and {items:,} more test "
        f"items{_cost(result, num_seeds + seeds)}."
    )


def _cost(result: ComparisonResult, num_seeds: int) -> str:
    """What so many seeds of all arms cost, judging by those there are."""
    seconds = result.seed_training_s
    return "" if seconds is None else f" (about {duration(num_seeds * seconds)} of training)"


def _compared(ablation: Ablation, cells: Sequence[CellResult], variance: float | None) -> ComparisonResult | None:
    plan = ablation.plan
    runs: dict[str, dict[int, Path]] = {}
    for one in cells:
        if not one.error:
            runs.setdefault(one.cell.arm.name, {})[one.cell.seed] = one.path
    if len(runs) < 2:
        return None
    arms = [
        ComparedArm(name=name, runs={seed: load_run(path) for seed, path in paths.items()})
        for name, paths in runs.items()
    ]
    baseline = plan.config.baseline
    seeds = tuple(sorted(set.intersection(*(set(arm.runs) for arm in arms))))
    earlier = ablation.folder.read_looks()
    known = tuple(look for look in earlier if len(look.seeds) < len(seeds))
    looks = Looks(taken=(*(look.seeds for look in known), seeds), planned=plan.config.planned_looks)
    is_only = not known and not looks.planned
    result = compare(
        arms,
        yardstick=plan.config.yardstick,
        margin=plan.config.margin,
        baseline=baseline if baseline in runs else None,
        by_design=plan.designed_differences,
        settings={arm.name: dict(arm.settings) for arm in plan.grid.arms if arm.name in runs},
        judge_variance=variance,
        judge=judge_behind(arms[0].any_run().judge, ablation.registry),
        looks=None if is_only else looks,
    )
    return replace(
        result,
        path=() if is_only else (*known, result.look),
        notes=(*ablation.tuning.notes, *result.notes),
        remedy=remedy(result, ablation.folder.path, num_seeds=len(plan.grid.seeds)),
    )


def _labelled(
    result: ComparisonResult | None, folder: AblationFolder, people: PeopleLabels | None
) -> ComparisonResult | None:
    """The result corrected by labels; by those of an earlier call only if they still fit."""
    if result is None or people is not None:
        return result if result is None or people is None else with_labels(result, people)
    if result.main.yardstick.key != "judge" or not folder.labels_path.is_file():
        return result
    try:
        return with_labels(result, read_labels(folder.labels_path, scale=(0, 100)))
    except SftframeError as error:
        return replace(result, notes=(*result.notes, f"people's labels are not used: {error}"))


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
