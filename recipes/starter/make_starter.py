"""Puts the rows of all families into one file whose order is its split.

The product splits in file order: the first 85 % train, the next 10 % test, the rest validation. So the rows are dealt
to the three parts family by family, each part is shuffled, and the parts are written one after the other. A family asks
about a key once, so that whatever the test part asks about was never trained on; the model can know it from pretraining
only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

from recipes.starter.families import FAMILIES
from recipes.starter.family import Row

SEED = 123
TRAIN_SHARE, TEST_SHARE = 0.85, 0.10
STARTER_PATH = Path(__file__).parents[2] / "sftframe" / "datasets" / "starter.jsonl"
FAMILIES_NAME = "starter-families.txt"
"""Next to the data file, which has no field for it: the family of each row, one a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rows of the three parts, in the file's order."""

    train: list[Row]
    test: list[Row]
    validation: list[Row]

    @property
    def rows(self) -> list[Row]:
        """All rows, in the file's order."""
        return [*self.train, *self.test, *self.validation]


def make_parts(seed: int = SEED) -> Parts:
    """Rows of all families, dealt to the parts; the same seed gives the same rows."""
    rng = Random(seed)
    by_family = {family.name: family.rows(rng) for family in FAMILIES}
    total = sum(map(len, by_family.values()))
    num_train, num_test = int(TRAIN_SHARE * total), int(TEST_SHARE * total)
    sizes = {name: len(rows) for name, rows in by_family.items()}
    test_counts = allot(sizes, num_test)
    validation_counts = allot(sizes, total - num_train - num_test)
    parts = Parts(train=[], test=[], validation=[])
    for name, rows in by_family.items():
        first, second = test_counts[name], test_counts[name] + validation_counts[name]
        parts.test.extend(rows[:first])
        parts.validation.extend(rows[first:second])
        parts.train.extend(rows[second:])
    for part in (parts.train, parts.test, parts.validation):
        rng.shuffle(part)
    return parts


def allot(sizes: dict[str, int], seats: int) -> dict[str, int]:
    """Seats for each name in proportion to its size, by largest remainder.

    >>> allot({"a": 50, "b": 40, "c": 10}, 3)
    {'a': 2, 'b': 1, 'c': 0}
    """
    total = sum(sizes.values())
    exact = {name: seats * size / total for name, size in sizes.items()}
    counts = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: seats - sum(counts.values())]:
        counts[name] += 1
    return counts


def to_json_lines(rows: list[Row]) -> str:
    """The data file's text: an object with `instruction`, `input` and `output` a line."""
    entries = ({"instruction": row.instruction, "input": row.input, "output": row.output} for row in rows)
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def write_starter(path: Path = STARTER_PATH) -> int:
    """Writes the file, and the families next to it; returns the number of rows."""
    rows = make_parts().rows
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json_lines(rows), encoding="utf-8", newline="\n")
    families = "".join(f"{row.family}\n" for row in rows)
    path.with_name(FAMILIES_NAME).write_text(families, encoding="utf-8", newline="\n")
    return len(rows)
