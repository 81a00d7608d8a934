"""Judge against people in a comparison: on the page, in Markdown and in JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sftframe.analysis import ComparedArm, ComparisonResult, PeopleLabels, compare, with_labels
from sftframe.analysis.label_files import Place
from sftframe.records import AnsweredItem
from sftframe.report import PageInput, comparison_document, comparison_markdown, comparison_page

HOSTILE = '<script>window.hacked = 1</script>" | `x`'


def answered(index: int, score: float, answer: str) -> AnsweredItem:
    return AnsweredItem(
        index=index,
        instruction=f"Question {index}?",
        input="",
        reference="reference",
        answer=answer,
        stop_reason="end",
        response_nll=1.0,
        num_response_bytes=9,
        score=score,
        verdict="ok",
        reason="",
    )


@pytest.fixture(scope="module")
def labelled(new_run: Callable[..., Any]) -> ComparisonResult:
    """40 answers of two arms. The judge gives both 50; people give the first 20 of B 90 and its long ones 10 less."""
    arms = []
    for name, mask in (("A", "mask-pad"), (f"B {HOSTILE}", "mask-instruction")):
        items = [
            answered(i, 50.0 + (i % 5 if mask == "mask-pad" else -(i % 3)), "word " * (1 + 30 * (i % 2)))
            for i in range(40)
        ]
        arms.append(ComparedArm(name=name, runs={1: new_run(1, items, **{"collate.name": mask})}))
    keys = {
        Place(index=i, arm=arm.name): (50.0 if number == 0 else 90.0) - 10 * (i % 2)
        for number, arm in enumerate(arms)
        for i in range(20)
    }
    labels = PeopleLabels(
        path="labels.csv",
        labels=keys,
        probability=dict.fromkeys(keys, 0.5),
        stratum=dict.fromkeys(keys, ""),
        num_unlabelled=0,
        num_people=2,
        num_twice=3,
        alpha=0.75,
    )
    return with_labels(compare(arms), labels)


def test_the_page_has_a_section_with_each_source_and_the_bias(labelled: ComparisonResult, outline: Any) -> None:
    page = outline(comparison_page(PageInput(result=labelled)))
    sections = page.attributes("section", "id")
    assert sections[:4] == ["result", "differences", "arms", "people"]
    assert "#people" in page.attributes("a", "href")
    assert "20 of 40" in page.text
    assert "Krippendorff's alpha 0.75 (3 answers with several labels)" in page.text
    assert "harder on long answers" not in page.text  # people are, not the judge
    assert "The judge is kinder to long answers than people are" in page.text


def test_a_page_without_labels_has_no_such_section(result: ComparisonResult, outline: Any) -> None:
    page = outline(comparison_page(PageInput(result=result)))
    assert "people" not in page.attributes("section", "id")
    assert "#people" not in page.attributes("a", "href")


def test_texts_of_arms_stay_text(labelled: ComparisonResult) -> None:
    page = comparison_page(PageInput(result=labelled))
    assert "<script>window" not in page
    markdown = comparison_markdown(labelled)
    assert "| `B <script>window.hacked = 1</script>\" \\| 'x'` | 20 of 40 | +40.0 (" in markdown


def test_markdown_has_both_tables(labelled: ComparisonResult) -> None:
    markdown = comparison_markdown(labelled)
    assert "| candidate | labelled items | people and judge | labels alone | judge alone |" in markdown
    assert "| `A` | 20 | 52.0 | 45.0 | +7.0 (" in markdown  # 50 + (0+1+2+3+4)/5, and the mean of 50 and 40
    assert "What people say" in markdown


def test_json_has_the_figures(labelled: ComparisonResult) -> None:
    found = comparison_document(labelled)["people"]
    (pair,) = found["pairs"].values()
    assert pair["labels_alone"] == pytest.approx(40)
    assert pair["num_labels"] == 20
    assert found["agreement"]["alpha"] == 0.75
    assert found["judged"]["comparisons"][0]["verdict"] in ("worse", "equivalent", "cannot tell")
    assert "people" not in comparison_document(compare(labelled.arms))
