import pytest

from sftframe import DataError, Example, JudgeItem, Response
from sftframe.judging import make_items
from sftframe.judging.scoring import match_items


def response(index, text="Paris."):
    return Response(index=index, text=text, ids=(1,), stop_reason="end")


FRANCE = Example(instruction="Name the capital.", input="France", output="Paris.", index=7)
ITALY = Example(instruction="Name the capital.", input="Italy", output="Rome.", index=3)


def test_responses_are_found_by_index_and_not_by_position():
    items = make_items([FRANCE, ITALY], [response(3, "Milan."), response(7, "Lyon.")])
    assert items == [
        JudgeItem(index=7, instruction="Name the capital.", input="France", reference="Paris.", answer="Lyon."),
        JudgeItem(index=3, instruction="Name the capital.", input="Italy", reference="Rome.", answer="Milan."),
    ]


def test_an_item_has_all_accepted_references():
    example = Example(instruction="Name it.", output="1/2", references=("half", "0.5"), index=7)
    (item,) = make_items([example], [response(7)])
    assert item.accepted == ("1/2", "half", "0.5")


def test_a_missing_response_is_named():
    with pytest.raises(DataError, match="example 3 has no response"):
        make_items([FRANCE, ITALY], [response(7)])


def test_two_responses_to_one_example_are_refused():
    with pytest.raises(DataError, match="example 7 has two responses"):
        make_items([FRANCE], [response(7), response(7)])


def test_responses_to_other_examples_are_left_aside():
    assert [item.index for item in make_items([ITALY], [response(7), response(3)])] == [3]


def asked(index, instruction, reference="Paris.", answer=""):
    return JudgeItem(index=index, instruction=instruction, input="", reference=reference, answer=answer)


def test_items_of_two_lists_are_matched_by_what_they_ask_and_not_by_index():
    first, second = [asked(0, "x"), asked(1, "y")], [asked(0, "y"), asked(1, "z"), asked(2, "x")]
    assert match_items(first, second) == [(first[0], second[2]), (first[1], second[0])]


def test_the_same_question_with_another_reference_is_another_item():
    assert match_items([asked(0, "x")], [asked(0, "x", reference="Rome.")]) == []


def test_a_repeated_question_is_matched_as_often_as_both_have_it():
    first, second = [asked(0, "x"), asked(1, "x"), asked(2, "x")], [asked(5, "x"), asked(6, "x")]
    assert [(one.index, other.index) for one, other in match_items(first, second)] == [(0, 5), (1, 6)]
