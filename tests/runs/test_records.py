"""What a file says becomes a record only if its types are right; what is wrong is named with its place."""

from __future__ import annotations

from typing import Any

import pytest

from sftframe.errors import ConfigError
from sftframe.records import Response, TrainSummary
from sftframe.runs import read_record

RESPONSE = {"index": 3, "text": "Paris", "ids": [1, 2], "stop_reason": "end"}


def test_a_record_comes_back_with_tuples_where_json_has_lists() -> None:
    assert read_record(Response, RESPONSE, "f") == Response(index=3, text="Paris", ids=(1, 2), stop_reason="end")


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert read_record(Response, RESPONSE | {"mood": "glad"}, "f").index == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "f, line 2: expected a JSON object with a Response, found []"),
        ({}, "f, line 2: index: expected a value, found none"),
        (RESPONSE | {"index": None}, "index: expected a whole number, found None"),
        (RESPONSE | {"index": 10**30}, "index: expected a number of at most 64 bits, found a larger one"),
        (RESPONSE | {"text": 5}, "text: expected text, found 5"),
        (RESPONSE | {"ids": [1, "x"]}, "ids.1: expected a whole number"),
        (RESPONSE | {"stop_reason": "bored"}, "stop_reason: expected 'end', 'stop-string' or 'length', found 'bored'"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_value(value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_record(Response, value, "f, line 2")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inner_values_are_checked_too() -> None:
    summary: dict[str, Any] = dict.fromkeys(("steps", "examples_seen", "tokens_seen", "peak_memory_bytes"), 1)
    summary |= {"seconds": 1.5, "tokens_per_s": 2, "counted_share": {"end": "all"}}
    with pytest.raises(ConfigError, match=r"counted_share\.end: expected a number"):
        read_record(TrainSummary, summary, "train.json")
