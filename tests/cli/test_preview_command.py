"""`sftframe preview`: what it shows is what trains, with and without colours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_the_chapters_batches_have_the_chapters_shapes(cli, test_data: Path) -> None:
    chapter = (
        "--data",
        test_data / "instruction-data.json",
        "--model",
        "gpt2-small",
        "--set",
        "model.weights=random",
        "--set",
        f"model.tokenizer={test_data / 'gpt2'}",
    )
    batches = cli("preview", *chapter, "--batches", "--json").json["batches"]
    shapes = [batch["shape"] for batch in batches]
    assert len(shapes) == 117
    assert shapes[:3] == [[8, 74], [8, 62], [8, 71]]
    assert shapes[-3:] == [[8, 70], [8, 83], [7, 69]]
    shuffled = ("--epoch", "0", "--seed", "123", "--set", "train.drop_last=true")
    batches = cli("preview", *chapter, "--batches", "--json", *shuffled).json["batches"]
    assert [batch["shape"][1] for batch in batches][:12] == [61, 76, 73, 68, 65, 72, 80, 67, 62, 75, 62, 68]


def test_counted_and_padded_positions_add_up(cli, data_file: Path) -> None:
    document = cli("preview", "--data", data_file, "--batches", "--json", "--batch-size", "4").json
    lengths = document["lengths"]
    rows = sum(batch["shape"][0] for batch in document["batches"])
    positions = sum(batch["shape"][0] * batch["shape"][1] for batch in document["batches"])
    assert rows == 17
    assert lengths["num_examples"] == 20
    assert sum(batch["counted"] + batch["padding"] for batch in document["batches"]) == positions
    assert document["counted_share"]["padding"] == 0.0


@pytest.mark.parametrize(
    ("collate", "counted_roles"),
    [
        ("mask-instruction", {"response", "end"}),
        ("mask-pad", {"template", "instruction", "response", "end"}),
        ("pad-only", {"template", "instruction", "response", "end", "padding"}),
    ],
)
def test_counted_targets_are_those_of_the_strategy(cli, data_file: Path, collate: str, counted_roles: set[str]) -> None:
    document = cli("preview", "--data", data_file, "--collate", collate, "--json", "-n", "2").json
    tokens = [token for example in document["examples"] for token in example["tokens"]]
    assert {token["role"] for token in tokens if token["weight"] > 0} == counted_roles
    text = "".join(token["text"] for token in document["examples"][0]["tokens"] if token["role"] != "padding")
    assert text.startswith("Below is an instruction that describes a task. Write a response")
    assert text.endswith("### Response:\nIt is 1.<end>")


def test_without_colours_roles_are_named_and_counted_targets_marked(cli, data_file: Path) -> None:
    outcome = cli("preview", "--data", data_file, "--collate", "mask-instruction", "-n", "1", "--batch-size", "2")
    lines = outcome.out.splitlines()
    at = lines.index("response    It is 1.")
    assert lines[at + 1] == "            ^^^^^^^^"
    assert lines[at + 2 : at + 4] == ["end         <end>", "            ^^^^^"]
    assert "instruction Write the number after 0." in lines
    assert lines[lines.index("instruction Write the number after 0.") + 1].startswith("template")
    assert any(line.startswith("padding     <pad> x ") for line in lines)


def test_ids_are_shown_on_request(cli, data_file: Path) -> None:
    first = cli("preview", "--data", data_file, "--json", "-n", "1").json["examples"][0]["tokens"][0]
    table = cli("preview", "--data", data_file, "--ids", "-n", "1").out
    assert f" {first['id']} " in table


def test_an_index_outside_the_data_is_refused(cli, data_file: Path) -> None:
    outcome = cli("preview", "--data", data_file, "--index", "20")
    assert outcome.code == 4
    assert "they go from 0 to 19" in outcome.last_line


def test_an_example_of_any_part_is_shown_with_its_part(cli, data_file: Path) -> None:
    document = cli("preview", "--data", data_file, "--index", "18", "--index", "2", "--json").json
    assert [(example["index"], example["part"]) for example in document["examples"]] == [(2, "train"), (18, "test")]
    assert document["measured"] == {"examples": 20, "of": 20}
    assert document["lengths"]["num_examples"] == 20


def test_an_example_that_is_too_long_is_shown_when_it_is_asked_for(cli, data_file: Path) -> None:
    assert cli("preview", "--data", data_file, "--max-length", "20").code == 4
    outcome = cli("preview", "--data", data_file, "--max-length", "20", "--index", "17")
    assert outcome.code == 0
    assert "It is 18." in outcome.out
    assert "at most 20; 20 over, 0 dropped, 0 cut" in outcome.out


@pytest.fixture
def many(tmp_path: Path) -> str:
    """3,000 entries, the last a long one."""
    rows = [{"instruction": f"Say {n}.", "output": "x" * (3000 if n == 2999 else 3)} for n in range(3000)]
    (tmp_path / "many.json").write_text(json.dumps(rows))
    return "many.json"


def test_of_many_examples_those_that_are_shown_and_the_first_are_measured_and_that_is_said(cli, many: str) -> None:
    outcome = cli("preview", "--data", many, "-n", "1")
    assert "Lengths and shares are from 2,000 of the 3,000 examples; --lengths measures all." in outcome.out
    document = cli("preview", "--data", many, "-n", "1", "--json").json
    assert document["lengths"]["num_examples"] == document["measured"]["examples"] == 2000
    assert cli("preview", "--data", many, "--lengths").code == 4  # the long one is found
    document = cli("preview", "--data", many, "--index", "2999", "--json").json
    assert document["examples"][0]["part"] == "validation"
    assert document["lengths"]["over_long"] == [2999]
    assert document["measured"]["of"] == 3000


def test_tensors_of_the_first_batches_are_printed_as_they_are_trained_on(cli, data_file: Path) -> None:
    options = ("--data", data_file, "--batches", "--tensors", "-n", "2", "--batch-size", "4")
    document = cli("preview", *options, "--json").json
    first, second, third = document["batches"][:3]
    assert "inputs" in second
    assert "inputs" not in third
    rows, positions = first["shape"]
    assert [len(first["inputs"]), len(first["inputs"][0]), len(first["targets"][0])] == [rows, positions, positions]
    for inputs, targets in zip(first["inputs"], first["targets"], strict=True):
        length = positions - targets.count(-100)
        assert targets[: length - 1] == inputs[1:length]
        assert targets[length:] == [-100] * (positions - length)
    assert sum(row.count(-100) for row in first["targets"]) == first["padding"] > 0
    text = cli("preview", *options).out
    assert "batch 1, examples 4, 5, 6, 7" in text
    assert f"targets ({rows}, {positions}):\n[" in text
    assert ", -100]" in text


def test_weights_are_among_the_tensors(cli, data_file: Path) -> None:
    options = ("--data", data_file, "--batches", "--tensors", "-n", "1", "--json")
    document = cli("preview", *options, "--collate", "prompt-weight", "--set", "collate.weight=0.25").json
    assert {round(weight, 4) for row in document["batches"][0]["weights"] for weight in row} == {0.0, 0.25, 1.0}


def test_json_is_all_of_stdout(cli, data_file: Path) -> None:
    assert json.loads(cli("preview", "--data", data_file, "--json").out)["collate"] == "mask-pad"


def test_columns_that_are_not_used_are_a_warning_and_in_the_json(cli, tmp_path: Path) -> None:
    lines = [json.dumps({"instruction": f"Say {n}.", "output": "x", "tags": [["a", "b"]]}) for n in range(12)]
    (tmp_path / "h.jsonl").write_text("\n".join(lines))
    outcome = cli("preview", "--data", "h.jsonl", "--json", "-n", "1")
    assert outcome.json["unused_columns"] == ["tags"]
    assert "warning: h.jsonl: unused columns: 'tags' (in 12 of 12 entries)" in outcome.err


def test_an_input_of_another_name_ends_a_preview_with_the_setting_that_reads_it(cli, tmp_path: Path) -> None:
    rows = "".join(f"Add.,{n} 1,x\n" for n in range(12))
    (tmp_path / "d.csv").write_text(f"instruction,Input,output\n{rows}")
    outcome = cli("preview", "--data", "d.csv")
    assert outcome.code == 4
    assert "text in 'Input'" in outcome.last_line
    assert "--set data.fields.input=Input" in outcome.last_line
    shown = cli("preview", "--data", "d.csv", "--set", "data.fields.input=Input", "-n", "1")
    assert "input       0 1" in shown.out


def test_a_field_that_is_neither_a_name_nor_false_is_refused(cli) -> None:
    outcome = cli("preview", "--set", "data.fields.input=3")
    assert outcome.code == 2
    assert "data.fields.input: expected the name of a field in the file, or false" in outcome.last_line


def test_a_dump_of_another_trainer_is_compared(cli):
    dump = Path(__file__).parents[1] / "pipeline" / "dumps" / "trl-completion.jsonl"
    same = cli("preview", "--limit", "24", "--collate", "mask-instruction", "--against", dump)
    assert (same.code, "All are the same: every token, and every label." in same.out) == (0, True)
    other = cli("preview", "--limit", "24", "--collate", "mask-pad", "--against", dump, "-n", "1")
    assert other.code == 1
    assert "0 rows are the same; in 0 tokens differ, in 20 only labels." in other.out
    assert "row 0, our example 0:" in other.out
    assert "(template) counts in ours, not in theirs" in other.out
    found = cli("preview", "--limit", "24", "--collate", "mask-pad", "--against", dump, "--json").json
    assert (found["same"], found["num_labels_differ"], len(found["differences"])) == (False, 20, 20)


def test_a_dump_without_labels_is_said_to_have_none(cli, tmp_path):
    dump = Path(__file__).parents[1] / "pipeline" / "dumps" / "trl-whole.jsonl"
    rows = [{"input_ids": json.loads(line)["input_ids"]} for line in dump.read_text(encoding="utf-8").splitlines()]
    (tmp_path / "bare.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    done = cli("preview", "--limit", "24", "--collate", "mask-pad", "--against", tmp_path / "bare.jsonl")
    assert done.code == 0
    assert "The dump has no labels and no mask, so all of its tokens are taken to count." in done.out
