"""Joining examples, answers and verdicts."""

from __future__ import annotations

from sftframe.records import AnsweredItem, Example, Response, StopReason, Verdict, VerdictStatus
from sftframe.report.run_tables import ReportedItem, count_failures, count_flags, join_items


def example(index: int, output: str = "yes") -> Example:
    return Example(instruction="Say yes.", output=output, index=index)


def response(index: int, text: str, stop_reason: StopReason = "end") -> Response:
    return Response(index=index, text=text, ids=(1,), stop_reason=stop_reason)


def verdict(index: int, score: float | None) -> Verdict:
    return Verdict(index=index, status="timeout" if score is None else "ok", score=score)


def only_item(
    before: Response | None, after: Response | None, old: Verdict | None = None, new: Verdict | None = None
) -> ReportedItem:
    """Example 7 with what there is of it."""
    (item,) = join_items(
        [example(7)],
        before=[before] if before else [],
        after=[after] if after else [],
        verdicts_before=[old] if old else [],
        verdicts_after=[new] if new else [],
    )
    return item


def test_records_are_joined_by_index_and_not_by_place() -> None:
    items = join_items(
        [example(3), example(4)],
        before=[],
        after=[response(4, "four"), response(3, "three")],
        verdicts_before=[],
        verdicts_after=[verdict(4, 40.0), verdict(3, 30.0)],
    )

    found = [(i.example.index, i.after.response.text, i.after.score) for i in items if i.after]
    assert found == [(3, "three", 30.0), (4, "four", 40.0)]


def test_an_answer_equal_but_for_outer_white_space_is_exact() -> None:
    assert only_item(None, response(7, " yes\n")).flags == ("exact",)
    assert only_item(None, response(7, "Yes")).flags == ("inexact",)


def test_an_answer_that_differs_from_the_untuned_models_is_changed() -> None:
    assert "changed" in only_item(response(7, "no"), response(7, "yes")).flags
    assert "changed" not in only_item(response(7, "yes "), response(7, "yes")).flags


def test_a_lower_score_than_before_is_worse() -> None:
    item = only_item(response(7, "a"), response(7, "b"), verdict(7, 60.0), verdict(7, 45.5))

    assert "worse" in item.flags
    assert item.change == -14.5


def test_an_answer_that_ran_into_the_limit_is_cut() -> None:
    assert "cut" in only_item(None, response(7, "yes yes", "length")).flags
    assert "cut" not in only_item(None, response(7, "yes", "stop-string")).flags


def test_an_answer_that_the_judge_could_not_score_has_failed() -> None:
    item = only_item(response(7, "a"), response(7, "b"), verdict(7, 60.0), verdict(7, None))

    assert "failed" in item.flags
    assert item.change is None


def test_an_answer_without_a_verdict_has_not_failed() -> None:
    assert "failed" not in only_item(None, response(7, "yes")).flags


def test_an_example_without_an_answer_stays_in_the_list() -> None:
    item = only_item(response(7, "a"), None)

    assert (item.after, item.flags) == (None, ())


def test_every_filter_has_its_count() -> None:
    items = [only_item(None, response(7, "yes")), only_item(None, response(7, "no", "length"))]

    assert count_flags(items) == {"exact": 1, "inexact": 1, "changed": 0, "worse": 0, "cut": 1, "failed": 0}


def test_failures_are_counted_by_kind() -> None:
    statuses: list[VerdictStatus] = ["error", "timeout", "error"]
    failed = [Verdict(index=index, status=status, score=None) for index, status in enumerate(statuses)]

    assert count_failures([verdict(9, 1.0), *failed]) == {"error": 2, "timeout": 1}


def test_an_answer_equal_to_any_accepted_reference_is_exact() -> None:
    plain = {"index": 0, "instruction": "?", "input": "", "reference": "half", "references": ("1/2",)}
    unknown = {"stop_reason": None, "response_nll": None, "num_response_bytes": 4, "score": None, "verdict": None}
    found = [AnsweredItem(**plain, **unknown, answer=answer, reason="").is_exact for answer in (" 1/2", "half", "0.5")]
    assert found == [True, True, False]
