"""Another trainer's rows against ours: what TRL itself made, and dumps with one planted difference each."""

import json
import random
from pathlib import Path

import pytest

from sftframe.errors import DataError
from sftframe.pipeline import Against, Components, compare_dump, our_rows, read_data, read_dump, resolve
from sftframe.progress import Observer
from sftframe.registry import load_registry

MADE_BY_TRL = Path(__file__).parent / "dumps"
"""Written by `python -m benchmarks.trl_dump` with trl 1.16.0: the first 20 of 24 rows of the bundled data."""


class Ours:
    """Our rows for a choice of components."""

    def __init__(self, *, collate: str = "mask-instruction", prompt: str = "alpaca", limit: int = 24) -> None:
        registry = load_registry()
        layer = {"data": {"limit": limit}, "collate": {"name": collate}, "prompt": {"name": prompt}}
        config = resolve(layer, registry)
        components = Components.choose(config, registry)
        data = read_data(config, components, Observer(), indices=(), measures_all=True)
        self.tokenizer = components.tokenizer
        self.rows = our_rows(config, components, data)
        self.train = [row for row in self.rows if row.part == "train"]

    def against(self, path: Path) -> Against:
        return compare_dump(read_dump(path), self.rows, self.tokenizer)


@pytest.fixture(scope="module")
def ours() -> Ours:
    return Ours()


Entry = dict[str, list[int]]


def dumped(ours: Ours) -> list[Entry]:
    """Our training rows in the form of a dump."""
    return [
        {
            "input_ids": list(row.ids),
            "labels": [i if weight else -100 for i, weight in zip(row.ids, row.weights, strict=True)],
        }
        for row in ours.train
    ]


def written(path: Path, entries: list[Entry]) -> Path:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["trl-completion.jsonl", "trl-completion-batches.jsonl"])
def test_trl_with_loss_on_completions_sees_what_mask_instruction_sees(ours, name):
    found = ours.against(MADE_BY_TRL / name)
    assert found.is_same
    assert (found.num_theirs, found.part) == (20, "train")
    assert found.labels["response"].both > 0
    assert found.labels["template"].neither > 0


def test_trl_with_loss_on_everything_sees_what_mask_pad_sees():
    assert Ours(collate="mask-pad").against(MADE_BY_TRL / "trl-whole.jsonl").is_same


def test_another_mask_is_named_by_roles(ours):
    found = ours.against(MADE_BY_TRL / "trl-whole.jsonl")
    assert (found.num_same, found.num_tokens_differ, found.num_labels_differ) == (0, 0, 20)
    first = found.differences[0]
    assert (first.label.position, first.label.role, first.counts_in) == (1, "template", "theirs")
    for role in ("template", "instruction", "input"):
        assert found.labels[role].theirs > 0
        assert found.labels[role].both == found.labels[role].ours == 0
    assert found.labels["response"].both > 0
    assert found.labels["response"].theirs == found.labels["response"].ours == 0


def test_another_prompt_style_differs_in_every_row_from_the_first_token():
    found = Ours(prompt="phi3").against(MADE_BY_TRL / "trl-completion.jsonl")
    assert (found.num_same, found.num_tokens_differ, found.is_reordered) == (0, 20, False)
    first = found.differences[0]
    assert (first.ours.text, first.ours.role, first.theirs.text) == ("<", "template", "Below")
    assert "Below is an instruction" in first.their_text


def test_our_own_rows_are_the_same_in_every_form(ours, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    entries = dumped(ours)
    assert ours.against(written(tmp_path / "rows.jsonl", entries)).is_same
    (tmp_path / "rows.json").write_text(json.dumps(entries), encoding="utf-8")
    assert ours.against(tmp_path / "rows.json").is_same
    table = pa.Table.from_pylist(entries)
    parquet.write_table(table, tmp_path / "rows.parquet")
    assert ours.against(tmp_path / "rows.parquet").is_same
    folder = tmp_path / "saved" / "train"
    folder.mkdir(parents=True)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    assert ours.against(tmp_path / "saved").is_same


def test_padding_on_either_side_is_no_difference(ours, tmp_path):
    end = ours.tokenizer.end_id
    left, right = [], []
    for entry in dumped(ours):
        ids, labels, mask = entry["input_ids"], entry["labels"], [1] * len(entry["input_ids"])
        left.append({"input_ids": [end] * 3 + ids, "labels": [-100] * 3 + labels, "attention_mask": [0] * 3 + mask})
        right.append({"input_ids": [*ids, end], "labels": [*labels, -100], "attention_mask": [*mask, 0]})
    assert ours.against(written(tmp_path / "left.jsonl", left)).is_same
    assert ours.against(written(tmp_path / "right.jsonl", right)).is_same


@pytest.mark.parametrize("column", ["seq_lengths", "position_ids"])
def test_packed_rows_are_taken_apart(ours, tmp_path, column):
    packed = []
    entries = dumped(ours)
    for start in range(0, len(entries), 5):
        chosen = entries[start : start + 5]
        lengths = [len(entry["input_ids"]) for entry in chosen]
        values = lengths if column == "seq_lengths" else [at for length in lengths for at in range(length)]
        packed.append(
            {name: [value for entry in chosen for value in entry[name]] for name in ("input_ids", "labels")}
            | {column: values}
        )
    assert ours.against(written(tmp_path / "packed.jsonl", packed)).is_same


def test_masks_in_place_of_labels_are_read(ours, tmp_path):
    entries = [
        {"input_ids": entry["input_ids"], "completion_mask": [int(label != -100) for label in entry["labels"]]}
        for entry in dumped(ours)
    ]
    assert ours.against(written(tmp_path / "masks.jsonl", entries)).is_same


def changed(entries: list[Entry], change: str, end: int) -> list[Entry]:
    for entry in entries:
        ids, labels = entry["input_ids"], entry["labels"]
        if change == "begin":
            entry["input_ids"], entry["labels"] = [end, *ids], [-100, *labels]
        elif change == "no end":
            entry["input_ids"], entry["labels"] = ids[:-1], labels[:-1]
        elif change == "two ends":
            entry["input_ids"], entry["labels"] = [*ids, end], [*labels, end]
        elif change == "end not counted":
            labels[-1] = -100
        elif change == "one early":
            first = next(at for at, label in enumerate(labels) if label != -100)
            labels[first - 1] = ids[first - 1]
    return entries


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("begin", "they begin with a token that we do not have"),
        ("no end", "they lack the end of our row"),
        ("two ends", "they end with a token that we do not have"),
    ],
)
def test_a_planted_difference_of_tokens_is_named(ours, tmp_path, change, kind):
    found = ours.against(written(tmp_path / "rows.jsonl", changed(dumped(ours), change, ours.tokenizer.end_id)))
    assert dict(found.kinds) == {kind: 20}
    assert (found.num_same, found.num_labels_differ) == (0, 0)


