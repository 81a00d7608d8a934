"""How far the judge `reference` agrees with another grader, next to chrF++ and to what other graders said.

    python -m benchmarks.judge_agreement FILE [--target COLUMN] [--halves 200] [--part even] [--json]
    python -m benchmarks.judge_agreement FILE --systems

FILE is JSON in the chapter's shape: entries with `instruction`, `input`, `output`, `model_response` and scores from 0
to 100 under names that end in `_score`. One of them is the target; the others, and the formulas, are compared with
it. Intervals are 95 % bootstrap intervals over the answers. `--halves` asks whether the formula's constants were
fitted to these answers: chosen anew on a random half, are they better on the other half than the shipped ones?
`--part` takes every second entry only: rules are written with one part and checked with the other.

`--systems` takes entries with several answers, `answer_NAME`, and whether people found them right, `human_NAME`: does
the judge put systems of different wordiness as far apart as people do?
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from sftframe_plugins.judges.reference import SHIPPED, Constants, grade

from sftframe import JudgeItem

Scores = np.ndarray[tuple[int], np.dtype[np.float64]]
Measure = Callable[[Scores, Scores], float]

ALTERNATIVES = [
    Constants(beta=beta, detail=detail, replaced=replaced)
    for beta, detail, replaced in itertools.product((2.0, 5.0, 10.0, 20.0), (0.1, 0.2, 0.4), (0.3, 0.5, 0.7))
]

MEASURES: Mapping[str, Measure] = {
    "pearson": lambda scores, target: float(stats.pearsonr(scores, target).statistic),
    "spearman": lambda scores, target: float(stats.spearmanr(scores, target).statistic),
    "kendall": lambda scores, target: float(stats.kendalltau(scores, target).statistic),
    "mean_abs_difference": lambda scores, target: float(np.abs(scores - target).mean()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measure with its 95 % interval."""

    value: float
    low: float
    high: float


PARTS = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}
"""Entries by their place in the file, counted from 0."""


def read(path: Path, target: str, part: str = "all") -> tuple[list[JudgeItem], dict[str, Scores]]:
    """The answers that have all their scores, and each column of scores; the target's is among them."""
    entries = json.loads(path.read_text(encoding="utf-8"))[PARTS[part]]
    columns = [name for name in entries[0] if name.endswith("_score")]
    if target not in columns:
        raise SystemExit(f"{path} has no scores {target!r}; it has: {', '.join(columns) or 'none'}")
    entries = [entry for entry in entries if all(isinstance(entry.get(name), int | float) for name in columns)]
    items = [
        JudgeItem(
            index=index,
            instruction=entry["instruction"],
            input=entry["input"],
            reference=entry["output"],
            answer=entry["model_response"],
        )
        for index, entry in enumerate(entries)
    ]
    return items, {name: np.array([entry[name] for entry in entries], dtype=float) for name in columns}


def systems(path: Path, part: str = "all") -> dict[str, dict[str, float]]:
    """By system: the judge's mean, people's share of right answers in percent, their correlation, and words."""
    entries = json.loads(path.read_text(encoding="utf-8"))[PARTS[part]]
    found = {}
    for name in (key.removeprefix("answer_") for key in entries[0] if key.startswith("answer_")):
        items = [
            JudgeItem(
                index=index,
                instruction=entry["instruction"],
                input=entry["input"],
                reference=entry["output"],
                answer=entry[f"answer_{name}"],
            )
            for index, entry in enumerate(entries)
        ]
        scores, people = formula(items), np.array([100.0 * entry[f"human_{name}"] for entry in entries])
        found[name] = {
            "judge": float(scores.mean()),
            "people": float(people.mean()),
            "pearson": MEASURES["pearson"](scores, people),
            "words": float(np.mean([len(item.answer.split()) for item in items])),
        }
    return found


def formula(items: Sequence[JudgeItem], constants: Constants = SHIPPED) -> Scores:
    """The scores of the judge `reference`."""
    return np.array([grade(item, constants)[0] for item in items])


