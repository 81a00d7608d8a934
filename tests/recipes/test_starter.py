"""The bundled data: reproducible, varied, and split so that the test part asks about nothing that was trained on."""

import json
from collections import Counter

import pytest

from recipes.starter.families import FAMILIES
from recipes.starter.family import Row
from recipes.starter.make_starter import STARTER_PATH, allot, make_parts, to_json_lines

PARTS = make_parts()
ENTRIES = [json.loads(line) for line in STARTER_PATH.read_text(encoding="utf-8").splitlines()]


def test_making_the_data_anew_gives_the_committed_bytes() -> None:
    assert to_json_lines(PARTS.rows).encode() == STARTER_PATH.read_bytes()


def test_every_entry_has_exactly_the_three_text_fields() -> None:
    assert all(list(entry) == ["instruction", "input", "output"] for entry in ENTRIES)
    assert all(isinstance(text, str) and text == text.strip() for entry in ENTRIES for text in entry.values())
    assert all(entry["instruction"] and entry["output"] for entry in ENTRIES)


def test_no_placeholder_is_left_unfilled() -> None:
    assert not [entry for entry in ENTRIES if set("{}_") & set("".join(entry.values()))]


def test_there_is_enough_of_it_and_enough_variety() -> None:
    assert len(ENTRIES) >= 1800
    assert len({row.family for row in PARTS.rows}) == len(FAMILIES) >= 30
    assert 0.25 < sum(bool(entry["input"]) for entry in ENTRIES) / len(ENTRIES) < 0.75


def test_nothing_is_asked_twice() -> None:
    assert max(Counter((entry["instruction"], entry["input"]) for entry in ENTRIES).values()) == 1


def test_the_parts_are_those_of_the_split_in_file_order() -> None:
    num_train, num_test = int(0.85 * len(ENTRIES)), int(0.10 * len(ENTRIES))
    assert (len(PARTS.train), len(PARTS.test)) == (num_train, num_test)
    assert ENTRIES[num_train]["output"] == PARTS.test[0].output
    assert ENTRIES[num_train + num_test]["output"] == PARTS.validation[0].output


@pytest.mark.parametrize("part", [PARTS.test, PARTS.validation], ids=["test", "validation"])
def test_what_is_held_out_is_in_no_training_row_of_its_family(part: list[Row]) -> None:
    trained = {(row.family, row.key) for row in PARTS.train}
    assert not trained & {(row.family, row.key) for row in part}
    assert not {(row.instruction, row.input) for row in PARTS.train} & {(row.instruction, row.input) for row in part}


def test_every_family_has_its_share_of_the_test_part() -> None:
    everywhere, tested = (Counter(row.family for row in rows) for rows in (PARTS.rows, PARTS.test))
    assert all(tested[name] >= 1 and abs(tested[name] - count / 10) < 1 for name, count in everywhere.items())


def test_the_training_part_is_mixed() -> None:
    neighbours = zip(PARTS.train, PARTS.train[1:], strict=False)
    assert sum(one.family == other.family for one, other in neighbours) < 0.1 * len(PARTS.train)


def test_seats_that_do_not_divide_go_to_the_largest_remainder() -> None:
    assert allot({"a": 5, "b": 3, "c": 2}, 4) == {"a": 2, "b": 1, "c": 1}
