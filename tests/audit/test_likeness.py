"""Rows that are like others: planted ones are found, exercises of one template are not taken for each other."""

import random
from dataclasses import replace

from sftframe.audit.likeness import Likeness, compare_rows, jaccard, shingles, signatures
from sftframe.records import Example, Turn

Row = tuple[str, str, str]


def likeness(rows: list[Row], parts: dict[int, str] | None = None) -> Likeness:
    examples = [
        Example(instruction=instruction, input=given, output=output, index=10 + index)
        for index, (instruction, given, output) in enumerate(rows)
    ]
    return compare_rows(examples, parts or {}, signatures(examples))


def pairs(sightings) -> list[tuple[int, int]]:
    return [(sighting.index, sighting.other) for sighting in sightings]


MELT: Row = ("What is the melting point of tin in degrees Celsius?", "", "The melting point of tin is 232 degrees.")


def test_an_exact_copy_is_a_duplicate_and_nothing_else():
    found = likeness([MELT, ("Name a river.", "", "The Rhine."), MELT, MELT])
    assert pairs(found.duplicates) == [(12, 10), (13, 10)]
    assert found.near_duplicates == found.contradictions == ()


def test_other_capitals_and_marks_make_a_near_duplicate():
    other = ("what is the melting point of tin, in degrees celsius", "", "The melting point of tin is 232 degrees")
    found = likeness([MELT, other])
    assert found.duplicates == ()
    assert pairs(found.near_duplicates) == [(11, 10)]


def test_one_changed_word_in_a_long_row_makes_a_near_duplicate():
    question = "Explain in a few sentences why the leaves of most trees fall in autumn and what the trees gain by it."
    answer = "Leaves lose water all the time, and roots cannot take up enough of it from cold or frozen ground."
    found = likeness([(question, "", answer), (question.replace("most", "many"), "", answer.replace("cold", "icy"))])
    assert pairs(found.near_duplicates) == [(11, 10)]


def test_a_question_in_other_words_that_mean_nothing_is_a_near_duplicate_whatever_the_answer():
    rows = [
        ("Edit the following sentence to make it more formal.", "Hey, come over!", "Please come here."),
        ("Please edit this sentence to make it more formal.", "Hey, come over!", "You are invited to visit us."),
        ("Edit the sentence to make it less formal.", "Hey, come over!", "Come!"),
    ]
    assert pairs(likeness(rows).near_duplicates) == [(11, 10)]


def test_a_contradiction_is_no_near_duplicate():
    found = likeness([MELT, (*MELT[:2], "It is 505 kelvin.")])
    assert (pairs(found.contradictions), found.near_duplicates) == ([(11, 10)], ())


def test_exercises_of_one_template_are_different():
    rows = [
        ("Add the two numbers and give only the sum.", f"{a} {b}", f"The sum is {a + b}.")
        for a, b in ((3, 4), (30, 4), (3, 40), (5, 6))
    ]
    rows += [
        (f"What is the chemical symbol of {name}?", "", f"The chemical symbol of {name} is {symbol}.")
        for name, symbol in (("gold", "Au"), ("silver", "Ag"), ("iron", "Fe"), ("tin", "Sn"))
    ]
    rows += [("Is the word a noun or a verb?", f"'{word}'", "It is a noun.") for word in ("table", "cable", "fable")]
    found = likeness(rows)
    assert found.duplicates == found.near_duplicates == found.contradictions == ()


def test_the_same_question_with_another_answer_is_a_contradiction():
    found = likeness([MELT, (*MELT[:2], "It is 505 kelvin."), (MELT[0].upper(), "", "It melts at 300.")])
    assert pairs(found.contradictions) == [(11, 10), (12, 10)]
    assert "505" in found.contradictions[0].note
    assert "232" in found.contradictions[0].note


