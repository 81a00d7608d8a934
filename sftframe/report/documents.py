"""A comparison as sentences, Markdown, CSV and JSON, with its methods."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from sftframe.analysis import (
    MAX_FULL,
    ComparedArm,
    Comparison,
    ComparisonResult,
    FlippedItem,
    Yardstick,
    YardstickTable,
    find_yardstick,
)
from sftframe.escaping import escape_controls
from sftframe.files import plain
from sftframe.formatting import p_text
from sftframe.report import summary as facts
from sftframe.report.costs import Cost, cost_in_words, cost_of_arm, costs_document, total
from sftframe.report.people import people_lines, people_markdown
from sftframe.report.summary import RunFacts

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
    by_seed = [{arm.runs[seed].pairing_hashes.get(key) for arm in result.arms if seed in arm.runs} for seed in seeds]
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
        *([told] if (told := groups_cost(main)) else []),
        *([told] if (told := looks_sentence(result)) else []),
        f"P-values are two-sided{adjusted}; the level is 0.05{none}.",
    ]


def next_questions(result: ComparisonResult) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a reader asks after the verdict, with lines that answer it; questions without an answer are left out.

    Of many comparisons only the verdict of each is told; the tables have the rest.
    """
    is_short = len(result.told) <= MAX_FULL
    told = (
        ("How large", result.effects if is_short else ()),
        ("How sure", (*(result.worths if is_short else ()), groups_cost(result.main))),
        ("What people say", people_lines(result)),
        ("What would settle it" if is_short else "Each comparison", result.details),
        ("What to do", (result.remedy,)),
        ("What it cost", (cost_in_words(total([cost_of_arm(arm) for arm in result.arms])),)),
    )
    answers = ((question, tuple(line for line in lines if line)) for question, lines in told)
    return tuple((question, lines) for question, lines in answers if lines)


def looks_sentence(result: ComparisonResult) -> str:
    """How often the arms were compared while seeds were added, and what allows for it; empty for one look alone."""
    looks = result.looks
    if looks is None:
        return ""
    taken = _and(str(len(seeds)) for seeds in looks.taken)
    if not looks.is_corrected:
        return f"The arms were compared with {taken} seeds; the last comparison does not allow for the ones before it."
    return (
        f"The arms were compared with {taken} seeds; looks at {_and(map(str, looks.planned))} seeds were planned, with "
        "a stop as soon as all was decided. Intervals are repeated confidence intervals and p-values are adjusted, so "
        "that they hold for all looks together (Lan and DeMets' spending of O'Brien and Fleming's type, by the "
        "information of items and seeds)."
    )


LOOK_COLUMNS = ("seeds", "arm", "difference", "95 % interval", "z", "decides from", "verdict")


def look_rows(result: ComparisonResult) -> list[tuple[str, ...]]:
    """The path of looks, one line per look and comparison, with `LOOK_COLUMNS`; empty for one look alone."""
    rows: list[tuple[str, ...]] = []
    for look in result.path:
        yardstick = find_yardstick(look.yardstick)
        if not look.comparisons:
            rows.append((str(len(look.seeds)), "", "", "", "", "", "not kept"))
        for found in look.comparisons:
            bounds = "–"
            if found.low is not None and found.high is not None:
                bounds = f"{yardstick.signed(found.low)} to {yardstick.signed(found.high)}"
            z = "–" if found.z is None else f"{found.z:+.2f}"
            bound = "not corrected" if not look.is_corrected else "–" if found.bound is None else f"±{found.bound:.2f}"
            other = f" {yardstick.key}" if yardstick.key != result.main.yardstick.key else ""
            difference = f"{yardstick.signed(found.difference)}{other}"
            name = escape_controls(found.candidate)  # from a file that may be somebody else's
            rows.append((str(len(look.seeds)), name, difference, bounds, z, bound, found.verdict))
    return rows


def groups_cost(table: YardstickTable) -> str:
    """What the groups of items cost, in a sentence; empty without groups."""
    found = [one for one in table.table.comparisons if one.grouping is not None]
    if not found:
        return ""
    first = found[0].grouping
    assert first is not None
    if first.num_groups == 1:
        return f"The {found[0].num_items:,} items are in one group, so nothing is said about other items."
    told = (
        f"The {found[0].num_items:,} items are in {first.num_groups:,} groups (the largest has {first.largest:,}), and "
        "a group is one unit."
    )
    costs = [(one.candidate, one.grouping) for one in found]
    parts = [
        f"{name} ±{grouping.half_width:.3g} (±{grouping.half_width_ungrouped:.3g} if items were independent; they "
        f"count like {grouping.effective_items:,.0f} independent items)"
        for name, grouping in costs[:MAX_TOLD]
        if grouping and grouping.half_width and grouping.half_width_ungrouped and grouping.effective_items
    ]
    return f"{told} Half width of the interval: {'; '.join(parts)}." if parts else told


