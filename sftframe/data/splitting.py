"""The three parts of a dataset: for training, for answers and their judge, and for validation during training.

Only an example's position, or a seed, decides its part; never its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sftframe.data.sources import Dataset
from sftframe.errors import ConfigError, DataError
from sftframe.records import Example

if TYPE_CHECKING:
    from sftframe.config import DataConfig


TRAIN_SHARE = 0.85
TEST_SHARE = 0.10
MIN_EXAMPLES = 10
"""The smallest number of which `int(0.10 n)` is not 0; nine examples would give no test example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Every example is in exactly one part, and no part is empty."""

    train: tuple[Example, ...]
    test: tuple[Example, ...]
    validation: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """How many examples of one part are also in another, with equal instruction, input, output and conversation."""

    test_in_train: int
    test_in_validation: int
    validation_in_train: int


def split(dataset: Dataset, config: DataConfig) -> Split:
    """Cut into train, test and validation: first `int(0.85 n)`, next `int(0.10 n)`, the rest, as in the chapter.

    In file order, or with `shuffle_split` in the order of `numpy.random.default_rng(seed).permutation(n)`: a seed and
    a number of examples always give the same parts.

    Raises:
        DataError: there are too few examples for three parts.
        ConfigError: the seed is negative.
    """
    examples = dataset.examples
    if len(examples) < MIN_EXAMPLES:
        remedy = "raise data.limit" if config.limit is not None and config.limit < MIN_EXAMPLES else "add more"
        raise DataError(
            f"{dataset.source}: found {len(examples)} entries, expected at least {MIN_EXAMPLES}: with fewer, the split "
            f"into 85 % train, 10 % test and 5 % validation has an empty part; {remedy}"
        )
    if config.shuffle_split is not None:
        examples = _shuffled(examples, config.shuffle_split)
    num_train, num_test = int(TRAIN_SHARE * len(examples)), int(TEST_SHARE * len(examples))
    return Split(
        train=examples[:num_train],
        test=examples[num_train : num_train + num_test],
        validation=examples[num_train + num_test :],
    )


def num_duplicates(split: Split) -> Duplicates:
    """Count the examples in two parts: a test example from the training data measures only memory."""
    train, validation = _contents(split.train), _contents(split.validation)
    return Duplicates(
        test_in_train=sum(_content(example) in train for example in split.test),
        test_in_validation=sum(_content(example) in validation for example in split.test),
        validation_in_train=sum(_content(example) in train for example in split.validation),
    )


def _shuffled(examples: tuple[Example, ...], seed: int) -> tuple[Example, ...]:
    import numpy as np

    if seed < 0:
        raise ConfigError(f"data.shuffle_split: expected a seed of 0 or more, found {seed}")
    order = np.random.default_rng(seed).permutation(len(examples))
    return tuple(examples[i] for i in order)


def _contents(examples: tuple[Example, ...]) -> set[tuple[object, ...]]:
    return {_content(example) for example in examples}


def _content(example: Example) -> tuple[object, ...]:
    return example.instruction, example.input, example.output, example.system, example.turns
