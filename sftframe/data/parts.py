"""The names of the parts of a split, as files, columns and datasets have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

PartName = Literal["train", "test", "validation"]
_WORDS: dict[str, PartName] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
}


def part_called(name: str) -> PartName | None:
    """The part that a word names; None if it names none.

    >>> part_called("Valid"), part_called("all")
    ('validation', None)
    """
    return _WORDS.get(name.strip().lower())


def parts_of_files(names: Sequence[str]) -> tuple[PartName | None, ...]:
    """The part that each file's name has; all None unless some file is for training and another one is not.

    >>> parts_of_files(["train-0.jsonl", "train-1.jsonl", "test.jsonl", "more.jsonl"])
    ('train', 'train', 'test', None)
    >>> parts_of_files(["my-test.jsonl", "your-test.jsonl"])
    (None, None)
    """
    found = tuple(_in_name(name) for name in names)
    return found if "train" in found and {*found} & {"test", "validation"} else (None,) * len(found)


def _in_name(name: str) -> PartName | None:
    words = re.split(r"[^A-Za-z]+", name.rpartition("/")[2])[:-1]  # the ending is none
    parts = {part for word in words if (part := part_called(word)) is not None}
    return parts.pop() if len(parts) == 1 else None
