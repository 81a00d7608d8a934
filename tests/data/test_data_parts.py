from pathlib import Path

import pytest

from sftframe.config import DataConfig
from sftframe.data import Dataset, Split, load_examples, num_duplicates, split
from sftframe.data.splitting import Duplicates
from sftframe.errors import ConfigError, DataError
from sftframe.records import Example


def dataset(num_examples: int) -> Dataset:
    examples = tuple(Example(instruction=f"Say {i}.", output=str(i), index=i) for i in range(num_examples))
    return Dataset(source="made.json", sha256="0" * 64, examples=examples)


def indices(part: tuple[Example, ...]) -> list[int]:
    return [example.index for example in part]


def test_the_chapters_data_is_cut_as_in_the_chapter(chapter_file: Path) -> None:
    config = DataConfig(source=str(chapter_file))
    parts = split(load_examples(config), config)
    assert (len(parts.train), len(parts.test), len(parts.validation)) == (935, 110, 55)
    assert indices(parts.test) == list(range(935, 1045))


def test_file_order_is_kept_by_default() -> None:
    parts = split(dataset(20), DataConfig())
    assert indices(parts.train) == list(range(17))
    assert indices(parts.test) == [17, 18]
    assert indices(parts.validation) == [19]


def test_ten_examples_are_enough() -> None:
    parts = split(dataset(10), DataConfig())
    assert (indices(parts.train), indices(parts.test), indices(parts.validation)) == ([*range(8)], [8], [9])


def test_no_part_is_empty_from_ten_examples_on() -> None:
    for num_examples in range(10, 200):
        parts = split(dataset(num_examples), DataConfig())
        assert parts.train
        assert parts.test
        assert parts.validation
        assert len(parts.train) + len(parts.test) + len(parts.validation) == num_examples


@pytest.mark.parametrize("num_examples", [1, 3, 9])
def test_too_few_examples_are_refused(num_examples: int) -> None:
    message = rf"^made\.json: found {num_examples} entries, expected at least 10: .* has an empty part; add more$"
    with pytest.raises(DataError, match=message):
        split(dataset(num_examples), DataConfig())


def test_a_limit_that_leaves_too_few_is_named() -> None:
    with pytest.raises(DataError, match=r"; raise data\.limit$"):
        split(dataset(4), DataConfig(limit=4))


def test_a_seed_gives_the_same_order_everywhere_and_always() -> None:
    # np.random.default_rng(7).permutation(12), written down with numpy 2.4.6; splits of old runs depend on it
    parts = split(dataset(12), DataConfig(shuffle_split=7))
    assert indices(parts.train) + indices(parts.test) + indices(parts.validation) == [
        4,
        6,
        10,
        0,
        1,
        3,
        8,
        7,
        2,
        5,
        9,
        11,
    ]


def test_other_seeds_give_other_orders_of_the_same_examples() -> None:
    one, other = (split(dataset(30), DataConfig(shuffle_split=seed)) for seed in (0, 1))
    assert indices(one.train) != indices(other.train)
    assert sorted(indices(one.train) + indices(one.test) + indices(one.validation)) == list(range(30))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.shuffle_split: expected a seed of 0 or more, found -1$"):
        split(dataset(12), DataConfig(shuffle_split=-1))


def test_duplicates_are_equal_in_all_three_texts() -> None:
    def example(instruction: str, given: str, output: str, index: int) -> Example:
        return Example(instruction=instruction, input=given, output=output, index=index)

    parts = Split(
        train=(example("a", "", "x", 0), example("b", "1", "y", 1)),
        test=(example("a", "", "x", 2), example("b", "2", "y", 3), example("c", "", "z", 4), example("a", "", "x", 5)),
        validation=(example("c", "", "z", 6), example("b", "1", "y", 7), example("a", "", "other", 8)),
    )
    assert num_duplicates(parts) == Duplicates(test_in_train=2, test_in_validation=1, validation_in_train=1)


def test_the_starter_data_has_no_duplicates_across_its_parts() -> None:
    parts = split(load_examples(DataConfig()), DataConfig())
    assert num_duplicates(parts) == Duplicates(test_in_train=0, test_in_validation=0, validation_in_train=0)
