"""What is said before the first step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftframe.pipeline import Session


@pytest.fixture
def announced(start: Callable[..., Session], heard: Any) -> Callable[..., Any]:
    """`announced(**changes)`: what a run says before its first step."""

    def go(**changes: Any) -> Any:
        session = start(heard, **changes)
        heard.notes.clear()
        session.announce()
        return heard

    return go


def test_the_pieces_and_the_strategy_are_named(announced: Callable[..., Any], data_file: Path) -> None:
    assert announced().notes[0] == (
        f"model toy · prompt brief · collate mask-pad · judge toy-judge · data {data_file} · seed 123"
    )


def test_split_and_lengths_are_told(announced: Callable[..., Any]) -> None:
    # 10 rows with one digit and 30 with two (one more in the question, one more in 31 answers), 26 "Yes." of 5 tokens
    # and 12 more: 40 * 24 + 30 + 31 + 39 * 5 = 1216
    assert announced().notes[1] == (
        "34 train, 4 test and 2 validation examples; tokens: mean 30.4, longest 36, at most 256"
    )


def test_data_that_fit_are_no_reason_to_warn(announced: Callable[..., Any]) -> None:
    assert announced().warnings == []


@pytest.mark.parametrize(
    ("over_long", "done"),
    [("drop", "26 dropped, 0 cut by 0 tokens"), ("truncate-end", r"0 dropped, 26 cut by \d+ tokens")],
)
def test_over_long_examples_are_a_warning(over_long: str, done: str, announced: Callable[..., Any]) -> None:
    import re

    (warning,) = announced(tokens={"max_length": 27, "over_long": over_long}).warnings
    assert re.fullmatch(rf"26 examples are over 27 tokens: {done}", warning)


def test_test_examples_that_are_trained_on_are_a_warning(announced: Callable[..., Any], tmp_path: Path) -> None:
    entries = [{"instruction": f"Say {n % 36}.", "output": "x"} for n in range(40)]
    path = tmp_path / "repeated.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    # of the test examples 34 to 37 the last two are the first two again
    assert announced(data={"source": str(path)}).warnings == ["2 test examples are in the training data too"]


@pytest.mark.parametrize("group", [None, "output", False], ids=["nothing said", "named", "ruled out"])
def test_test_examples_that_look_like_families_are_told_unless_a_group_is_named_or_ruled_out(
    announced: Callable[..., Any], tmp_path: Path, group: str | bool | None
) -> None:
    words = [" ".join(f"w{n}x{k}" for k in range(6)) for n in range(40)]
    # test examples 34 to 37: two of one family, and two others; 4^2 / (4 + 1 + 1) is 2.7
    entries = [{"instruction": f"Say {n}." if n in (34, 35) else words[n], "output": f"x{n}"} for n in range(40)]
    path = tmp_path / "alike.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    said = {} if group is None else {"group": group}
    notes = [line for line in announced(data={"source": str(path), **said}).notes if "look alike" in line]
    told = (
        "2 of the 4 test questions look alike in 1 family (the largest has 2, such as 'Say 34.'): if these go "
        "together, all count like as few as 3 independent ones, so give the entries a field with their group and name "
        "it with --set data.group=FIELD, or say that they do not belong together with --set data.group=false"
    )
    assert notes == ([told] if group is None else [])


@pytest.mark.parametrize("is_kept", [False, True])
def test_groups_in_the_test_and_the_training_part_are_told_with_the_setting_that_keeps_them_together(
    announced: Callable[..., Any], tmp_path: Path, is_kept: bool
) -> None:
    words = [" ".join(f"w{n}x{k}" for k in range(6)) for n in range(40)]
    entries = [{"instruction": words[n], "output": f"x{n}", "topic": (n + 8) // 5} for n in range(40)]
    path = tmp_path / "topics.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    data = {"source": str(path), "group": "topic", "keep_groups_together": is_kept}
    notes = [line for line in announced(data=data).notes if "test examples are of" in line]
    # topic 8 is 32 to 36: 32 and 33 are trained on, 34 to 36 tested
    assert notes == (
        []
        if is_kept
        else [
            "3 of 4 test examples are of 1 group that the training data have too, so the answers say little about new "
            "groups; data.keep_groups_together=true keeps every group in one part"
        ]
    )


def test_outputs_that_contain_the_stop_string_are_a_warning(
    announced: Callable[..., Any], data_file: Path, tmp_path: Path
) -> None:
    entries = [{"instruction": f"Say {n}.", "output": "a</s>b" if n in (3, 5, 35) else "x"} for n in range(40)]
    path = tmp_path / "stops.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    style = tmp_path / "tagged.toml"
    style.write_text('segments = ["instruction", "input", {template = "\\n"}, "response", {end = "</s>"}]')
    (warning,) = announced(data={"source": str(path)}, prompt=str(style)).warnings
    assert warning.startswith("2 train and 1 test outputs contain '</s>', the text at which prompt style")


def test_words_that_are_control_tokens_are_a_warning(announced: Callable[..., Any], tmp_path: Path) -> None:
    style = tmp_path / "tagged.toml"
    style.write_text('segments = ["instruction", "input", {template = "<|endoftext|>\\n"}, "response"]')
    (warning,) = announced(prompt=str(style), model="gpt2-nano", train={"max_steps": 1}).warnings
    assert "writes '<|endoftext|>', the name of a control token" in warning


def test_text_that_is_not_used_is_a_warning(announced: Callable[..., Any], tmp_path: Path) -> None:
    entries = [{"instruction": f"Say {n}.", "output": "x", "notes": "Be brief."} for n in range(20)]
    path = tmp_path / "noted.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    (warning,) = announced(data={"source": str(path)}).warnings
    assert warning.startswith(f"{path}: unused columns: 'notes' (in 20 of 20 entries); the model does not see them.")


def test_no_setting_is_named_for_keys_of_messages_because_none_reads_them(
    announced: Callable[..., Any], tmp_path: Path
) -> None:
    asked = {"role": "user", "content": "Hi.", "name": "Ann"}
    path = tmp_path / "named.json"
    path.write_text(
        json.dumps([{"messages": [asked, {"role": "assistant", "content": f"Yes {n}."}]} for n in range(20)])
    )
    (warning,) = announced(data={"source": str(path)}).warnings
    assert warning == (f"{path}: unused columns: 'messages[].name' (in 20 of 20 entries); the model does not see them")


def test_numbers_that_are_not_used_are_a_note(announced: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "numbered.json"
    path.write_text(json.dumps([{"instruction": f"Say {n}.", "output": "x", "id": n + 1} for n in range(20)]))
    heard = announced(data={"source": str(path)})
    assert heard.warnings == []
    assert heard.notes[-1] == f"{path}: unused columns: 'id' (in 20 of 20 entries)"


@pytest.mark.parametrize(("name", "setting"), [("fold", "data.part=fold"), ("my fold", "'data.part=\"my fold\"'")])
def test_a_column_that_names_the_parts_is_told_with_its_setting(
    announced: Callable[..., Any], tmp_path: Path, name: str, setting: str
) -> None:
    folds = ["train", "train", "dev", "Test"]
    path = tmp_path / "folds.json"
    path.write_text(json.dumps([{"instruction": f"Say {n}.", "output": "x", name: folds[n % 4]} for n in range(20)]))
    told = f"{path}: {name!r} names a part of the split in every entry: --set {setting} splits by it"
    assert told in announced(data={"source": str(path)}).notes


def test_a_column_that_splits_already_is_not_told(announced: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    entries = [{"instruction": f"Say {n}.", "output": "x", "fold": ["train", "dev"][n % 2]} for n in range(20)]
    path.write_text(json.dumps(entries))
    notes = announced(data={"source": str(path), "part": "fold"}).notes
    assert not any("splits by it" in line for line in notes)


@pytest.mark.parametrize("values", [["train"], ["train", "other"], ["train", "test", ""]])
def test_other_columns_with_such_words_are_not_told(
    announced: Callable[..., Any], tmp_path: Path, values: list[str]
) -> None:
    path = tmp_path / "words.json"
    entries = [{"instruction": f"Say {n}.", "output": "x", "set": values[n % len(values)]} for n in range(20)]
    path.write_text(json.dumps(entries))
    assert not any("splits by it" in line for line in announced(data={"source": str(path)}).notes)
