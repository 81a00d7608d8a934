"""What people's labels are worth: labels are drawn many times from answers that people have all judged.

    python -m benchmarks.people_labels natural-questions.json [--draws 500] [--json]

FILE is JSON with entries that have several answers, `answer_NAME`, and whether people found them right, `human_NAME`.
For each pair of systems and number of labelled questions, questions are drawn with replacement (other questions of the
same kind, so that the truth is known), some of them are labelled as `--write-labels` draws them, and the difference is
estimated from the labels alone and together with a judge's scores. The table shows how often the 95 % interval contains
the difference that people see on all questions, its mean half width, and how often the truly better system is called
better.

Two judges are tried: `reference`, and `overlap`, the F1 of words, a plain judge of wordiness that reverses verdicts.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sftframe_plugins.judges.reference import grade

from sftframe import JudgeItem
from sftframe.analysis.label_files import draw_items
from sftframe.analysis.labels import Corrected, Design, corrected, labelled_scores

Floats = NDArray[np.float64]
NUMBERS = (30, 100, 200)
"""Labelled questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One judge, pair and number of labels."""

    judge: str
    pair: str
    people: float
    """The difference that people see, in points."""
    judge_alone: float
    num_labels: int
    coverage: float
    """Of people and judge together."""
    coverage_alone: float
    """Of the labels alone."""
    half_width: float
    half_width_alone: float
    right: float
    """How often the truly better system is called better."""
    right_alone: float
    wrong: float
    """How often the truly worse one is."""


def words(text: str) -> list[str]:
    return "".join(letter.casefold() if letter.isalnum() else " " for letter in text).split()


def overlap(item: JudgeItem) -> float:
    """F1 of the words of answer and best reference, 0-100."""
    found = Counter(words(item.answer))
    scores = []
    for reference in item.reference.split("/"):
        expected = Counter(words(reference))
        common = (found & expected).total()
        scores.append(200 * common / max(found.total() + expected.total(), 1))
    return max(scores)


def read(path: Path) -> tuple[dict[str, list[JudgeItem]], dict[str, Floats]]:
    """By system its answers, and people's labels, 0 or 100."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    names = [key.removeprefix("answer_") for key in entries[0] if key.startswith("answer_")]
    if len(names) < 2:
        raise SystemExit(f"{path}: expected entries with several answers, answer_NAME and human_NAME")
    items = {
        name: [
            JudgeItem(
                index=index,
                instruction=entry["instruction"],
                input=entry["input"],
                reference=entry["output"],
                answer=entry[f"answer_{name}"],
            )
            for index, entry in enumerate(entries)
        ]
        for name in names
    }
    return items, {name: np.array([100.0 * bool(entry[f"human_{name}"]) for entry in entries]) for name in names}


def drawn(judge: Floats, people: Floats, number: int, generator: np.random.Generator) -> Corrected:
    """One experiment: other questions of the same kind, of which some are labelled.

    Args:
        judge, people: (2, I).
    """
    chosen = generator.integers(judge.shape[1], size=judge.shape[1])
    scores, labels = judge[:, chosen], people[:, chosen]
    blank = [JudgeItem(index=i, instruction=str(i), input="", reference="", answer="") for i in range(len(chosen))]
    arms = {"a": {0: blank}, "b": {0: blank}}
    values = {name: {0: dict(enumerate(row.tolist()))} for name, row in zip(arms, scores, strict=True)}
    items = draw_items(arms, values, number, seed=int(generator.integers(2**31)))
    design = Design(
        probability={item.index: item.probability for item in items},
        stratum={item.index: item.stratum for item in items},
    )
    differences = labels[1] - labels[0]
    return corrected(
        labelled_scores(
            {0: dict(enumerate((scores[1] - scores[0]).tolist()))},
            {0: {item.index: float(differences[item.index]) for item in items}},
            design=design,
            is_difference=True,
        )
    )


def row(name: str, pair: tuple[str, str], judge: Floats, people: Floats, number: int, num_draws: int) -> Row:
    generator = np.random.default_rng(number)
    truth = float((people[1] - people[0]).mean())
    found = [drawn(judge, people, number, generator) for _ in range(num_draws)]
    both = np.array([[one.interval.low, one.interval.high] for one in found if one.interval])
    alone = np.array(
        [[one.labels_alone_interval.low, one.labels_alone_interval.high] for one in found if one.labels_alone_interval]
    )
    sign = 1 if truth > 0 else -1

    def share_right(bounds: Floats, side: int) -> float:
        return float((bounds.min(axis=1) > 0).mean() if side > 0 else (bounds.max(axis=1) < 0).mean())

    return Row(
        judge=name,
        pair=" and ".join(pair),
        people=truth,
        judge_alone=float((judge[1] - judge[0]).mean()),
        num_labels=number,
        coverage=float(((both[:, 0] <= truth) & (truth <= both[:, 1])).mean()),
        coverage_alone=float(((alone[:, 0] <= truth) & (truth <= alone[:, 1])).mean()),
        half_width=float(np.ptp(both, axis=1).mean() / 2),
        half_width_alone=float(np.ptp(alone, axis=1).mean() / 2),
        right=share_right(both, sign),
        right_alone=share_right(alone, sign),
        wrong=share_right(both, -sign),
    )


def rows(path: Path, num_draws: int, numbers: Sequence[int] = NUMBERS) -> list[Row]:
    """All judges, pairs and numbers of labels."""
    items, people = read(path)
    judges: Mapping[str, Mapping[str, Floats]] = {
        "reference": {name: np.array([grade(item)[0] for item in own]) for name, own in items.items()},
        "overlap": {name: np.array([overlap(item) for item in own]) for name, own in items.items()},
    }
    return [
        row(
            name,
            pair,
            np.array([scores[one] for one in pair]),
            np.array([people[one] for one in pair]),
            number,
            num_draws,
        )
        for name, scores in judges.items()
        for pair in itertools.combinations(items, 2)
        for number in numbers
    ]


HEAD = (
    "judge",
    "systems",
    "people",
    "judge alone",
    "labels",
    "covered",
    "half width",
    "labels alone",
    "right",
    "right, labels alone",
    "wrong",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = rows(arguments.file, arguments.draws)
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    print("| " + " | ".join(HEAD) + " |")
    print("|---" * len(HEAD) + "|")
    for one in found:
        print(
            f"| {one.judge} | {one.pair} | {one.people:+.1f} | {one.judge_alone:+.1f} | {one.num_labels} "
            f"| {one.coverage:.1%} | {one.half_width:.1f} | {one.half_width_alone:.1f} | {one.right:.0%} "
            f"| {one.right_alone:.0%} | {one.wrong:.1%} |"
        )


if __name__ == "__main__":
    main()
