"""A judge's noise from gradings of the same answers."""

from __future__ import annotations

import pytest

from sftframe.analysis import judge_variance
from sftframe.errors import DataError


def test_the_variance_is_pooled_over_answers_whatever_their_level():
    # answer 0: 1, 2, 3 (squares 2, 2 degrees of freedom); answer 1: 50, 54 (squares 8, 1)
    repeats = [{0: 1.0, 1: 50.0}, {0: 2.0, 1: 54.0}, {0: 3.0, 1: None}]
    assert judge_variance(repeats) == pytest.approx(10 / 3)


def test_a_deterministic_judge_has_none():
    assert judge_variance([{0: 70.0, 1: 20.0}] * 3) == 0.0


@pytest.mark.parametrize("repeats", [[], [{0: 1.0}], [{0: 1.0}, {0: None}], [{0: 1.0}, {1: 1.0}]])
def test_answers_graded_once_say_nothing(repeats):
    with pytest.raises(DataError, match="no answer was graded twice"):
        judge_variance(repeats)
