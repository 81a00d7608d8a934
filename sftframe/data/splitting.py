"""The three parts of a dataset: for training, for answers and their judge, and for validation during training.

An example's position, a seed, its file or a field that names the part decide; never its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sftframe.data.sources import Dataset
from sftframe.errors import ConfigError, DataError
from sftframe.records import Example

if TYPE_CHECKING:
    from sftframe.config import DataConfig


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
    """Cut into train, test and validation; by default the first `int(0.85 n)`, the next `int(0.10 n)`, and the rest.

    In file order, as in the chapter, or with `shuffle_split` in the order of
    `numpy.random.default_rng(seed).permutation(n)`: a seed and a number of examples always give the same parts.
    Examples that are in a part by their file or by a field stay there; what else is missing is cut from the training
    examples, in the same proportions.

    Raises:
        DataError: a part would be empty.
        ConfigError: the seed is negative.
    """
    named = dataset.parts or (None,) * len(dataset.examples)
    own = {
        part: tuple(example for example, name in zip(dataset.examples, named, strict=True) if name == part)
        for part in ("test", "validation")
    }
    rest = tuple(
        example for example, name in zip(dataset.examples, named, strict=True) if name not in ("test", "validation")
    )
    shares = tuple(float(share) for share in config.split.split("/"))
    cut = (shares[0], *(0.0 if own[part] else share for part, share in zip(own, shares[1:], strict=True)))
    if 0 in _counts(len(rest), cut, needed=cut):
        raise _too_few(dataset, config, len(rest), cut)
    if config.shuffle_split is not None:
        rest = _shuffled(rest, config.shuffle_split)
    num_train, num_test, _ = _counts(len(rest), cut)
    return Split(
        train=rest[:num_train],
        test=own["test"] or rest[num_train : num_train + num_test],
        validation=own["validation"] or rest[num_train + num_test :],
    )


def _counts(num: int, shares: Sequence[float], needed: Sequence[float] = ()) -> tuple[int, ...]:
    """How many examples each part gets; the last part with a share gets the rest.

    Args:
        needed: leave out the parts that have no share here.
    """
    total = sum(shares)
    last = max(place for place, share in enumerate(shares) if share)
    counts = [int(share / total * num) for share in shares]
    counts[last] = num - sum(counts[:last])
    return tuple(count for place, count in enumerate(counts) if not needed or needed[place])


def _too_few(dataset: Dataset, config: DataConfig, found: int, cut: Sequence[float]) -> DataError:
    needed = next(num for num in range(1, _MOST_NEEDED) if 0 not in _counts(num, cut, needed=cut))
    remedy = "raise data.limit" if config.limit is not None and config.limit < needed else "add more"
    names = [f"{share:g} % {part}" for share, part in zip(cut, ("train", "test", "validation"), strict=True) if share]
    into = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    rest = "" if all(cut) else " for the parts that have no file or entries of their own"
    return DataError(
        f"{dataset.source}: found {found} entries{rest}, expected at least {needed}: with fewer, the split into {into} "
        f"has an empty part; {remedy}"
    )


_MOST_NEEDED = 10_000_000


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
