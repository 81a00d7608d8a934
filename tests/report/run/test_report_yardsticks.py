"""The headline table."""

from __future__ import annotations

import dataclasses

import pytest

from sftframe.confidence import share_interval
from sftframe.records import Summary, Yardsticks
from sftframe.report.run_tables import YardstickRow, yardstick_rows


def rows_of(summary: Summary, *, num_before: int = 110, num_after: int = 110) -> dict[str, YardstickRow]:
    rows = yardstick_rows(summary.before, summary.after, num_before=num_before, num_after=num_after)
    return {row.key: row for row in rows}


def test_every_yardstick_of_the_summary_has_its_row_and_its_unit(summary: Summary) -> None:
    rows = rows_of(summary)

    assert set(rows) == {field.name for field in dataclasses.fields(Yardsticks)} - {"others"}
    assert rows["response_nll_per_token"].unit == "nats per token"
    assert rows["judge"].unit == "points of 100"
    assert all(row.meaning for row in rows.values())


def test_values_are_shown_with_their_denominators_and_intervals(summary: Summary) -> None:
    rows = rows_of(summary)

    assert (rows["response_nll_per_token"].before.text, rows["response_nll_per_token"].after.text) == ("3.413", "0.406")
    assert rows["exact_match"].after.text == "61.8\xa0%"
    assert rows["exact_match"].after.details[0] == "68 of 110"
    assert rows["judge"].after.text == "78.9"
    assert rows["judge"].after.details == ("107 of 110 scored", "95 % interval 72.5–85.4", "judge: reference")


def test_changes_have_a_sign_and_a_direction(summary: Summary) -> None:
    rows = rows_of(summary)

    assert (rows["response_nll_per_token"].change, rows["response_nll_per_token"].movement) == ("−3.007", "better")
    assert (rows["exact_match"].change, rows["exact_match"].movement) == ("+61.8", "better")
    assert (rows["length_ratio"].change, rows["length_ratio"].movement) == ("−6.627", "better")
    assert (rows["judge"].change, rows["judge"].movement) == ("+66.6", "better")


def test_the_prompts_likelihood_is_neither_better_nor_worse(summary: Summary) -> None:
    assert rows_of(summary)["prompt_nll_per_token"].movement == ""


def test_what_got_worse_is_called_worse(summary: Summary) -> None:
    rows = rows_of(dataclasses.replace(summary, before=summary.after, after=summary.before))

    assert {row.movement for key, row in rows.items() if key != "prompt_nll_per_token"} == {"worse"}


def test_a_change_that_could_be_chance_is_neither_better_nor_worse(summary: Summary) -> None:
    rows = yardstick_rows(
        summary.before, summary.after, num_before=110, num_after=110, chance_keys={"judge", "exact_match"}
    )

    could_be_chance = {row.key for row in rows if row.movement == "could be chance"}
    assert could_be_chance == {"judge", "exact_match"}


def test_an_answer_too_short_is_as_bad_as_one_too_long(summary: Summary) -> None:
    assert summary.before is not None
    before, after = (dataclasses.replace(summary.before, length_ratio=ratio) for ratio in (1.1, 0.6))

    row = rows_of(dataclasses.replace(summary, before=before, after=after))["length_ratio"]

    assert row.movement == "worse"


def test_what_looks_the_same_is_no_change(summary: Summary) -> None:
    rows = rows_of(dataclasses.replace(summary, before=summary.after))

    assert (rows["judge"].change, rows["judge"].movement) == ("0.0", "no change")


def test_what_was_not_measured_is_a_dash_and_has_no_change(summary: Summary) -> None:
    rows = rows_of(dataclasses.replace(summary, before=None))

    assert {row.before.text for row in rows.values()} == {"–"}
    assert {row.change for row in rows.values()} == {""}


def test_scores_of_two_judges_have_no_difference(summary: Summary) -> None:
    assert summary.before is not None
    assert summary.before.judge is not None
    other = dataclasses.replace(summary.before.judge, name="ollama")

    rows = rows_of(dataclasses.replace(summary, before=dataclasses.replace(summary.before, judge=other)))

    assert rows["judge"].change == ""


def test_a_share_without_known_denominator_is_shown_alone(summary: Summary) -> None:
    assert rows_of(summary, num_before=0)["stop_rate"].before.details == ()


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3 (Wilson's score)
@pytest.mark.parametrize(
    ("num_hits", "num_items", "interval"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_shares_have_wilsons_interval(num_hits: int, num_items: int, interval: tuple[float, float]) -> None:
    assert share_interval(num_hits / num_items, num_items) == pytest.approx(interval, abs=5e-5)
