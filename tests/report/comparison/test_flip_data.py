"""The flipped items as JSON inside the page."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from sftframe import Turn
from sftframe.analysis import ComparisonResult
from sftframe.report.comparison_page import flip_block

Make = Callable[..., ComparisonResult]


def block(result: ComparisonResult) -> Any:
    return json.loads(flip_block(result))


def test_a_row_leads_to_its_texts(result: ComparisonResult) -> None:
    document = block(result)
    (pair,) = document["pairs"]
    index, difference, before, after, baseline, candidate, _ = pair["rows"][0]
    assert (pair["candidate"], len(pair["rows"])) == ("mask-instruction", 5)
    assert (index, difference, before, after) == (2, 30.0, [50.0, 50.0], [80.0, 80.0])
    texts = document["texts"]
    assert [texts[number] for number in document["items"]["2"]] == ["Question 2?", "", "reference 2"]
    assert (texts[baseline], texts[candidate]) == ("answer 2", "answer 2")


def test_what_was_said_before_a_question_follows_its_texts(result: ComparisonResult) -> None:
    (flip, *_) = result.flips["mask-instruction"]
    turns = (Turn(instruction="Hi.", output="Hello."), Turn(instruction="20", speaker="tool", output="Warm."))
    talk = dataclasses.replace(flip, baseline=dataclasses.replace(flip.baseline, system="Be kind.", turns=turns))
    document = block(dataclasses.replace(result, flips={"b": (talk,)}))
    said = [document["texts"][number] for number in document["items"]["2"][3:]]
    assert said == ["System", "Be kind.", "User", "Hi.", "Assistant", "Hello.", "Tool", "20", "Assistant", "Warm."]


def test_no_text_stands_twice(make_result: Make) -> None:
    texts = block(make_result(texts={"answer": "the same", "reference": "the same"}))["texts"]
    assert len(texts) == len(set(texts)) == 5 + 2


def test_no_answer_can_end_the_element_that_it_stands_in(make_result: Make, hostile: tuple[str, ...]) -> None:
    for text in hostile:
        written = flip_block(make_result(texts={"answer": text, "instruction": text}))
        assert not set("<>&\u2028\u2029\x1b\x00\ud800") & set(written)
        assert written.encode()


def test_markup_comes_back_as_it_was(make_result: Make) -> None:
    assert "</script><!--" in block(make_result(texts={"answer": "</script><!--"}))["texts"]


def test_a_score_that_is_no_number_is_none(result: ComparisonResult) -> None:
    (flip, *_) = result.flips["mask-instruction"]
    odd = dataclasses.replace(flip, baseline_scores=(float("inf"), None), difference=float("nan"))
    (row,) = block(dataclasses.replace(result, flips={"b": (odd,)}))["pairs"][0]["rows"]
    assert row[1:3] == [None, [None, None]]
