import pytest
from sftframe_plugins.judges.statements import contradicts_itself, in_order, other_case, stance

DENIES = "denies what the reference says, or says what it denies"
EXCHANGED = "the words of the reference with exchanged roles"


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("Bats are not blind.", "Bats are blind."),
        ("Honey can be eaten after years.", "Honey cannot be eaten after years."),
        ("You should never mix bleach and vinegar.", "You should mix bleach and vinegar."),
        ("Yes, whales are mammals.", "No, they are fish."),
        ("The shop is closed on Sunday.", "The shop isn't closed on Sunday."),
        ("Lisbon", "It is not Lisbon."),
    ],
)
def test_a_not_more_or_less_is_the_opposite(reference, answer):
    assert stance(reference, answer).opposed == DENIES


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("Bats are not blind.", "Bats aren't blind."),
        ("Bats are not blind.", "No, bats are not blind at all."),
        ("Lisbon", "Not only is it the largest city: Lisbon is the capital."),
        ("Lisbon", "The capital of Portugal is Lisbon. It does not lie in Spain."),
        ("The door was no longer open.", "The door was not open."),
        ("Whales are mammals.", "Fish do not breathe air."),
    ],
)
def test_a_not_about_something_else_is_no_denial(reference, answer):
    assert stance(reference, answer).opposed == ""


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("Foxes hunt rabbits.", "Rabbits hunt foxes."),
        ("The teacher praised the student.", "The student praised the teacher."),
        ("Iron is denser than wood.", "Wood is denser than iron."),
        ("The nurse helped the doctor.", "The nurse was helped by the doctor."),
    ],
)
def test_exchanged_roles_are_the_opposite(reference, answer):
    assert stance(reference, answer).opposed == EXCHANGED


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("The nurse helped the doctor.", "The doctor was helped by the nurse."),
        ("Oak, elm and ash.", "Ash, elm, oak."),
        ("Lima is the capital of Peru.", "The capital of Peru is Lima."),
        ("Marie Curie Sklodowska", "The prize was won by Marie Curie Sklodowska"),
        ("In 1815 Napoleon lost at Waterloo.", "Napoleon lost at Waterloo in 1815."),
    ],
)
def test_another_order_of_the_same_statement_is_none(reference, answer):
    assert stance(reference, answer).opposed == ""


@pytest.mark.parametrize(
    ("reference", "answer", "found"),
    [
        ("Fe", "FE", [("Fe", "FE")]),
        ("The element is Co.", "The element is CO.", [("Co", "CO")]),
        ("It is written in C.", "It is written in c", [("C", "c")]),
        ("It is written in C.", "it is written in c", []),
        ("pH", "ph", [("pH", "ph")]),
        ("I saw it in Rome.", "i saw it in rome", []),
        ("NASA and the EU", "nasa and the eu", []),
        ("It is Fe, not FE", "It is Fe", [("FE", "Fe")]),
    ],
)
def test_case_is_content_in_symbols_only(reference, answer, found):
    assert other_case(reference, answer) == found


OPPOSITE = "says the opposite of a word of the reference"


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("The gas expands.", "It contracts."),
        ("Wages rose by 3 percent.", "Wages fell by 3 percent."),
        ("Wash the fruit before eating it.", "Wash the fruit after eating it."),
        ("The oak is taller than the birch.", "The oak is shorter than the birch."),
        ("The procedure is safe.", "The procedure is unsafe."),
        ("The berries are harmless.", "The berries are harmful."),
    ],
)
def test_the_opposite_of_a_word_in_its_place_is_the_opposite(reference, answer):
    assert stance(reference, answer).opposed == OPPOSITE


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("The oak is taller than the birch.", "The birch is shorter than the oak."),
        ("The procedure is safe.", "The procedure is not unsafe."),
        ("The berries are not edible.", "The berries are inedible."),
        ("The window is not open.", "The window is closed."),
        ("Cold air sinks.", "Cold air sinks and warm air rises."),
        ("The first ship was large.", "A small boat followed the first ship."),
    ],
)
def test_the_same_thing_from_the_other_side_is_no_opposite(reference, answer):
    assert stance(reference, answer).opposed == ""


@pytest.mark.parametrize(
    "reference", ["First knead the dough, then bake the bread.", "Knead the dough before you bake the bread."]
)
@pytest.mark.parametrize(
    ("answer", "is_other"),
    [
        ("First bake the bread, then knead the dough.", True),
        ("Bake the bread, and after that knead the dough.", True),
        ("After you bake the bread, knead the dough.", True),
        ("Bake the bread after you knead the dough.", False),
        ("Before you bake the bread, knead the dough.", False),
        ("Knead the dough first. Then bake the bread.", False),
    ],
)
def test_the_order_of_steps_is_content(reference, answer, is_other):
    assert bool(stance(reference, answer).opposed) is is_other


def test_clauses_may_exchange_their_subjects():
    reference = "Igneous rock forms from magma, sedimentary rock forms from sand."
    assert stance(reference, "Sedimentary rock forms from magma, igneous rock forms from sand.").opposed == EXCHANGED
    assert stance(reference, "Sedimentary rock forms from sand, igneous rock forms from magma.").opposed == ""
    assert stance(reference, "Igneous rock forms from magma.").opposed == ""


def test_an_answer_may_contradict_itself():
    assert contradicts_itself("Spiders have 8 legs.", "Spiders have 8 legs. But spiders do not have 8 legs.")
    assert not contradicts_itself("Spiders have 8 legs.", "Spiders have 8 legs. Insects do not have 8 legs.")
    assert not contradicts_itself("It is hot. It is not dry.", "It is hot. It is not dry.")


def test_moving_one_of_four_words_keeps_two_of_three_neighbours():
    assert in_order(list("abcd"), list("bcad")) == pytest.approx(2 / 3)
    assert in_order(list("abcd"), ["b"]) == 1


def test_a_page_takes_no_time():
    page = "The fox hunts the hare and is not seen. " * 5_000
    assert stance(page, page.upper()).opposed == ""
