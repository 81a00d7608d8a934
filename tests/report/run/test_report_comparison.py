"""Before against after, item by item."""

from __future__ import annotations

import pytest

from sftframe.records import Example, Response, StopReason, Verdict
from sftframe.report.run_tables import ReportedItem, chance_keys, join_items, paired_change, sign_test


def verdicts(*scores: float | None) -> list[Verdict]:
    """One verdict per score, None = the judge failed."""
    return [
        Verdict(index=index, status="error" if score is None else "ok", score=score)
        for index, score in enumerate(scores)
    ]


def responses(texts: list[str], stop_reason: StopReason = "end") -> list[Response]:
    return [Response(index=i, text=text, ids=(1,), stop_reason=stop_reason) for i, text in enumerate(texts)]


def items(before: list[Response], after: list[Response]) -> tuple[ReportedItem, ...]:
    """Items whose reference is `yes`."""
    examples = [Example(instruction="Say yes.", output="yes", index=i) for i in range(len(after))]
    return join_items(examples, before=before, after=after, verdicts_before=[], verdicts_after=[])


def test_only_items_scored_both_times_are_compared() -> None:
    change = paired_change(verdicts(10, None, 30, 40), verdicts(20, 90, None, 30))

    assert change is not None
    assert (change.mean, change.num_items, change.num_better, change.num_worse) == (0.0, 2, 1, 1)


def test_students_t_gives_the_interval() -> None:
    # differences 1, 2, 3: mean 2, standard error 1 / sqrt(3) = 0.57735, t(2, 0.975) = 4.30265 (any table of t)
    change = paired_change(verdicts(0, 0, 0), verdicts(1, 2, 3))

    assert change is not None
    assert change.ci95 == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


def test_one_item_has_no_interval_and_none_no_change() -> None:
    change = paired_change(verdicts(1), verdicts(4))

    assert change is not None
    assert change.ci95 is None
    assert paired_change(verdicts(None), verdicts(4)) is None


def test_the_sign_test_agrees_with_the_binomial_tail() -> None:
    # 9 gained and 1 lost: 2 * (1 + 10) / 2^10; 20 unchanged pairs say nothing
    pairs = [(False, True)] * 9 + [(True, False)] + [(True, True)] * 20

    assert sign_test(pairs) == pytest.approx(22 / 1024)
    assert sign_test([(True, False)] * 9 + [(False, True)]) == pytest.approx(22 / 1024)
    assert sign_test([(True, True)] * 5) == 1.0


def test_five_answers_more_could_be_chance_and_six_are_not() -> None:
    # all changes in one direction: p = 2 / 2^5 = 0.0625 and 2 / 2^6 = 0.031
    five = items(responses(["no"] * 9), responses(["yes"] * 5 + ["no"] * 4))
    six = items(responses(["no"] * 9), responses(["yes"] * 6 + ["no"] * 3))

    assert "exact_match" in chance_keys(five, None)
    assert "exact_match" not in chance_keys(six, None)


def test_stopping_is_tested_for_itself() -> None:
    keys = chance_keys(items(responses(["no"] * 6, "length"), responses(["no"] * 6)), None)

    assert "stop_rate" not in keys
    assert "exact_match" in keys


def test_the_judges_mean_could_be_chance_where_its_interval_holds_zero() -> None:
    assert chance_keys((), paired_change(verdicts(10, 20), verdicts(20, 10))) == {"judge"}
    assert chance_keys((), paired_change(verdicts(10, 20, 30), verdicts(60, 71, 82))) == frozenset()


def test_nothing_is_tested_without_answers_before() -> None:
    assert chance_keys(items([], responses(["yes"])), None) == frozenset()
