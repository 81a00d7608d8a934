"""Files of people's labels: what is read, what is refused with which words, and what is drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sftframe.analysis.label_files import (
    PeopleLabels,
    Place,
    answer_ids,
    draw_items,
    labels_csv,
    match_labels,
    read_labels,
)
from sftframe.errors import ConfigError, DataError
from sftframe.records import JudgeItem, Turn


def answered(index: int, answer: str, question: str = "") -> JudgeItem:
    return JudgeItem(
        index=index, instruction=question or f"Question {index}?", input="", reference="right", answer=answer
    )


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., PeopleLabels]:
    def call(text: str | bytes, **more: Any) -> PeopleLabels:
        path = tmp_path / "labels.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_labels(path, **more)

    return call


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,label\na1,0\na2,1\n", [0, 100]),
        ("id,label\na1,0.25\na2,1\n", [25, 100]),
        ("id,label\na1,0\na2,75\n", [0, 75]),
        ("id,label\na1,yes\na2,No\n", [100, 0]),
        ("id,label\na1,TRUE\na2,false\n", [100, 0]),
        ("id,label\na1,right\na2,0\n", [100, 0]),
        ("id;label\r\na1;0,5\r\na2;1\r\n", [50, 100]),
        ("id\tlabel\na1\t80%\na2\t15 %\n", [80, 15]),
        ("\ufeffId , LABEL,note\na1, 100 ,x\n\na2,50,\n", [100, 50]),
        ('id,note,label\na1,"a ""b"", c\nd",100\na2,,20\n', [100, 20]),
    ],
    ids=["0-1", "parts", "0-100", "words", "booleans", "word and number", "semicolon", "tab", "spaces", "quotes"],
)
def test_labels_are_read_in_every_usual_form(read, text, expected):
    assert read(text).labels == {"a1": expected[0], "a2": expected[1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, expected a table with the columns id and label"),
        ("id,label\n", "has no labels yet: fill in the column 'label'"),
        ("id,label\na1,\na2,?\n", "has no labels yet: fill in the column 'label'"),
        ("id,score\na1,1\n", "has no column 'label', only 'id', 'score': expected id and label"),
        ("name,label\na1,1\n", "has neither a column 'id' nor 'index'"),
        ("id,label,label\na1,1,1\n", "has two columns 'label': rename or remove one"),
        ("id,label\na1,1,2\n", "line 2 has 3 fields, expected 2 as in the header"),
        ("id,label\na1,1\n,1\n", "line 3 has no id"),
        ("id,label\na1,maybe\n", "line 2: the label is 'maybe', expected a number, yes or no, or nothing"),
        ("id,label\na1,nan\n", "line 2: the label is 'nan', expected a number"),
        ("id,label\na1,50\na2,101\n", "line 3: the label is 101, expected 0 to 100"),
        ("id,label\na1,-1\na2,1\n", "line 2: the label is -1, expected 0 to 1"),
        ("id,label\na1,4\na2,1\n", "the largest label is 4, so the scale is not clear: say it with --label-scale"),
        ("id,label\na1,yes\na2,80\n", "line 3: the label is 80, but others are words"),
        ("id,label,person\na1,0,Ann\na1,1,Ann\n", "lines 2 and 3 have two labels of 'Ann' for the same answer"),
        ("id,label,probability\na1,1,0\n", "line 2: the probability is '0', expected more than 0 and at most 1"),
        ("id,label,probability\na1,1,0.5\na1,1,0.4\n", "line 3 has another probability than the same answer's first"),
        ("id,label,probability\na1,1,0.5\na2,1,\n", "line 3 has no probability, but others have one"),
        ("index,label\n1.5,1\n", "line 2: the index is '1.5', expected a whole number"),
        ('id,label\na1,"1\n', "unexpected end of data: save the table as CSV again"),
        (b"id,label\na1,\xff\n", "is not UTF-8 text (byte 12): save it as CSV UTF-8"),
        ("id,label\na1,1\n".encode("utf-16"), "cannot read the labels in"),
        (b"PK\x03\x04xl/workbook", "an Excel workbook: save the sheet as CSV"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(read, text, message):
    with pytest.raises(DataError) as error:
        read(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the labels in .*none\.csv: No such file"):
        read_labels(tmp_path / "none.csv")


def test_a_scale_can_be_said(read):
    assert read("id,label\na1,1\na2,4\n", scale=(1, 5)).labels == {"a1": 0, "a2": 75}
    with pytest.raises(DataError, match="line 3: the label is 6, expected 1 to 5"):
        read("id,label\na1,1\na2,6\n", scale=(1, 5))


def test_labels_of_several_people_are_averaged_and_their_agreement_is_known(read):
    found = read("id,label,person\na1,0,Ann\na1,100,Bob\na2,100,Ann\na2,100,Bob\na3,0,Ann\na3,0,Ann\na4,,Bob\n")
    assert found.labels == {"a1": 50, "a2": 100, "a3": 0}
    assert (found.num_people, found.num_twice, found.num_unlabelled, found.is_binary) == (2, 2, 1, False)
    # squared differences within a1 and a2 are 5000 on average, and so are those of any two of the four labels
    assert found.alpha == pytest.approx(0.0)


def arms_of(**answers: list[str]) -> dict[str, dict[int, list[JudgeItem]]]:
    return {name: {1: [answered(index, one) for index, one in enumerate(own)]} for name, own in answers.items()}


def test_an_equal_answer_of_another_arm_has_the_same_label(read):
    arms = arms_of(A=["same", "x"], B=["same", "y"])
    ids = answer_ids(arms["A"][1])
    found = match_labels(read(f"id,label\n{ids[0]},1\n{ids[1]},0\n"), arms)
    assert found.scores == {"A": {1: {0: 100, 1: 0}}, "B": {1: {0: 100}}}
    assert found.both("A", "B") == {1: {0: 0}}


def test_labels_by_position_name_arm_and_seed_where_there_are_several(read):
    arms = {"A": {1: [answered(7, "x")], 2: [answered(7, "y")]}, "B": {1: [answered(7, "z")], 2: [answered(7, "z")]}}
    found = match_labels(read("index,arm,seed,label\n7,A,2,1\n7,B,1,0\n8,B,1,0\n"), arms)
    assert found.scores == {"A": {1: {}, 2: {7: 100}}, "B": {1: {7: 0}, 2: {}}}
    assert found.num_unknown == 1
    for text, message in (
        ("index,label\n7,1\n", "item 7 has neither 'id' nor 'arm', but there are 2 arms"),
        ("index,arm,label\n7,A,1\n", "item 7 has neither 'id' nor 'seed', but A has 2 seeds"),
        ("index,arm,seed,label\n7,C,1,1\n", "no arm 'C'"),
        ("index,arm,seed,label\n7,A,3,1\n", "A has no seed 3; it has 1, 2"),
    ):
        with pytest.raises(DataError, match=message):
            match_labels(read(text), arms)
    assert match_labels(read("index,label\n7,1\n"), {"A": {5: [answered(7, "x")]}}).scores == {"A": {5: {7: 100}}}


def test_labels_of_other_answers_are_refused_and_some_are_noted(read):
    arms = arms_of(A=["x", "y"])
    name = answer_ids(arms["A"][1])[0]
    with pytest.raises(DataError, match="none of its 1 labels is of an answer of A"):
        match_labels(read("id,label\nunknown,1\n"), arms)
    found = match_labels(read(f"id,label\nunknown,1\n{name},1\n"), arms)
    assert found.num_unknown == 1
    assert any("labels of 1 answers" in note for note in found.notes)
    assert any("'probability'" in note for note in found.notes)


def test_the_answers_of_an_item_have_one_probability(read):
    arms = arms_of(A=["x"], B=["y"])
    one, other = answer_ids(arms["A"][1])[0], answer_ids(arms["B"][1])[0]
    with pytest.raises(DataError, match=r"item 0 have the probabilities 0\.5 and 0\.2"):
        match_labels(read(f"id,label,probability\n{one},1,0.5\n{other},1,0.2\n"), arms)


def test_a_conversation_belongs_to_its_answer():
    turns = (Turn(instruction="Hello.", output="Good day."), Turn(instruction="{}", output="4", speaker="tool"))
    plain = answered(0, "x")
    inside = replace(plain, system="Be brief.", turns=turns)
    assert answer_ids([plain, inside]) == [answer_ids([plain])[0], answer_ids([inside])[0]]
    arms = {"A": {1: [replace(inside, index=i, instruction=f"Question {i}?") for i in range(10)]}}
    drawn = draw_items(arms, scores_of(arms, [[1.0] * 10]), 10)
    assert drawn[0].answers[0].before == (
        ("System", "Be brief."),
        ("User", "Hello."),
        ("Assistant", "Good day."),
        ("Tool", "{}"),
        ("Assistant", "4"),
    )
    row = next(csv.DictReader(io.StringIO(labels_csv(drawn))))
    assert row["before"] == "System: Be brief.\nUser: Hello.\nAssistant: Good day.\nTool: {}\nAssistant: 4"


def scores_of(arms, values):
    return {name: {1: dict(enumerate(own))} for name, own in zip(arms, values, strict=True)}


def test_items_are_drawn_from_every_stratum_with_their_chance():
    arms = arms_of(A=[f"a{i}" for i in range(100)], B=[f"b{i}" for i in range(100)])
    scores = scores_of(arms, [[0.0] * 100, [0.0] * 70 + [float(i) for i in range(1, 31)]])
    found = draw_items(arms, scores, 20)
    assert len(found) == 20
    counts = {name: [one for one in found if one.stratum == name] for name in "1234"}
    assert [len(counts[name]) for name in "1234"] == [11, 3, 3, 3]
    assert [{one.probability for one in counts[name]} for name in "1234"] == [{11 / 70}, {0.3}, {0.3}, {0.3}]
    assert all(one.index < 70 for one in counts["1"])
    assert all(one.index >= 90 for one in counts["4"])
    assert all({answer.answer[0] for answer in one.answers} == {"a", "b"} for one in found)
    assert found == draw_items(arms, scores, 20)
    assert found != draw_items(arms, scores, 20, seed=1)
    assert [one.index for one in found] != sorted(one.index for one in found)


def test_every_item_is_drawn_equally_often_within_its_stratum():
    arms = arms_of(A=["x"] * 40)
    scores = scores_of(arms, [[0.0] * 20 + [50.0] * 20])
    counts, chances = [0] * 40, {}
    for seed in range(400):
        for one in draw_items(arms, scores, 20, seed=seed):
            counts[one.index] += 1
            chances[one.index] = one.probability
    assert all(abs(count - 400 * chances[index]) < 50 for index, count in enumerate(counts))  # standard deviation 10


def test_a_seed_is_drawn_for_each_item_and_equal_answers_are_asked_once():
    items = {seed: [answered(i, f"{i} of {seed}") for i in range(30)] for seed in (1, 2)}
    scores = {name: {seed: dict.fromkeys(range(30), 50.0) for seed in (1, 2)} for name in "AB"}
    found = draw_items({"A": items, "B": items}, scores, 30)
    assert all(len(one.answers) == 1 for one in found)
    assert {one.answers[0].answer[-1] for one in found} == {"1", "2"}
    assert {one.probability for one in found} == {1.0}


def test_items_without_a_score_are_not_drawn_and_too_few_are_an_error():
    arms = arms_of(A=["x"] * 20)
    found = draw_items(arms, scores_of(arms, [[None] * 8 + [1.0] * 12]), 100)
    assert sorted(one.index for one in found) == list(range(8, 20))
    with pytest.raises(DataError, match="9 items have a score of the judge everywhere, expected at least 10"):
        draw_items(arms, scores_of(arms, [[None] * 11 + [1.0] * 9]), 10)
    with pytest.raises(ConfigError, match="--write-labels 3: expected at least 10 items"):
        draw_items(arms, scores_of(arms, [[1.0] * 20]), 3)


def test_the_written_file_is_blind_safe_in_a_spreadsheet_and_can_be_read_when_filled_in(read):
    answers = ["=1+1", "@x", '"a", b\nc', *(f"{i}" for i in range(3, 20))]
    arms = arms_of(one=answers, other=answers[::-1])
    drawn = draw_items(arms, scores_of(arms, [[0.0] * 20, [0.0] * 10 + [9.0] * 10]), 20)
    text = labels_csv(drawn)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert not any(cell.startswith(("=", "@", "+", "-")) for row in rows for cell in row.values())
    assert "one" not in text.replace("none", "")
    assert "other" not in text
    filled = io.StringIO()
    writer = csv.DictWriter(filled, rows[0])
    writer.writeheader()
    writer.writerows({**row, "label": "1", "person": "Ann"} for row in rows)
    found = match_labels(read(filled.getvalue()), arms)
    assert found.scores["one"][1].keys() == set(range(20))
    assert found.design.probability == dict.fromkeys(range(20), 1.0)
    assert found.notes == []
    assert Place(index=1).arm is None