def _results(result: ComparisonResult) -> Iterable[str]:
    means = {arm.name: arm.mean for arm in result.main.table.arms}
    yardstick = result.main.yardstick
    yield f"{result.baseline} reached {yardstick.text(means[result.baseline])}."
    for found in result.main.table.comparisons[:MAX_TOLD]:
        yield _result(found, means[found.candidate], yardstick)


def _result(found: Comparison, mean: float, yardstick: Yardstick) -> str:
    parts = [f"difference {yardstick.signed(found.difference)}"]
    if found.interval is not None:
        low, high = yardstick.signed(found.interval.low), yardstick.signed(found.interval.high)
        parts.append(f"95 % interval {low} to {high}")
    if found.p_holm is not None:
        parts.append(f"p = {found.p_holm:.3f}" if found.p_holm >= 0.001 else "p < 0.001")
    return f"{found.candidate} reached {yardstick.text(mean)} ({', '.join(parts)}: {found.verdict})."


def _or(names: list[str]) -> str:
    return " or ".join(names)


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


SCHEMA_VERSION = 1


def comparison_document(result: ComparisonResult) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "sentence": result.sentence,
        "details": list(result.details),
        "remedy": result.remedy,
        "effects": list(result.effects),
        "worths": list(result.worths),
        "cost": costs_document(result),
        "baseline": result.baseline,
        "yardstick": result.main.yardstick.key,
        "notes": list(result.notes),
        "methods": comparison_methods(result),
        "arms": [
            {
                "name": arm.name,
                "runs": {str(seed): str(run.path) for seed, run in arm.runs.items()},
                "counted_share": counted_share(arm),
            }
            for arm in result.arms
        ],
        "yardsticks": [_table(table) for table in result.tables],
        "looks": {
            "planned": list(result.looks.planned) if result.looks else [],
            "is_corrected": result.looks.is_corrected if result.looks else None,
            "path": plain(result.path),
        },
        "axes": [{"axis": axis.axis, "num_arms": dict(axis.num_arms), **plain(axis.table)} for axis in result.axes],
        "flipped": {candidate: [_flip(flip) for flip in flips] for candidate, flips in result.flips.items()},
        **({"people": plain(result.people)} if result.people else {}),
    }


def _flip(flip: FlippedItem) -> dict[str, Any]:
    return {
        "index": flip.index,
        "instruction": flip.baseline.instruction,
        "input": flip.baseline.input,
        "reference": flip.baseline.reference,
        "baseline_scores": list(flip.baseline_scores),
        "candidate_scores": list(flip.candidate_scores),
        "baseline_answer": flip.baseline.answer,
        "candidate_answer": flip.candidate.answer,
        "seed": flip.seed,
        "difference": flip.difference,
        **({"before": [list(said) for said in flip.baseline.before]} if flip.baseline.before else {}),
    }


def counted_share(arm: ComparedArm) -> Mapping[str, float]:
    """By role, the share of target positions that counted in the training of the arm's first run; empty if unknown."""
    share: Mapping[str, float] = (arm.any_run().summary.get("train") or {}).get("counted_share") or {}
    return share


def comparison_markdown(result: ComparisonResult) -> str:
    """The verdict, two tables, the set-up and a paragraph on methods, short enough for a pull request."""
    main = result.main
    first = main.table
    means = {arm.name: arm.mean for arm in first.arms}
    lines = [
        result.sentence,
        "",
        f"{main.yardstick.label} in {main.yardstick.unit}, {len(first.items)} items{main.in_groups}, "
        f"{len(first.seeds)} seed{'s' * (len(first.seeds) != 1)}; differences to {_code(result.baseline)}, "
        f"±{main.margin:.3g} counts as none.",
        "",
        "| arm | mean | difference | 95 % interval | p (Holm) | verdict |",
        "|---|---|---|---|---|---|",
        f"| {_code(result.baseline)} | {main.yardstick.text(means[result.baseline])} | | | | baseline |",
    ]
    lines += [_markdown_row(main, comparison, means) for comparison in first.comparisons]
    if looks := look_rows(result):
        lines += ["", looks_sentence(result), "", f"| {' | '.join(LOOK_COLUMNS)} |", "|---" * len(LOOK_COLUMNS) + "|"]
        lines += [f"| {seeds} | {_code(arm) if arm else ''} | {' | '.join(rest)} |" for seeds, arm, *rest in looks]
    others = [table for table in result.tables if table is not main]
    lines += ["", "| arm | " + " | ".join(f"{t.yardstick.label} ({t.yardstick.unit})" for t in others) + " |"]
    lines += ["|---|" + "---|" * len(others)]
    for arm in result.arms:
        own = [next(a.mean for a in table.table.arms if a.name == arm.name) for table in others]
        figures = [table.yardstick.text(mean) for table, mean in zip(others, own, strict=True)]
        lines.append(f"| {_code(arm.name)} | " + " | ".join(figures) + " |")
    remarks = [f"{question}: {line}" for question, answers in next_questions(result) for line in answers]
    lines += ["", *(f"- {line}" for line in (*remarks, *result.notes))]
    lines += people_markdown(result)
    facts = comparison_facts(result)
    lines += ["", "| set-up | |", "|---|---|"] if facts else []
    lines += [f"| {label} | {_cell(value)} |" for label, value in facts]
    lines += ["", comparison_methods(result)]
    return escape_controls("\n".join(lines)) + "\n"


