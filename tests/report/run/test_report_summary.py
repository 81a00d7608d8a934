"""The document in `summary.json`."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from sftframe.records import Summary
from sftframe.report import summary_document


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
    assert set(document["after"]["judge"]) == {
        "name",
        "mean",
        "ci95",
        "num_scored",
        "num_items",
        "num_groups",
        "effective_items",
    }
    assert set(document["train"]) == {
        "steps",
        "examples_seen",
        "tokens_seen",
        "seconds",
        "tokens_per_s",
        "peak_memory_bytes",
        "counted_share",
    }


def test_a_summary_without_evaluation_has_the_keys_too(summary: Summary) -> None:
    bare = dataclasses.replace(summary, before=None, after=None, train=None, length_report={})

    assert summary_document(bare) == summary_document(summary) | {
        "before": None,
        "after": None,
        "train": None,
        "length_report": {},
    }


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null(summary: Summary, number: float) -> None:
    assert summary.after is not None
    strange = dataclasses.replace(summary, after=dataclasses.replace(summary.after, response_nll_per_byte=number))

    assert '"response_nll_per_byte": null' in json.dumps(summary_document(strange), allow_nan=False)
