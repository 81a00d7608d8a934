"""Files with a model's answer in every entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sftframe.config import DataConfig
from sftframe.data import load_answered
from sftframe.errors import ConfigError, DataError


def entry(**changes: Any) -> dict[str, Any]:
    return {"instruction": "Name it.", "input": "France", "output": "Paris.", "model_response": "Lyon.", **changes}


def written(folder: Path, *entries: object, name: str = "answers.json") -> str:
    path = folder / name
    lines = "\n".join(map(json.dumps, entries))
    path.write_text(lines if name.endswith("l") else json.dumps(entries), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["answers.json", "answers.jsonl"])
def test_the_chapters_shape_is_read(tmp_path: Path, name: str) -> None:
    source = written(tmp_path, entry(), entry(input="", model_response=""), name=name)
    found = load_answered(DataConfig(source=source))
    assert [(example.input, example.output, example.index) for example in found.dataset.examples] == [
        ("France", "Paris.", 0),
        ("", "Paris.", 1),
    ]
    assert found.answers == ("Lyon.", "")


def test_every_field_can_have_another_name(tmp_path: Path) -> None:
    source = written(tmp_path, {"q": "Name it.", "ctx": "France", "gold": "Paris.", "model 1 response": "Lyon."})
    fields = {"instruction": "q", "input": "ctx", "output": "gold", "response": "model 1 response"}
    found = load_answered(DataConfig(source=source, fields=fields))
    assert (found.dataset.examples[0].output, found.answers) == ("Paris.", ("Lyon.",))


def test_an_entry_without_an_answer_is_named_with_its_field(tmp_path: Path) -> None:
    lost = entry()
    del lost["model_response"]
    source = written(tmp_path, entry(), {**lost, "response": "Lyon."})
    with pytest.raises(DataError) as caught:
        load_answered(DataConfig(source=source))
    message = str(caught.value)
    assert message.startswith(f"{source}: entry 1: no field 'model_response'; did you mean 'response'?")
    assert "Use one name in all entries. It has: 'input', 'instruction', 'output', 'response'; 1 of 2" in message


@pytest.mark.parametrize(("value", "found"), [(None, "null"), (["Lyon."], "a list"), (3, "a number")])
def test_an_answer_that_is_no_text_is_named(tmp_path: Path, value: object, found: str) -> None:
    source = written(tmp_path, entry(), entry(model_response=value), name="answers.jsonl")
    with pytest.raises(DataError, match=rf"entry 1 \(line 2\): field 'model_response' is {found}, expected a string"):
        load_answered(DataConfig(source=source))


def test_the_answer_cannot_be_the_reference(tmp_path: Path) -> None:
    config = DataConfig(source=written(tmp_path, entry()), fields={"response": "output"})
    with pytest.raises(ConfigError, match="output and response are both read from 'output'"):
        load_answered(config)


def test_a_file_whose_input_is_the_answer_has_no_other_input(tmp_path: Path) -> None:
    source = written(tmp_path, {"instruction": "Name it.", "input": "Lyon.", "output": "Paris."})
    found = load_answered(DataConfig(source=source, fields={"response": "input"}))
    assert (found.dataset.examples[0].input, found.answers) == ("", ("Lyon.",))


def test_the_limit_is_kept(tmp_path: Path) -> None:
    source = written(tmp_path, entry(), entry(), entry())
    assert len(load_answered(DataConfig(source=source, limit=2)).answers) == 2


def test_a_file_without_the_group_is_read_where_another_one_may_have_it(tmp_path):
    csv = tmp_path / "a.csv"
    csv.write_text("instruction,output,model_response\nSay.,a,b\n", encoding="utf-8")
    rows = tmp_path / "a.json"
    rows.write_text('[{"instruction": "Say.", "output": "a", "model_response": "b"}]', encoding="utf-8")
    for path in (csv, rows):
        config = DataConfig(source=str(path), group="topic")
        assert load_answered(config, needs_group=False).dataset.examples[0].group == ""
        with pytest.raises(DataError, match=r"data\.group: no field 'topic'"):
            load_answered(config)
