"""Runs whose data are conversations."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sftframe import Example, RunConfig, Turn, load_registry
from sftframe.errors import DataError
from sftframe.pipeline import Components
from sftframe.pipeline.manifest import check_template, template_identity
from sftframe.pipeline.setup import naming_other_styles
from sftframe.prompts.tokens import tokenize

TALK = Example(index=3, turns=(Turn(instruction="Hi.", output="Hello."),), instruction="Bye.", output="See you.")
TOOL = replace(TALK, speaker="tool")


@pytest.mark.parametrize(
    ("prompt", "example", "says"),
    [
        (
            "alpaca",
            TALK,
            "earlier exchanges, which prompt style 'alpaca' does not write; .*: chatml, llama3, phi3;",
        ),
        (
            "phi3",
            TOOL,
            "what a tool gave back, which prompt style 'phi3' does not write; .*: chatml, llama3; or",
        ),
        (
            "alpaca",
            replace(TALK, turns=(), system="Be kind."),
            "a system message, .*'alpaca' .* these write all of it: chatml, llama3, phi3; or leave it out with",
        ),
        (
            "alpaca",
            replace(TALK, system="Be kind.", tools="[1]"),
            r"earlier exchanges, a system message and tools, which .*: chatml, llama3; or use the data without all "
            r"that with --set data\.turns=last \(or first, each\) --set data\.fields\.system=false --set data\.fields",
        ),
        (
            "alpaca",
            replace(TOOL, system="Be kind."),
            r"earlier exchanges, a system message and what a tool gave back, which .* without all that with "
            r"--set data\.fields\.system=false --set data\.turns=first \(or each\)$",
        ),
    ],
)
def test_a_style_that_cannot_write_the_data_names_those_that_can(prompt: str, example: Example, says: str) -> None:
    config = RunConfig(prompt=prompt)
    components = Components.choose(config, load_registry())
    with pytest.raises(DataError, match=f"example 3 has {says}"), naming_other_styles(components):
        tokenize([example], components.style, components.tokenizer, config.tokens, context_length=256)


class _Folder:
    """A run that has recorded something as its template."""

    path = "runs/x"

    def __init__(self, template: dict, tokenizer: str) -> None:
        self._document = {
            "template": template,
            "tokenizer": {"sha256": tokenizer},
            "components": {"prompt": {"plugin": "sftframe:prompts", "version": "0"}},
        }

    def manifest(self) -> dict:
        return self._document


def test_a_run_from_before_there_were_conversations_goes_on_and_a_changed_conversation_is_found() -> None:
    style = load_registry().prompt_style("phi3")
    tokenizer = Components.choose(RunConfig(), load_registry()).tokenizer
    identity = template_identity(style, tokenizer)
    older = {key: identity[key] for key in ("sha256", "prompt_ids")}
    check_template(_Folder(older, tokenizer.fingerprint), style, tokenizer)
    with pytest.raises(Exception, match="prompt style 'phi3' renders differently"):
        check_template(_Folder({**identity, "conversation": "another"}, tokenizer.fingerprint), style, tokenizer)


@pytest.fixture
def talks(tmp_path: Path) -> str:
    """Twenty conversations of two exchanges, with a system message."""
    rows = [
        {
            "messages": [
                {"role": "system", "content": "Count."},
                {"role": "user", "content": f"After {n}?"},
                {"role": "assistant", "content": f"{n + 1}", "weight": 1 - n % 2},
                {"role": "user", "content": "And then?"},
                {"role": "assistant", "content": f"{n + 2}"},
            ]
        }
        for n in range(20)
    ]
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("turns", ["all", "last"])
def test_a_run_counts_the_answers_that_it_is_told_to(
    start: Callable[..., Any], talks: str, turns: str, heard: Any
) -> None:
    session = start(
        heard,
        data={"source": talks},
        prompt="chatml",
        collate={"name": "mask-instruction", "turns": turns},
        train={"max_steps": 2, "batch_size": 4, "shuffle": False},
        generate={"max_new_tokens": 2},
        before=False,
    )
    summary = session.run_all()
    shares = summary.train.counted_share
    # the first answer ends in ten tokens of <|im_end|>, the last one in these and the end token; with `all` half of the
    # eight first answers have the weight 0
    assert (shares["instruction"], shares["system"]) == (0, 0)
    assert shares["end"] == pytest.approx({"all": (4 * 10 + 8 * 11) / (8 * 21), "last": 11 / 21}[turns])
    assert any(f"collate.turns={'all' if turns == 'last' else 'last'}" in line for line in heard.notes)
    assert session.folder.config().collate.turns == turns


def ends_unweighted(tmp_path: Path, which: set[int]) -> str:
    """The path of twenty conversations (17 train, 2 test, 1 validation); some end in an answer that does not count."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"After {n}?"},
                {"role": "assistant", "content": f"{n + 1}", "weight": 0.5},
                {"role": "user", "content": "Sure?"},
                {"role": "assistant", "content": "No.", "weight": int(n not in which)},
            ]
        }
        for n in range(20)
    ]
    path = tmp_path / "ends.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def test_test_examples_that_end_in_an_answer_of_weight_0_are_told(
    start: Callable[..., Any], tmp_path: Path, heard: Any
) -> None:
    source = ends_unweighted(tmp_path, {4, 6, 18})
    start(heard, data={"source": source}, prompt="chatml", collate="mask-instruction", before=False).announce()
    assert any("every answer counts, except 3 with the weight 0, as collate" in line for line in heard.notes)
    (told,) = [line for line in heard.warnings if "weight 0" in line]
    assert told.startswith("1 of 2 test examples end in an answer with the weight 0, which is still the reference")
    assert "data.turns=last and data.invalid=drop" in told


def test_last_answers_of_weight_0_that_leave_nothing_to_train_on_are_told_with_their_weights(
    start: Callable[..., Any], tmp_path: Path, heard: Any
) -> None:
    changes = {"data": {"source": ends_unweighted(tmp_path, {5, 9, 16})}, "prompt": "chatml", "before": False}
    says = r"3 of 20 examples end .* \(the first is example 5; weights of its answers: 0.5, 0\).* Set collate.turns=all"
    with pytest.raises(DataError, match=says):
        start(**changes, collate={"name": "mask-instruction", "turns": "last"})
    # with this strategy the questions count
    start(heard, **changes, collate={"name": "mask-pad", "turns": "last"}).announce()
    assert any("the last answer alone counts, except 3 with the weight 0, as" in line for line in heard.notes)
    assert not any("weight 0" in line for line in heard.warnings)


def test_last_answers_of_weight_0_are_left_out_as_the_message_says(
    start: Callable[..., Any], tmp_path: Path, heard: Any
) -> None:
    data = {"source": ends_unweighted(tmp_path, {4, 18}), "turns": "last", "invalid": "drop"}
    session = start(heard, data=data, prompt="chatml", collate="mask-instruction", before=False)
    assert [example.weight for example in session.setup.prepared.dataset.examples] == [1.0] * 18
