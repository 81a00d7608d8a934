"""The set-up and methods of a comparison, as facts and as a paragraph that can be pasted into a paper."""

from __future__ import annotations

from collections.abc import Iterable

from sftframe.comparison.result import ComparisonResult
from sftframe.comparison.yardsticks import Yardstick
from sftframe.stages.report import facts
from sftframe.stages.report.facts import RunFacts
from sftframe.statistics import Comparison

MAX_TOLD = 6
"""Most results in the paragraph; the tables show the others."""
_SHARED = (("split", "split"), ("initial_weights", "initial weights"), ("order", "order of batches"))
"""Pairing hashes and their names in the text."""


def comparison_facts(result: ComparisonResult) -> tuple[tuple[str, str], ...]:
    """The set-up of the runs, label and value; empty if only answers are known."""
    runs = _runs(result)
    return facts.setup_facts(runs) if any(run.settings for run in runs) else ()


def comparison_methods(result: ComparisonResult) -> str:
    """The paragraph; for files of answers only its statistics."""
    runs = _runs(result)
    parts = _made(result, runs) if any(run.settings for run in runs) else []
    return " ".join([*parts, *_statistics(result), *_results(result)])


def _runs(result: ComparisonResult) -> list[RunFacts]:
    return [
        RunFacts(settings=run.settings, manifest=run.manifest, summary=run.summary)
        for arm in result.arms
        for run in arm.runs.values()
    ]


def _made(result: ComparisonResult, runs: list[RunFacts]) -> list[str]:
    names = [arm.name for arm in result.arms]
    seeds = sorted({seed for arm in result.arms for seed in arm.runs})
    models, styles, masks = (
        list(dict.fromkeys(facts.named(run, seam) for run in runs)) for seam in ("model", "prompt", "collate")
    )
    shared = [name for key, name in _SHARED if _is_paired(result, key)]
    return [
        f"We fine-tuned {_or(models)} on {facts.data_sentence(runs[0])} using {facts.software(runs[0])}, in "
        f"{len(names)} arms: {'; '.join(names)}.",
        f"Prompts followed the style {_or(styles)}; the loss counted tokens as {_or(masks)} does.",
        f"The arms were trained with {'the seed' if len(seeds) == 1 else 'the seeds'} {_and(map(str, seeds))}"
        + (f"; within a seed all arms had the same {_and(shared)}." if shared else "."),
        *(part for part in (facts.training_sentence(runs), facts.answers_sentence(runs)) if part),
    ]


def _is_paired(result: ComparisonResult, key: str) -> bool:
    seeds = {seed for arm in result.arms for seed in arm.runs}
    by_seed = [{arm.runs[seed].pairing.get(key) for arm in result.arms if seed in arm.runs} for seed in seeds]
    return all(len(hashes) == 1 and None not in hashes for hashes in by_seed)


def _statistics(result: ComparisonResult) -> list[str]:
    main = result.main
    table, yardstick = main.table, main.yardstick
    num_seeds, num_pairs = len(table.seeds), len(table.comparisons)
    luck = {
        "items and seeds": "take items and seeds as crossed random effects, so they speak of other items and seeds",
        "items": "take the items as a sample and the seed as it is, so they do not speak of other seeds",
        "seeds": "take the seeds as a sample and the item as it is, so they do not speak of other items",
    }
    covers = next((found.interval.covers for found in table.comparisons if found.interval), None)
    adjusted = f", adjusted for {num_pairs} comparisons by Holm's method" if num_pairs > 1 else ""
    none = f", and differences within ±{main.margin:.3g} count as none (two one-sided tests)" if main.margin else ""
    return [
        f"Every arm was compared with {result.baseline} on the {yardstick.label[:1].lower()}{yardstick.label[1:]} "
        f"({yardstick.unit}) over the {len(table.items):,} test items and {num_seeds} "
        f"seed{'s' * (num_seeds != 1)} that all arms share, by means of paired differences.",
        *([f"Intervals are at 95 % and {luck[covers]}."] if covers else []),
        f"P-values are two-sided{adjusted}; the level is 0.05{none}.",
    ]


def _results(result: ComparisonResult) -> Iterable[str]:
    means = {arm.name: arm.mean for arm in result.main.table.arms}
    yardstick = result.main.yardstick
    yield f"{result.baseline} reached {yardstick.text(means[result.baseline])}."
    for found in result.main.table.comparisons[:MAX_TOLD]:
        yield _result(found, means[found.candidate], yardstick)


def _result(found: Comparison, mean: float, yardstick: Yardstick) -> str:
    told = [f"difference {yardstick.signed(found.difference)}"]
    if found.interval is not None:
        low, high = yardstick.signed(found.interval.low), yardstick.signed(found.interval.high)
        told.append(f"95 % interval {low} to {high}")
    if found.p_holm is not None:
        told.append(f"p = {found.p_holm:.3f}" if found.p_holm >= 0.001 else "p < 0.001")
    return f"{found.candidate} reached {yardstick.text(mean)} ({', '.join(told)}: {found.verdict})."


def _or(names: list[str]) -> str:
    return " or ".join(names)


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
