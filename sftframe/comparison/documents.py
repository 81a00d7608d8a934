"""A comparison as JSON, Markdown and CSV. `docs/ablate.md` describes the JSON; its fields are never removed."""

from __future__ import annotations

import csv
import io
from typing import Any

from sftframe.comparison.methods import comparison_facts, comparison_methods
from sftframe.comparison.result import ComparisonResult
from sftframe.comparison.tables import YardstickTable
from sftframe.files import plain
from sftframe.statistics import Comparison
from sftframe.visible import visible

SCHEMA_VERSION = 1

_COLUMNS = (
    "yardstick",
    "unit",
    "baseline",
    "candidate",
    "baseline_mean",
    "candidate_mean",
    "difference",
    "low",
    "high",
    "p_value",
    "p_holm",
    "margin",
    "p_equivalence",
    "verdict",
    "num_items",
    "num_seeds",
)


def comparison_document(result: ComparisonResult) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "sentence": result.sentence,
        "baseline": result.baseline,
        "yardstick": result.main.yardstick.key,
        "notes": list(result.notes),
        "methods": comparison_methods(result),
        "arms": [
            {
                "name": arm.name,
                "runs": {str(seed): str(run.path) for seed, run in arm.runs.items()},
                "counted_share": (arm.any_run().summary.get("train") or {}).get("counted_share", {}),
            }
            for arm in result.arms
        ],
        "yardsticks": [_table(table) for table in result.tables],
        "axes": [{"axis": axis.axis, "num_arms": dict(axis.num_arms), **plain(axis.table)} for axis in result.axes],
        "flipped": {candidate: [plain(flip) for flip in flips] for candidate, flips in result.flips.items()},
    }


def comparison_markdown(result: ComparisonResult) -> str:
    """The verdict, two tables, the set-up and a paragraph on methods, short enough for a pull request."""
    main = result.main
    first = main.table
    means = {arm.name: arm.mean for arm in first.arms}
    lines = [
        result.sentence,
        "",
        f"{main.yardstick.label} in {main.yardstick.unit}, {len(first.items)} items, "
        f"{len(first.seeds)} seed{'s' * (len(first.seeds) != 1)}; differences to {_code(result.baseline)}, "
        f"±{main.margin:.3g} counts as none.",
        "",
        "| arm | mean | difference | 95 % interval | p (Holm) | verdict |",
        "|---|---|---|---|---|---|",
        f"| {_code(result.baseline)} | {main.yardstick.text(means[result.baseline])} | | | | baseline |",
    ]
    lines += [_markdown_row(main, comparison, means) for comparison in first.comparisons]
    others = [table for table in result.tables if table is not main]
    lines += ["", "| arm | " + " | ".join(f"{t.yardstick.label} ({t.yardstick.unit})" for t in others) + " |"]
    lines += ["|---|" + "---|" * len(others)]
    for arm in result.arms:
        own = [next(a.mean for a in table.table.arms if a.name == arm.name) for table in others]
        figures = [table.yardstick.text(mean) for table, mean in zip(others, own, strict=True)]
        lines.append(f"| {_code(arm.name)} | " + " | ".join(figures) + " |")
    lines += [""] + [f"- {note}" for note in result.notes] if result.notes else []
    facts = comparison_facts(result)
    lines += ["", "| set-up | |", "|---|---|"] if facts else []
    lines += [f"| {label} | {_cell(value)} |" for label, value in facts]
    lines += ["", comparison_methods(result)]
    return visible("\n".join(lines)) + "\n"


def comparison_csv(result: ComparisonResult) -> str:
    """One line per yardstick and pair."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for table in result.tables:
        means = {arm.name: arm.mean for arm in table.table.arms}
        for found in table.table.comparisons:
            writer.writerow(
                {
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
                    "num_items": len(table.table.items),
                    "num_seeds": len(table.table.seeds),
                }
            )
    return out.getvalue()


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
    p = "–" if found.p_holm is None else f"{found.p_holm:.3f}" if found.p_holm >= 0.001 else "< 0.001"
    return (
        f"| {_code(found.candidate)} | {yardstick.text(means[found.candidate])} | "
        f"{yardstick.signed(found.difference)} | {bounds} | {p} | {found.verdict} |"
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