def chrf(items: Sequence[JudgeItem]) -> Scores:
    """Sentence chrF++ of sacrebleu: character 6-grams and word 2-grams."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF(word_order=2)
    return np.array([metric.sentence_score(item.answer.strip(), [item.reference]).score for item in items])


def compare(scores: Scores, target: Scores, seed: int = 0) -> dict[str, Estimate]:
    """Every measure of agreement, with an interval over the answers."""
    return {name: _estimate(measure, scores, target, seed) for name, measure in MEASURES.items()}


def _estimate(measure: Measure, scores: Scores, target: Scores, seed: int) -> Estimate:
    drawn = stats.bootstrap(
        (scores, target), measure, paired=True, vectorized=False, n_resamples=1000, method="percentile", rng=seed
    )
    interval = drawn.confidence_interval
    return Estimate(value=measure(scores, target), low=float(interval.low), high=float(interval.high))


def halves(items: Sequence[JudgeItem], target: Scores, num_splits: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Mean agreement on the half that was not looked at: with constants chosen on the other half, and as shipped."""
    table = [formula(items, constants) for constants in ALTERNATIVES]
    shipped = formula(items)
    rng = np.random.default_rng(seed)
    found: dict[str, list[dict[str, float]]] = {"chosen": [], "shipped": []}
    for _ in range(num_splits):
        order = rng.permutation(len(items))
        here, there = order[: len(items) // 2], order[len(items) // 2 :]
        chosen = max(table, key=lambda scores: _merit(scores[here], target[here]))
        for name, scores in (("chosen", chosen), ("shipped", shipped)):
            found[name].append({key: measure(scores[there], target[there]) for key, measure in MEASURES.items()})
    return {name: {key: float(np.mean([row[key] for row in rows])) for key in MEASURES} for name, rows in found.items()}


def _merit(scores: Scores, target: Scores) -> float:
    return MEASURES["pearson"](scores, target) + MEASURES["spearman"](scores, target)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--target", default="gpt4_score", help="the grader to agree with")
    parser.add_argument("--halves", type=int, default=0, metavar="N", help="random halves for the constants' check")
    parser.add_argument("--part", choices=PARTS, default="all", help="every second entry only")
    parser.add_argument("--systems", action="store_true", help="compare systems' means with people's")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.systems:
        _print_systems(systems(options.file, options.part), as_json=options.json)
        return
    items, columns = read(options.file, options.target, options.part)
    target = columns.pop(options.target)
    graders = {"reference": formula(items), "chrF++": chrf(items), **columns}
    table = {name: compare(scores, target) for name, scores in graders.items()}
    check = halves(items, target, options.halves) if options.halves else {}
    if options.json:
        print(json.dumps(_document(options.target, len(items), table, check), indent=2))
    else:
        _print_table(options.target, len(items), table, check)


def _print_systems(found: Mapping[str, Mapping[str, float]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print("| system | words | people | judge | Pearson |\n|---|---|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | {row['words']:.0f} | {row['people']:.1f} | {row['judge']:.1f} | {row['pearson']:.2f} |")


def _document(
    target: str, num_answers: int, table: Mapping[str, Mapping[str, Estimate]], check: Mapping[str, Mapping[str, float]]
) -> dict[str, object]:
    graders = {name: {key: asdict(estimate) for key, estimate in row.items()} for name, row in table.items()}
    return {"target": target, "num_answers": num_answers, "graders": graders, "other_half": check}


def _print_table(
    target: str, num_answers: int, table: Mapping[str, Mapping[str, Estimate]], check: Mapping[str, Mapping[str, float]]
) -> None:
    print(f"Agreement with {target} on {num_answers} answers, with 95 % intervals\n")
    print("| grader | Pearson | Spearman | Kendall | mean abs. difference |\n|---|---|---|---|---|")
    for name, row in table.items():
        print(f"| {name} | {' | '.join(_cell(key, estimate) for key, estimate in row.items())} |")
    for name, means in check.items():
        cells = " | ".join(
            f"{value:.1f}" if key == "mean_abs_difference" else f"{value:.3f}" for key, value in means.items()
        )
        print(f"| reference, constants {name}, on the other half | {cells} |")


def _cell(key: str, estimate: Estimate) -> str:
    digits = 1 if key == "mean_abs_difference" else 3
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


if __name__ == "__main__":
    main()