def comparison_csv(result: ComparisonResult) -> str:
    """One line per yardstick and pair, with the cost of the candidate."""
    costs = {arm.name: cost_of_arm(arm) for arm in result.arms}
    rows = [
        _csv_row(table, found, costs[found.candidate]) for table in result.tables for found in table.table.comparisons
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _csv_row(table: YardstickTable, found: Comparison, cost: Cost) -> dict[str, Any]:
    shares = found.components.shares_of_mean(found.num_seeds, found.num_items)
    means = {arm.name: arm.mean for arm in table.table.arms}
    return {
        "yardstick": table.yardstick.key,
        "unit": table.yardstick.unit,
        "baseline": found.baseline,
        "candidate": found.candidate,
        "baseline_mean": means[found.baseline],
        "candidate_mean": means[found.candidate],
        "difference": found.difference,
        "low": found.interval.low if found.interval else "",
        "high": found.interval.high if found.interval else "",
        "p_value": found.p_value,
        "p_holm": found.p_holm,
        "margin": found.margin,
        "p_equivalence": found.p_equivalence,
        "verdict": found.verdict,
        "effect": table.yardstick.effect_in_words(found.difference, table.table.means_of(found)),
        "seed_differences": " ".join(f"{difference:.6g}" for difference in found.seed_differences),
        "num_items": found.num_items,
        "num_seeds": found.num_seeds,
        "missing_in_baseline": found.missing.in_baseline if found.missing else 0,
        "missing_in_candidate": found.missing.in_candidate if found.missing else 0,
        "lowest_if_missing": _or_empty(found.missing.low if found.missing else None),
        "highest_if_missing": _or_empty(found.missing.high if found.missing else None),
        "num_groups": found.grouping.num_groups if found.grouping else "",
        "effective_items": _or_empty(found.grouping.effective_items if found.grouping else None),
        "half_width": _or_empty(found.grouping.half_width if found.grouping else None),
        "half_width_without_groups": _or_empty(found.grouping.half_width_ungrouped if found.grouping else None),
        "share_of_seeds": shares.get("seed", ""),
        "share_of_items": shares.get("item", ""),
        "half_width_with_more_seeds": _or_empty(found.worth.with_seeds if found.worth else None),
        "half_width_with_more_items": _or_empty(found.worth.with_items if found.worth else None),
        "train_seconds": _or_empty(cost.seconds),
        "train_steps": _or_empty(cost.steps),
        "train_tokens": _or_empty(cost.tokens),
        "look": _or_empty(found.look.number if found.look else None),
        "share_of_information": _or_empty(found.look.share if found.look else None),
    }


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def _table(table: YardstickTable) -> dict[str, Any]:
    yardstick = table.yardstick
    return {
        "key": yardstick.key,
        "label": yardstick.label,
        "unit": yardstick.unit,
        "meaning": yardstick.meaning,
        "margin": table.margin,
        "num_unscored": dict(table.num_unscored),
        **plain(table.table),
    }


def _markdown_row(table: YardstickTable, found: Comparison, means: dict[str, float]) -> str:
    yardstick, interval = table.yardstick, found.interval
    bounds = f"{yardstick.signed(interval.low)} to {yardstick.signed(interval.high)}" if interval else "–"
    return (
        f"| {_code(found.candidate)} | {yardstick.text(means[found.candidate])} | "
        f"{yardstick.signed(found.difference)} | {bounds} | {p_text(found.p_holm)} | {found.verdict} |"
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
