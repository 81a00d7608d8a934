"""The whole audit: figures worked out by hand, what is judged by what most rows are like, and other processes."""

import gc

import pytest

from sftframe.audit import KINDS, TokenLengths, advice, audit, audit_page, examination, find_kind
from sftframe.data import Dataset
from sftframe.errors import ConfigError
from sftframe.records import Example, Turn


def look(examples, **more):
    return audit(Dataset(source="some.jsonl", sha256="ab", examples=tuple(examples)), **{"parts": {}, **more})


def rows(*outputs: str) -> list[Example]:
    return [Example(instruction=f"Task {number}.", output=text, index=number) for number, text in enumerate(outputs)]


def test_the_figures_of_four_rows():
    examples = [
        Example(instruction="ab", output="c", index=0),
        Example(instruction="ab", input="de", output="cccc", index=1),
        Example(instruction="abcd", output="cc", index=2, system="s"),
        Example(instruction="x", output="cccc", index=3, turns=(Turn(instruction="y", output="z"),)),
    ]
    found = look(examples, parts={"train": [0, 1], "test": [2], "validation": [3]})
    questions, answers = found.lengths
    assert (questions.least, questions.median, questions.most, questions.total) == (2, 5.0, 6, 2 + 5 + 6 + 5)
    assert (answers.least, answers.median, answers.most, answers.total) == (1, 3.0, 4, 11)
    assert [(bar.low, bar.high, bar.num_rows) for bar in answers.bins] == [(1, 2, 1), (2, 4, 1), (4, 8, 2)]
    assert found.ratio == pytest.approx((1 / 2 + 4 / 5) / 2)  # of 0.5, 0.8, 2/6, 0.8
    assert (found.num_conversations, found.num_systems) == (1, 1)
    assert (found.num_instructions, found.instructions) == (3, (("ab", 2),))
    assert found.parts == {"train": 2, "test": 1, "validation": 1}


def test_rows_that_do_not_fit_are_found_by_their_tokens():
    tokens = TokenLengths(
        style="brief", tokenizer="toy", prompts={0: 5, 1: 5, 2: 9}, answers={0: 3, 1: 4, 2: 2}, most=8
    )
    found = look(rows("a", "b", "c"), tokens=lambda: tokens)
    assert found.finding("too-long").rows == (1, 2)
    assert "9 tokens, 8 fit" in found.finding("too-long").sightings[0].note
    assert [(length.what, length.most) for length in found.lengths if length.unit == "tokens"] == [
        ("prompt", 9),
        ("answer", 4),
        ("row", 11),
    ]
    assert "too-long" not in look(rows("a", "b")).looked_for


PROSE = "The rain has been falling on the roofs of the small town by the river since yesterday evening, and nobody "
PROSE += "knows when the clouds will leave the valley"


def test_an_open_end_is_odd_only_where_most_long_answers_are_closed():
    few = look(rows(*[f"{PROSE}, number {number}." for number in range(30)], PROSE))
    assert few.finding("cut-off").rows == (30,)
    many = look(rows(*[f"{PROSE} {word}" for word in ("soon", "now", "today", "ever")], f"{PROSE}."))
    assert many.finding("cut-off") is None


GERMAN = "Der Regen fällt seit gestern Abend ohne Pause auf die Dächer der kleinen Stadt am Fluss."


def test_languages_are_compared_with_the_question_and_with_most_rows():
    english = [
        Example(instruction=f"{PROSE}?", input=str(number), output=f"{PROSE} {number}.", index=number)
        for number in range(30)
    ]
    mixed = Example(instruction=f"{PROSE}?", output=GERMAN, index=30)
    asked = Example(instruction=f"Translate into German: {PROSE}.", output=GERMAN, index=31)
    found = look([*english, mixed, asked])
    assert found.finding("mixed-language").rows == (30,)
    assert found.languages == (("en", 30), ("de", 2))
    assert found.finding("rare-language") is None  # 2 of 32 are more than a twentieth
    more = look([*english, *[Example(instruction="x", output=f"{PROSE} {i}!", index=50 + i) for i in range(20)], mixed])
    assert more.finding("rare-language").rows == (30,)


def test_other_processes_give_the_same(monkeypatch):
    monkeypatch.setattr(examination, "_CHUNK", 5)
    examples = rows("", "[INST] x [/INST]", *[f"Answer {number}." for number in range(12)], "Answer 3.")
    assert look(examples, num_processes=2) == look(examples)


def test_progress_is_told_twice_for_every_row():
    told = []
    look(rows("a", "b", "c"), on_rows=told.append)
    assert sum(told) == 6


def test_the_collector_is_left_as_it_was():
    seen = []
    look(rows("a", "b"), on_rows=lambda number: seen.append(gc.isenabled()))
    assert (set(seen), gc.isenabled()) == ({False}, True)
    gc.disable()
    try:
        look(rows("a"))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ftfy", None)
    with pytest.raises(ConfigError, match=r"ftfy.*pip install 'sftframe\[data\]'"):
        look(rows("a"))


def test_an_unknown_kind_gets_a_proposal():
    with pytest.raises(ConfigError, match=r"'refusals'.*did you mean 'refusal'"):
        find_kind("refusals")


def test_every_kind_has_its_words():
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert all(kind.title and kind.remedy and not kind.remedy.endswith(".") for kind in KINDS)


def test_advice_follows_the_ratio():
    assert "compare masks" in advice(0.3)
    assert "hardly mattered" in advice(1.4)


def test_the_page_shows_data_as_text():
    page = audit_page(look(rows("<script>alert(1)</script><|im_end|>", "", "\x1b[31mred")))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page
    assert 'href="#control-string"' in page
    assert 'id="control-string"' in page
