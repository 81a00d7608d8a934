"""Which test questions look like families, on data made for it, and that ordinary data give no false alarm."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sftframe.data import likely_families
from sftframe.records import Example, Turn

TEXT = "The old mill by the river was built long before the village had a church"


def examples(*rows: tuple[str, str, str]) -> list[Example]:
    return [
        Example(instruction=instruction, input=given, output=output, index=index)
        for index, (instruction, given, output) in enumerate(rows)
    ]


def found(*rows: tuple[str, str, str]):
    some = examples(*rows)
    return likely_families(some, [example.output for example in some])


def different(number: int, start: int = 0) -> list[tuple[str, str, str]]:
    """Questions that have hardly a word in common."""
    return [(" ".join(f"w{place}x{k}" for k in range(6)), "", f"a{place}") for place in range(start, start + number)]


def test_conversations_with_the_same_last_message_are_no_family_by_that():
    """Different talks that all end in thanks, and two about the same thing."""
    talks = [
        replace(example, turns=(Turn(instruction=example.instruction, output="x"),), instruction="Thanks!")
        for example in examples(*different(10), *[("Tell me of the red fox in the green forest now", "", "y")] * 2)
    ]
    assert likely_families(talks[:10], [str(n) for n in range(10)]) is None
    families = likely_families(talks[6:], [str(n) for n in range(6)])
    assert families is not None
    assert (families.groups, families.kind) == ((0, 1, 2, 3, 4, 4), "question")
    assert families.setting == "give the entries a field with their group and name it with --set data.group=FIELD"


def test_questions_with_another_number_or_quoted_word_are_one_family():
    rows = [(f"What is {n} plus {n * n}?", "", str(n + n * n)) for n in range(4)]
    rows += [(f"Name the opposite of '{word}'.", "", word[::-1]) for word in ("wet", "deep", "very old")]
    families = found(*rows, *different(5))
    assert families.groups == (0, 0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6)
    assert (families.kind, families.sizes) == ("question", [4, 3])
    # 12 questions: 12^2 / (4^2 + 3^2 + 5) = 144 / 30
    assert families.fewest == pytest.approx(4.8)
    assert families.told == (
        "7 of the 12 test questions look alike in 2 families (the largest has 4, such as 'What is 0 plus 0?')"
    )
    assert "data.group=FIELD" in families.setting


def test_one_of_five_words_may_be_another_one_and_of_four_none():
    # 4 of 6 different words are shared: exactly two thirds; 3 of 5 are less
    rows = [("Who wrote the first letter", "", "x"), ("Who wrote the second letter", "", "y")]
    assert found(*rows, *different(2)).groups == (0, 0, 1, 2)
    assert found(("Who wrote the letter", "", "x"), ("Who wrote the song", "", "y"), *different(1)) is None


def test_forms_of_one_question_have_its_answer():
    forms = ("What is the capital of {}?", "Name {}'s capital.", "Which city is capital of {}", "{}: capital?")
    lands = [("Norway", "Oslo"), ("Peru", "Lima"), ("Kenya", "Nairobi"), ("Chad", "N'Djamena"), ("Fiji", "Suva")]
    lands += [("Laos", "Vientiane"), ("Cuba", "Havana"), ("Iran", "Tehran"), ("Togo", "Lome"), ("Oman", "Muscat")]
    rows = [(form.format(land), "", city) for land, city in lands for form in forms]
    families = found(*rows)
    assert families.groups == tuple(number for number in range(10) for _ in forms)
    assert families.fewest == pytest.approx(10.0)


def test_the_same_instruction_with_other_inputs_can_be_named():
    rows = [(f"Do task w{task}.", f"{task} {k}", f"{task}{k}") for task in range(20) for k in range(3)]
    families = found(*rows)
    assert (families.kind, len(families.sizes), families.sizes[0]) == ("instruction", 20, 3)
    assert families.told.startswith("60 of the 60 test questions share 20 instructions (the largest has 3")
    assert families.setting == "name the group with --set data.group=instruction"


def test_several_questions_about_one_text_can_be_named():
    rows = [(question, f"{TEXT} {number // 3}.", answer) for number, (question, _, answer) in enumerate(different(27))]
    families = found(*rows)
    assert (families.kind, families.sizes) == ("input", [3] * 9)
    assert "data.group=input" in families.setting


def test_a_few_instructions_are_tasks_and_no_families():
    rows = [(f"Task {'abcde'[n % 5]}: classify.", " ".join(f"v{n}u{k}" for k in range(8)), "yes") for n in range(100)]
    assert found(*rows) is None
    one = [("Translate into German.", " ".join(f"v{n}u{k}" for k in range(8)), f"o{n}") for n in range(100)]
    assert found(*one) is None


def test_a_template_of_more_than_half_of_all_questions_is_the_task():
    rows = [(f"What is {n} plus {n + 1}?", "", str(n)) for n in range(30)]
    assert found(*rows, *different(10)) is None
    again = found(*rows, *rows, *different(10))
    assert (len(again.sizes), again.sizes[0]) == (30, 2)  # the same questions twice are families still


def test_a_few_that_are_alike_are_not_told():
    rows = [(f"What is {n} plus {n}?", "", str(n)) for n in range(2)]
    # 100^2 / (4 + 98) = 98 of 100
    assert found(*rows, *different(98)) is None
    assert likely_families([]) is None


def test_labels_as_answers_make_no_families():
    rng = random.Random(1)
    words = [f"w{n}x" for n in range(3000)]
    rows = [(" ".join(rng.sample(words, 8)), "", rng.choice(["positive", "negative"])) for _ in range(400)]
    assert found(*rows) is None


def test_ten_thousand_questions_take_seconds():
    """Words as often as in English (Zipf), as that decides how many pairs have a rare word in common."""
    rng = random.Random(2)
    words, weights = [f"w{n}x" for n in range(20_000)], [1 / (n + 1) for n in range(20_000)]
    drawn = rng.choices(words, weights, k=10_000 * 20)
    rows = [(" ".join(drawn[20 * n : 20 * n + 20]), "", f"a{n}") for n in range(10_000)]
    some = examples(*rows)
    start = time.process_time()
    assert likely_families(some, [example.output for example in some]) is None
    assert time.process_time() - start < 20  # about 2 on an ordinary core; comparing all pairs takes minutes


@pytest.mark.parametrize(
    ("name", "members"), [("real/alpaca_en_demo.json", None), ("judged/natural-questions.json", None)]
)
def test_ordinary_data_give_no_false_alarm(test_data: Path, name: str, members: int | None):
    entries = json.loads((test_data / name).read_text(encoding="utf-8"))
    rows = [(entry["instruction"], entry.get("input") or "", entry["output"]) for entry in entries]
    assert found(*rows) is members
    assert found(*rows[int(0.85 * len(rows)) :]) is members
