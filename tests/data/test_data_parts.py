import json
from dataclasses import replace
from pathlib import Path

import pytest

from sftframe.config import DataConfig, validate
from sftframe.data import Dataset, Split, load_examples, num_duplicates, split, torn_groups
from sftframe.data.parts import PartName
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


def in_groups(*groups: str) -> Dataset:
    """A data set with one example for each group's name; '' = no group."""
    examples = (replace(one, group=group) for one, group in zip(dataset(len(groups)).examples, groups, strict=True))
    return replace(dataset(len(groups)), examples=tuple(examples))


TOGETHER = DataConfig(group="topic", keep_groups_together=True)


def parts_of(found: Split) -> tuple[list[int], list[int], list[int]]:
    return indices(found.train), indices(found.test), indices(found.validation)


def test_a_group_goes_to_the_part_in_which_its_middle_is() -> None:
    # 20 examples, cuts at 17 and 19: a 0-10, b 10-15, c 15-18 (middle 16.5), d 18-19 (18.5), e 19-20 (19.5)
    letters = [*"a" * 10, *"b" * 5, *"c" * 3, "d", "e"]
    train, test, validation = parts_of(split(in_groups(*letters), TOGETHER))
    assert (train, test, validation) == ([*range(18)], [18], [19])
    # a 0-10, b 10-16 (13), c 16-18 (17, which is not before the cut), d 18-20 (19)
    letters = [*"a" * 10, *"b" * 6, *"c" * 2, *"d" * 2]
    assert parts_of(split(in_groups(*letters), TOGETHER)) == ([*range(16)], [16, 17], [18, 19])


def test_members_that_are_far_apart_come_together_where_the_first_one_is() -> None:
    # groups in their order: x (0, 19), then one of its own for 1 to 18: 0 19 1 2 … 15 | 16 17 | 18
    found = split(in_groups("x", *[""] * 18, "x"), TOGETHER)
    assert parts_of(found) == ([0, 19, *range(1, 16)], [16, 17], [18])
    assert torn_groups(found) == (0, 0)


def test_no_part_is_empty_where_there_are_as_many_groups_as_parts() -> None:
    # by their middles (6, 15, 19) the first two of 12, 6 and 2 would be trained on, and none tested
    letters = [*"a" * 12, *"b" * 6, *"c" * 2]
    assert parts_of(split(in_groups(*letters), TOGETHER)) == ([*range(12)], [*range(12, 18)], [18, 19])
    with pytest.raises(DataError, match=r"made\.json: 2 groups, expected at least 3 for a split that tears no group"):
        split(in_groups(*"a" * 12, *"b" * 8), TOGETHER)


def test_whole_groups_are_shuffled_with_a_seed() -> None:
    # np.random.default_rng(7).permutation(12) is 4 6 10 0 1 3 8 7 2 5 | 9 | 11, of twelve groups of two
    letters = [letter for letter in "abcdefghijkl" for _ in range(2)]
    config = TOGETHER.model_copy(update={"shuffle_split": 7})
    found = split(in_groups(*letters), config)
    order = "".join(example.group for part in parts_in_order(found) for example in part)
    assert order == "eeggkkaabbddiihhccffjjll"
    # cuts at 20 and 22 of 24
    assert [len(part) for part in parts_in_order(found)] == [20, 2, 2]


def parts_in_order(found: Split) -> tuple[tuple[Example, ...], ...]:
    return found.train, found.test, found.validation


def test_groups_are_kept_together_in_what_is_cut_off_beside_parts_of_their_own() -> None:
    # the test part is given; 85 : 5 of 18 is a cut at 17, and c is 15-18 (middle 16.5); so the last group moves
    letters = ["a"] * 15 + ["c"] * 3 + ["a", "z"]
    data = replace(in_groups(*letters), parts=(*[None] * 18, "test", "test"))
    found = split(data, TOGETHER)
    assert parts_of(found) == ([*range(15)], [18, 19], [15, 16, 17])
    assert torn_groups(found) == (1, 1)


def test_without_the_setting_the_split_does_not_depend_on_groups() -> None:
    letters = [*"a" * 16, *"b" * 4]
    found = split(in_groups(*letters), DataConfig(group="topic"))
    assert parts_of(found) == parts_of(split(dataset(20), DataConfig()))
    # b is 16 in the training part, 17 and 18 in the test part
    assert torn_groups(found) == (2, 1)


def test_keeping_groups_together_needs_groups() -> None:
    with pytest.raises(ConfigError, match=r"no entry of made\.json has a group; name the field with --set data\.group"):
        split(dataset(20), DataConfig(keep_groups_together=True))


def test_the_bundled_families_are_in_all_parts_unless_they_are_kept_together() -> None:
    found = load_examples(DataConfig())
    as_ever = split(found, DataConfig())
    assert indices(as_ever.test) == list(range(1648, 1841))
    whole = split(found, DataConfig(keep_groups_together=True))
    assert torn_groups(whole) == (0, 0)
    assert sum(len(part) for part in parts_in_order(whole)) == 1939
    assert 0.8 < len(whole.train) / 1939 < 0.9


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


def with_parts(*parts: PartName | None) -> Dataset:
    return replace(dataset(len(parts)), parts=parts)


def test_other_shares_can_be_set() -> None:
    parts = split(dataset(10), DataConfig(split="60/20/20"))
    assert (indices(parts.train), indices(parts.test), indices(parts.validation)) == ([*range(6)], [6, 7], [8, 9])
    parts = split(dataset(400), DataConfig(split="99/0.5/0.5"))
    assert (len(parts.train), len(parts.test), len(parts.validation)) == (396, 2, 2)
    with pytest.raises(
        DataError, match=r"found 10 entries, expected at least 200: with fewer, the split into 99 % train"
    ):
        split(dataset(10), DataConfig(split="99/0.5/0.5"))