@pytest.mark.parametrize(
    ("change", "role", "counts_in"), [("end not counted", "end", "ours"), ("one early", "template", "theirs")]
)
def test_a_planted_difference_of_labels_is_named(ours, tmp_path, change, role, counts_in):
    found = ours.against(written(tmp_path / "rows.jsonl", changed(dumped(ours), change, ours.tokenizer.end_id)))
    assert (found.num_tokens_differ, found.num_labels_differ) == (0, 20)
    assert {(row.label.role, row.counts_in) for row in found.differences} == {(role, counts_in)}
    assert getattr(found.labels[role], counts_in) == 20


def test_all_tokens_of_a_dump_without_labels_and_masks_count(ours, tmp_path):
    """As TRL writes conversations that are trained as a whole."""
    path = written(tmp_path / "rows.jsonl", [{"input_ids": entry["input_ids"]} for entry in dumped(ours)])
    found = Ours(collate="mask-pad").against(path)
    assert (found.is_same, found.has_labels) == (True, False)
    assert ours.against(path).num_labels_differ == 20


def test_rows_in_another_order_are_found(ours, tmp_path):
    entries = dumped(ours)
    random.Random(5).shuffle(entries)
    entries[7]["labels"][-1] = -100
    found = ours.against(written(tmp_path / "rows.jsonl", entries))
    assert (found.is_reordered, found.num_same, found.num_labels_differ) == (True, 19, 1)
    assert found.differences[0].place == "row 7"


def test_a_missing_row_is_a_difference(ours, tmp_path):
    found = ours.against(written(tmp_path / "rows.jsonl", dumped(ours)[:-1]))
    assert (found.num_same, found.num_theirs, found.num_ours, found.is_same) == (19, 19, 20, False)
    assert found.num_missing == 1


def test_a_row_like_none_of_ours_is_counted(ours, tmp_path):
    entries = dumped(ours)
    entries[3] = {"input_ids": [5, 6, 7, 5, 6, 7, 9], "labels": [-100] * 7}
    random.Random(2).shuffle(entries)
    assert ours.against(written(tmp_path / "rows.jsonl", entries)).num_unmatched == 1


def test_a_dump_of_something_else_is_in_no_order(ours, tmp_path):
    found = ours.against(written(tmp_path / "rows.jsonl", [{"input_ids": [5, 6], "labels": [-100, 6]}]))
    assert (found.num_unmatched, found.num_missing, found.is_reordered) == (1, 20, False)


def test_an_id_that_we_do_not_have_is_said(ours, tmp_path):
    entries = dumped(ours)
    entries[0]["input_ids"][4] = 10**6
    found = ours.against(written(tmp_path / "rows.jsonl", entries))
    assert "unknown id" in found.differences[0].theirs.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ('{"input_ids": [1, 2], "labels": [1]}\n', "2 input_ids, expected as many integers in 'labels'"),
        ('{"input_ids": "1 2", "labels": [1]}\n', "no list of integers in 'input_ids'; it has 'input_ids', 'labels'"),
        ('{"input_ids": [1], "completion_mask": [1, 0]}\n', "1 input_ids, expected as many values in its mask"),
        ("no json\n", "line 1 is no JSON object"),
        ("[1, 2]", "row 0 is no object"),
    ],
)
def test_a_broken_dump_is_explained(tmp_path, text, message):
    path = tmp_path / "dump.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_dump(path)
    assert message in str(caught.value)


def test_a_file_that_is_no_dump_is_explained(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../rows.arrow"}]}))
    (tmp_path / "rows.txt").write_text("x")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no")
    for name, message in {
        "absent.jsonl": "no file or folder",
        "saved": "no state.json",
        "evil": "expected one in the same folder",
        "rows.txt": "expected .jsonl, .json, .parquet",
        "rows.parquet": "not readable",
    }.items():
        with pytest.raises(DataError) as caught:
            read_dump(tmp_path / name)
        assert message in str(caught.value)
