"""The three parts of a dataset: for training, for answers and their judge, and for validation during training.

An example's position, a seed, its file or a field that names the part decide; never its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

from sftframe.data.sources import Dataset
from sftframe.errors import ConfigError, DataError
from sftframe.records import Example

if TYPE_CHECKING:
    from sftframe.config import DataConfig

_Shuffled = TypeVar("_Shuffled")


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

    With `keep_groups_together` the groups follow each other in the order of their first examples, or with
    `shuffle_split` in that of `permutation(number of groups)`, and the cuts move to the ends of groups: a group goes to
    the part in which its middle is, unless a part would be empty. An example without a group is a group of its own.

    Raises:
        DataError: a part would be empty.
        ConfigError: the seed is negative, or there are no groups to keep together.
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
    counts = _counts(len(rest), cut)
    if config.keep_groups_together:
        rest, counts = _by_groups(rest, counts, config, dataset.source)
    elif config.shuffle_split is not None:
        rest = _shuffled(rest, config.shuffle_split)
    num_train, num_test, _ = counts
    return Split(
        train=rest[:num_train],
        test=own["test"] or rest[num_train : num_train + num_test],
        validation=own["validation"] or rest[num_train + num_test :],
    )


def _by_groups(
    examples: tuple[Example, ...], counts: Sequence[int], config: DataConfig, source: str
) -> tuple[tuple[Example, ...], tuple[int, ...]]:
    """The examples group by group, and the counts that tear no group apart; parts without examples stay so."""
    if not any(example.group for example in examples):
        raise ConfigError(
            f"data.keep_groups_together: no entry of {source} has a group; name the field with --set data.group=FIELD"
        )
    found: dict[object, list[Example]] = {}
    for example in examples:
        found.setdefault(example.group or example.index, []).append(example)
    groups = tuple(tuple(members) for members in found.values())
    if config.shuffle_split is not None:
        groups = _shuffled(groups, config.shuffle_split)
    parts = [place for place, count in enumerate(counts) if count]
    if len(groups) < len(parts):
        raise DataError(
            f"{source}: {len(groups)} group{'s' * (len(groups) != 1)}, expected at least {len(parts)} for a split that "
            "tears no group apart: leave data.keep_groups_together out, or name another data.group"
        )
    ends = list(accumulate(len(group) for group in groups))
    cuts = [0]
    for number, edge in enumerate(accumulate(counts[place] for place in parts[:-1]), start=1):
        middles = sum(end - len(group) / 2 < edge for end, group in zip(ends, groups, strict=True))
        cuts.append(min(max(middles, cuts[-1] + 1), len(groups) - (len(parts) - number)))
    cuts.append(len(groups))
    sizes = [sum(len(group) for group in groups[start:end]) for start, end in pairwise(cuts)]
    known = dict(zip(parts, sizes, strict=True))
    whole = tuple(example for group in groups for example in group)
    return whole, tuple(known.get(place, 0) for place in range(len(counts)))


def torn_groups(split: Split) -> tuple[int, int]:
    """How many test examples are of a group that is in the training part too, and how many groups these are."""
    trained = {example.group for example in split.train if example.group}
    torn = [example.group for example in split.test if example.group in trained]
    return len(torn), len(set(torn))


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


def _shuffled(some: Sequence[_Shuffled], seed: int) -> tuple[_Shuffled, ...]:
    import numpy as np

    if seed < 0:
        raise ConfigError(f"data.shuffle_split: expected a seed of 0 or more, found {seed}")
    order = np.random.default_rng(seed).permutation(len(some))
    return tuple(some[i] for i in order)


def _contents(examples: tuple[Example, ...]) -> set[tuple[object, ...]]:
    return {_content(example) for example in examples}


def _content(example: Example) -> tuple[object, ...]:
    return example.instruction, example.input, example.output, example.system, example.turns
