import pytest
from sftframe_plugins.judges.statements import contradiction, other_case

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
    assert contradiction(reference, answer) == DENIES


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
    assert contradiction(reference, answer) == ""


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
    assert contradiction(reference, answer) == EXCHANGED


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
    assert contradiction(reference, answer) == ""


@pytest.mark.parametrize(
    ("reference", "answer", "found"),
    [
        ("Fe", "FE", [("Fe", "FE")]),
        ("The element is Co.", "The element is CO.", [("Co", "CO")]),
        ("It is written in C.", "it is written in c", [("C", "c")]),
        ("pH", "ph", [("pH", "ph")]),
        ("I saw it in Rome.", "i saw it in rome", []),
        ("NASA and the EU", "nasa and the eu", []),
        ("It is Fe, not FE", "It is Fe", [("FE", "Fe")]),
    ],
)
def test_case_is_content_in_symbols_only(reference, answer, found):
    assert other_case(reference, answer) == found


def test_a_page_takes_no_time():
    page = "The fox hunts the hare and is not seen. " * 5_000
    assert contradiction(page, page.upper()) == ""