@pytest.mark.parametrize("shares", ["85/10", "85/10/6", "100/0/0", "a/b/c", "-5/100/5", "90/5/5/0", "85 / 10 / 5"])
def test_shares_that_are_no_split_are_refused(shares: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.split: .*three percentages"):
        validate({"data": {"split": shares}})


def test_examples_stay_in_their_part_and_the_missing_one_is_cut_in_proportion() -> None:
    made = with_parts(*["test"] * 2, *["train"] * 18)
    parts = split(made, DataConfig())  # of 18, 85 : 5 is 17 : 1
    assert (indices(parts.train), indices(parts.test), indices(parts.validation)) == ([*range(2, 19)], [0, 1], [19])
    parts = split(with_parts("test", "validation", "train", None), DataConfig())
    assert (indices(parts.train), indices(parts.test), indices(parts.validation)) == ([2, 3], [0], [1])
    shuffled = split(made, DataConfig(shuffle_split=1))
    assert indices(shuffled.test) == [0, 1]
    assert sorted(indices(shuffled.train) + indices(shuffled.validation)) == list(range(2, 20))


def test_too_few_for_the_missing_part_are_refused() -> None:
    message = r"found 1 entries for the parts that have no file or entries of their own, expected at least 2: with "
    with pytest.raises(DataError, match=message + r"fewer, the split into 85 % train and 5 % validation has an empty"):
        split(with_parts("test", "train"), DataConfig())
    with pytest.raises(
        DataError, match=r"found 0 entries .*, expected at least 1: with fewer, the split into 85 % train"
    ):
        split(with_parts("test", "validation"), DataConfig())


def entries(*texts: str, **more: str) -> str:
    return "\n".join(json.dumps({"instruction": text, "output": "x", **more}) for text in texts)


def texts(part: tuple[Example, ...]) -> list[str]:
    return [example.instruction for example in part]


def test_a_field_names_the_parts(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    rows = [("a", "train"), ("b", "Test"), ("c", "dev"), ("d", "train")]
    path.write_text("\n".join(entries(text, fold=part) for text, part in rows))
    config = DataConfig(source=str(path), part="fold")
    found = load_examples(config)
    parts = split(found, config)
    assert (texts(parts.train), texts(parts.test), texts(parts.validation)) == (["a", "d"], ["b"], ["c"])
    assert found.unused_columns == ()
    with pytest.raises(DataError, match=r"data\.part: no field 'part'\. Available: 'fold', 'instruction', 'output'"):
        load_examples(DataConfig(source=str(path), part="part"))
    path.write_text(f"{path.read_text()}\n{entries('e', fold='holdout')}")
    with pytest.raises(
        DataError, match=r"entry 4 \(line 5\): field 'fold' \(data\.part\) is 'holdout', expected train, "
    ):
        load_examples(config)


def test_parts_may_be_files_with_the_names_of_the_parts(tmp_path: Path) -> None:
    for name, text in (("train-1.jsonl", "a"), ("train-2.jsonl", "b"), ("test.jsonl", "c"), ("valid.jsonl", "d")):
        (tmp_path / name).write_text(entries(text))
    config = DataConfig(source=str(tmp_path))
    told: list[str] = []
    parts = split(load_examples(config, report=told.append), config)
    assert (texts(parts.train), texts(parts.test), texts(parts.validation)) == (["a", "b"], ["c"], ["d"])
    assert told[1] == (
        f"{tmp_path}: parts by the names of the files: test.jsonl is test, train-1.jsonl is train, train-2.jsonl is "
        "train, valid.jsonl is validation"
    )


def test_parts_may_be_other_files(tmp_path: Path) -> None:
    source, test, validation = (tmp_path / name for name in ("d.jsonl", "t.json", "v.csv"))
    source.write_text(entries("a", "b"))
    test.write_text(json.dumps([{"instruction": "c", "output": "x"}, {"instruction": "d", "output": None}]))
    validation.write_text("instruction,output\ne,x\n")
    config = DataConfig(source=str(source), test=str(test), validation=str(validation), invalid="drop")
    found = load_examples(config)
    parts = split(found, config)
    assert (texts(parts.train), texts(parts.test), texts(parts.validation)) == (["a", "b"], ["c"], ["e"])
    assert indices(found.examples) == [0, 1, 2, 4]
    assert found.num_rows == 5
    assert [(row.file, row.entry) for row in found.dropped] == [(str(test), 1)]
    alone = load_examples(DataConfig(source=str(source)))
    assert found.sha256 != alone.sha256
    assert {part: file["source"] for part, file in found.part_files.items()} == {
        "test": str(test),
        "validation": str(validation),
    }
    test.write_text(json.dumps([{"instruction": "f", "output": "x"}]))
    assert load_examples(config).sha256 != found.sha256


def test_files_of_parts_that_cannot_be_are_told(tmp_path: Path) -> None:
    source, test = tmp_path / "d.jsonl", tmp_path / "t.jsonl"
    source.write_text("\n".join(entries("a", fold=part) for part in ("train", "test")))
    with pytest.raises(DataError, match=r"^data\.test: data: no file .*t\.jsonl"):
        load_examples(DataConfig(source=str(source), test=str(test)))
    with pytest.raises(ConfigError, match=r"^data\.test: expected a file, a folder or a pattern, found 'starter'"):
        load_examples(DataConfig(source=str(source), test="starter"))
    test.write_text(entries("b", fold="test"))
    with pytest.raises(ConfigError, match=r"^data\.test: .*d\.jsonl has a test part of its own; leave data\.test out"):
        load_examples(DataConfig(source=str(source), test=str(test), part="fold"))


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
