import pytest

from sftframe import DataError, Example, JudgeItem, Response
from sftframe.stages.judge import make_items


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


def test_a_missing_response_is_named():
    with pytest.raises(DataError, match="example 3 has no response"):
        make_items([FRANCE, ITALY], [response(7)])


def test_two_responses_to_one_example_are_refused():
    with pytest.raises(DataError, match="example 7 has two responses"):
        make_items([FRANCE], [response(7), response(7)])


def test_responses_to_other_examples_are_left_aside():
    assert [item.index for item in make_items([ITALY], [response(7), response(3)])] == [3]