def test_an_accepted_answer_is_no_contradiction():
    examples = [
        Example(instruction="Spell 7.", output="seven", references=("VII",), index=0),
        Example(instruction="Spell 7.", output="vii.", index=1),
        Example(instruction="Spell 7.", output="eight", index=2),
    ]
    assert pairs(compare_rows(examples, {}, signatures(examples)).contradictions) == [(2, 0)]


def test_a_test_question_in_the_training_part_is_a_leak_and_its_training_rows_are_named():
    near = (MELT[0].replace("degrees Celsius", "Celsius degrees"), "", MELT[2])
    rows = [MELT, ("Name a river.", "", "The Rhine."), MELT, (*MELT[:2], "Unknown."), near, ("A new one?", "", "Yes.")]
    parts = {10: "train", 11: "train", 12: "train", 13: "test", 14: "validation", 15: "test"}
    found = likeness(rows, parts)
    assert pairs(found.leaks) == [(13, 10)]
    assert found.leaked == (10, 12)
    assert pairs(found.near_leaks) == [(14, 10)]
    assert set(found.near_leaked) == {10, 12}


def test_rows_of_the_training_part_alone_are_no_leak():
    assert likeness([MELT, MELT], {10: "train", 11: "train"}).leaks == ()


def test_planted_near_duplicates_are_found_among_many_rows():
    """Of 60 copies with one changed word in about forty, 95 of 100 have to be found, and nothing else."""
    words = [
        f"{a}{b}{c}" for a in ("ka", "mo", "ti", "re", "su") for b in ("lin", "dor", "pas", "mek") for c in "aeiou"
    ]
    draw = random.Random(4)
    rows = [(" ".join(draw.choices(words, k=40)), "", " ".join(draw.choices(words, k=40))) for _ in range(600)]
    copies = draw.sample(range(600), 60)
    for place in copies:
        question = rows[place][0].split()
        question[draw.randrange(40)] = "elephant"
        rows.append((" ".join(question), "", rows[place][2]))
    found = dict(pairs(likeness(rows).near_duplicates))
    expected = {10 + 600 + number: 10 + place for number, place in enumerate(copies)}
    assert found.items() <= expected.items()
    assert len(found) >= 57


def test_the_jaccard_index_of_shingles_by_hand():
    # "abcdefg" has abcde bcdef cdefg, "abcdefh" has abcde bcdef cdefh
    assert jaccard(shingles("abcdefg"), shingles("abcdefh")) == 0.5


def test_rows_that_differ_in_tools_or_weights_are_different():
    one = Example(instruction="Rain?", output="No.", tools='[{"name": "radar"}]', index=0)
    turn = Turn(instruction="Hello there, how are you?", output="Fine.")
    rows = [
        one,
        replace(one, tools="", index=1),
        replace(one, instruction="And now?", turns=(turn,), index=2),
        replace(one, instruction="And now?", turns=(replace(turn, weight=0.0),), index=3),
    ]
    found = compare_rows(rows, {}, signatures(rows))
    assert found.duplicates == found.near_duplicates == found.contradictions == ()


def test_a_row_is_repeated_only_within_its_part():
    parts = {10: "train", 11: "test", 12: "train", 13: "test", 14: "test"}
    found = likeness([MELT] * 5, parts)
    assert [index for index, _ in pairs(found.duplicates)] == [11, 12, 13, 14]
    assert found.repeated["duplicate"] == (12, 13, 14)


def test_an_answer_of_another_length_is_no_near_duplicate():
    words = " ".join(f"of{'abcdefghij'[number % 10] * (2 + number // 10)}" for number in range(40))
    question = "Tell me in your own words what is written on this page of the book about the sea."
    rows = [
        (question, "", words),
        (question.replace("about", "on"), "", f"{words} more"),
        (question.replace("about", "of"), "", f"{words} {words[::-1]}"),  # half of it is the first answer
    ]
    assert pairs(likeness(rows).near_duplicates) == [(11, 10)]
