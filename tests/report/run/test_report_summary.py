"""`summary.json` there and back."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from sftframe.errors import DataError
from sftframe.records import Summary
from sftframe.report import summary_document
from sftframe.report.summary import parse_summary


def test_the_document_has_the_keys_that_other_programs_read(summary: Summary) -> None:
    document = summary_document(summary)

    named = {"run", "prompt", "collate", "model", "data", "seed", "before", "after", "train"}
    assert named <= set(document)
    assert set(document["after"]) == {
        "response_nll_per_token",
        "response_nll_per_byte",
        "prompt_nll_per_token",
        "exact_match",
        "stop_rate",
        "length_ratio",
        "judge",
    }
    assert set(document["after"]["judge"]) == {"name", "mean", "ci95", "num_scored", "num_items"}
    assert set(document["train"]) == {
        "steps",
        "examples_seen",
        "tokens_seen",
        "seconds",
        "tokens_per_s",
        "peak_memory_bytes",
        "counted_share",
    }


def test_a_summary_survives_the_way_through_json(summary: Summary) -> None:
    assert parse_summary(json.loads(json.dumps(summary_document(summary)))) == summary


def test_a_summary_without_evaluation_survives_too(summary: Summary) -> None:
    bare = dataclasses.replace(summary, before=None, after=None, train=None, length_report={})

    assert parse_summary(json.loads(json.dumps(summary_document(bare)))) == bare


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null_in_the_file_and_nan_when_read(summary: Summary, number: float) -> None:
    assert summary.after is not None
    strange = dataclasses.replace(summary, after=dataclasses.replace(summary.after, response_nll_per_byte=number))

    text = json.dumps(summary_document(strange), allow_nan=False)

    assert '"response_nll_per_byte": null' in text
    read = parse_summary(json.loads(text)).after
    assert read is not None
    assert math.isnan(read.response_nll_per_byte)


def test_fields_of_a_later_version_are_passed_over(summary: Summary) -> None:
    document = summary_document(summary)
    document["mood"] = "sunny"
    document["after"]["rouge"] = 0.5

    assert parse_summary(document) == summary


def test_a_missing_key_is_named(summary: Summary) -> None:
    document = summary_document(summary)
    del document["after"]["judge"]["num_scored"]

    with pytest.raises(DataError, match=r"summary\.json lacks the key 'num_scored'"):
        parse_summary(document)


@pytest.mark.parametrize("damage", [{"after": 3}, {"seed": "one"}, {"length_report": [1]}])
def test_a_value_of_the_wrong_kind_is_an_error_of_the_file(summary: Summary, damage: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"summary\.json contains a value of the wrong kind"):
        parse_summary(summary_document(summary) | damage)
