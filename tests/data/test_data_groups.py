"""`data.group`: which entries belong together, in every format, and the families of the bundled data."""

import json

import pytest

from recipes.starter.make_starter import make_parts
from sftframe.config import DataConfig
from sftframe.data import load_examples
from sftframe.errors import DataError

ENTRIES = [
    {"instruction": "Add.", "output": "2", "topic": "sums", "page": 1},
    {"instruction": "Add.", "output": "3", "topic": " sums ", "page": 2.0},
    {"instruction": "Say.", "output": "a", "topic": None, "page": 2},
    {"instruction": "Sing.", "output": "b"},
]


def groups(dataset):
    return [example.group for example in dataset.examples]


def test_equal_values_of_a_field_make_a_group(load):
    assert groups(load("data.json", json.dumps(ENTRIES), group="topic")) == ["sums", "sums", "", ""]
    assert groups(load("data.json", json.dumps(ENTRIES), group="page")) == ["1", "2", "2", ""]


def test_one_of_the_three_fields_may_be_the_group(load):
    assert groups(load("data.json", json.dumps(ENTRIES), group="instruction")) == ["Add.", "Add.", "Say.", "Sing."]


def test_without_a_field_there_are_no_groups(load):
    assert groups(load("data.json", json.dumps(ENTRIES))) == [""] * 4


def test_the_groups_field_is_no_unused_column(load):
    found = load("data.json", json.dumps(ENTRIES), group="topic")
    assert [column.name for column in found.unused_columns] == ["page"]


def test_tables_have_groups_too(load):
    text = "instruction,output,topic\nAdd.,2,sums\nSay.,a,\n"
    assert groups(load("data.csv", text, group="topic")) == ["sums", ""]


def test_parquet_has_groups_too(load, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reading Parquet needs pyarrow")
    table = pyarrow.table({"instruction": ["Add.", "Say."], "output": ["2", "a"], "topic": ["sums", None]})
    parquet.write_table(table, tmp_path / "made.parquet")
    assert groups(load("data.parquet", (tmp_path / "made.parquet").read_bytes(), group="topic")) == ["sums", ""]


@pytest.mark.parametrize(
    ("name", "content"),
    [("data.json", json.dumps(ENTRIES)), ("data.csv", "instruction,output,topic\nAdd.,2,sums\n")],
    ids=["json", "csv"],
)
def test_a_field_that_no_entry_has_is_an_error_with_the_nearest_name(load, name, content):
    with pytest.raises(DataError, match=r"data\.group: no field 'topics'; did you mean 'topic'\?"):
        load(name, content, group="topics")


def test_a_group_is_a_text_or_a_number(load):
    entries = [{**ENTRIES[0], "topic": ["a"]}]
    with pytest.raises(DataError, match=r"entry 0: field 'topic' \(data.group\) is a list, expected a string or a num"):
        load("data.json", json.dumps(entries), group="topic")


def test_the_bundled_data_have_their_families_and_keep_their_bytes():
    found = load_examples(DataConfig())
    assert groups(found) == [row.family for row in make_parts().rows]
    # of the version before groups: runs of that version are continued, and compared with new ones
    assert found.sha256 == "2367c96504613579db4de9d59aad8403000cf1120d24aa2956b611ae1f5f27fe"
    assert not found.unused_columns
    assert groups(load_examples(DataConfig(limit=5))) == groups(found)[:5]


def test_the_bundled_families_can_be_named_or_left_out():
    assert groups(load_examples(DataConfig(group="family", limit=3))) == groups(load_examples(DataConfig(limit=3)))
    assert groups(load_examples(DataConfig(group=False, limit=3))) == [""] * 3
    with pytest.raises(DataError, match=r"no field 'topic'\. Available: 'family'"):
        load_examples(DataConfig(group="topic"))
