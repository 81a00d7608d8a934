import pytest

from sftframe import JudgeError, Verdict
from sftframe.judging import summarise
from sftframe.judging.scoring import check_failures, paired_difference


def ok(*scores):
    return [Verdict(index=index, status="ok", score=score) for index, score in enumerate(scores)]


def failed(index, status="timeout", reason="silent for 120 s"):
    return Verdict(index=index, status=status, score=None, reason=reason, judge="ollama:llama3")


def test_the_mean_is_over_what_was_scored_and_says_how_many():
    summary = summarise([*ok(40, 60), failed(2)], "ollama:llama3")
    assert (summary.name, summary.mean, summary.num_scored, summary.num_items) == ("ollama:llama3", 50.0, 2, 3)


def test_the_interval_is_students():
    # mean 3, standard deviation sqrt(2.5) of 5 values, t(4, 0.975) = 2.776445 from a table: 3 +- 1.963
    summary = summarise(ok(1, 2, 3, 4, 5), "j")
    assert summary.ci95 == pytest.approx((1.0368, 4.9632), abs=1e-4)


def test_the_interval_does_not_leave_the_scale():
    assert summarise(ok(0, 100), "j").ci95 == (0.0, 100.0)


def test_equal_scores_have_an_interval_without_width():
    assert summarise(ok(70, 70, 70), "j").ci95 == (70.0, 70.0)


@pytest.mark.parametrize("verdicts", [[], [failed(0)], ok(80), [*ok(80), failed(1)]])
def test_fewer_than_two_scores_have_no_interval(verdicts):
    assert summarise(verdicts, "j").ci95 is None


def test_no_scores_have_no_mean():
    summary = summarise([failed(0), failed(1)], "j")
    assert (summary.mean, summary.num_scored, summary.num_items) == (None, 0, 2)


def test_more_failures_than_allowed_are_told_with_counts_and_the_first_reason():
    verdicts = [*ok(*range(90)), *(failed(90 + i) for i in range(7)), *(failed(97 + i, "unparsable") for i in range(3))]
    with pytest.raises(JudgeError) as caught:
        check_failures(verdicts, 0.05)
    message = str(caught.value)
    assert "judge 'ollama:llama3' gave no score for 10 of 100 items (7 timeout, 3 unparsable" in message
    assert "the first is item 90: silent for 120 s" in message
    assert "at most 5%" in message


def test_exactly_as_many_failures_as_allowed_pass():
    check_failures([*ok(*range(95)), *(failed(95 + i) for i in range(5))], 0.05)


def test_items_that_nobody_was_asked_about_are_told_apart():
    verdicts = [failed(0), failed(1, "error", "not asked: the judge had failed 10 times in a row")]
    with pytest.raises(JudgeError, match=r"2 of 2 items \(1 timeout, 1 not asked; the first is item 0"):
        check_failures(verdicts, 0.5)


def test_a_difference_is_over_the_items_that_both_sides_have():
    # differences 10, 20, 30 (the third item has one score only): mean 20, sd 10, t(2, 0.975) = 4.302653, 24.841
    difference = paired_difference([*ok(10, 20, 0), failed(3), *ok(50)], [*ok(20, 40, 30), *ok(90), failed(4)])
    assert (difference.mean_a, difference.mean_b, difference.mean_difference, difference.num_items) == (10, 30, 20, 3)
    assert difference.ci95 == pytest.approx((-4.8414, 44.8414), abs=1e-3)


def test_one_item_in_common_has_a_difference_without_interval():
    difference = paired_difference(ok(10), ok(15))
    assert (difference.mean_difference, difference.ci95) == (5, None)


def test_no_item_in_common_has_no_difference():
    difference = paired_difference([failed(0)], ok(15))
    assert (difference.mean_difference, difference.ci95, difference.num_items) == (None, None, 0)
