"""Reading `metrics.jsonl`, and what is derived from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from sftframe.errors import DataError
from sftframe.report import Curves, read_curves
from sftframe.report.curves import curve_rows, running_mean

Lines = Callable[..., list[dict[str, Any]]]


def test_steps_and_evaluations_are_told_apart_and_put_in_order(metrics_lines: Lines) -> None:
    curves = read_curves(reversed(metrics_lines(4, 2)))

    assert [step.step for step in curves.steps] == [1, 2, 3, 4]
    assert [evaluation.step for evaluation in curves.evals] == [0, 2, 4]


def test_a_step_that_was_logged_again_after_a_resume_counts_as_logged_last(metrics_lines: Lines) -> None:
    first, second = metrics_lines(2)
    again = second | {"loss": 9.0}

    curves = read_curves([first, second, again])

    assert [step.loss for step in curves.steps] == [first["loss"], 9.0]


def test_kinds_and_fields_of_a_later_version_are_passed_over(metrics_lines: Lines) -> None:
    (line,) = metrics_lines(1)

    curves = read_curves([{"kind": "memory", "bytes": 1}, line | {"temperature": 1.0}])

    assert len(curves.steps) == 1
    assert curves.evals == ()


def test_a_line_without_a_field_is_named_by_its_number(metrics_lines: Lines) -> None:
    lines = metrics_lines(3)
    del lines[1]["loss"], lines[1]["lr"]

    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: a step without loss, lr"):
        read_curves(lines)


def test_a_loss_that_was_written_as_null_is_not_a_number(metrics_lines: Lines) -> None:
    (line,) = metrics_lines(1)

    assert math.isnan(read_curves([line | {"loss": None}]).steps[0].loss)


def test_the_running_mean_looks_back_over_its_window() -> None:
    assert running_mean([3.0, 5.0, 1.0, 6.0], 3) == pytest.approx([3.0, 4.0, 3.0, 4.0])


def test_the_running_mean_leaves_out_what_is_not_finite_and_has_a_gap_where_nothing_is_left() -> None:
    means = running_mean([math.nan, 2.0, math.inf, math.nan], 2)

    assert math.isnan(means[0])
    assert means[1:3] == [2.0, 2.0]
    assert math.isnan(means[3])


def test_the_table_has_a_row_per_evaluation_and_one_for_the_last_step(metrics_lines: Lines) -> None:
    rows = curve_rows(read_curves(metrics_lines(10, 4)))

    assert [row.step for row in rows] == [0, 4, 8, 10]
    assert [row.tokens_seen for row in rows] == [0, 1800, 3600, 4500]
    assert rows[0].train_loss is None
    assert rows[-1].evaluation is None


def test_the_table_of_a_run_without_evaluations_samples_its_steps(metrics_lines: Lines) -> None:
    steps = [row.step for row in curve_rows(read_curves(metrics_lines(500)))]

    assert len(steps) == 12
    assert (steps[0], steps[-1]) == (1, 500)


def test_a_run_without_metrics_has_no_rows() -> None:
    assert curve_rows(Curves()) == ()
