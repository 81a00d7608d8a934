"""Yardsticks: sums over counts, worked out by hand."""

from typing import Any

import pytest

from sftframe import Summary
from sftframe.analysis import YARDSTICKS, Measured, Yardstick, measure
from sftframe.records import AnsweredItem, JudgeSummary, Likelihood
from sftframe.report import summary_document


def likelihood(index: int, response: tuple[float, int, int], prompt: tuple[float, int]) -> Likelihood:
    return Likelihood(
        index=index,
        response_nll=response[0],
        num_response_tokens=response[1],
        num_response_bytes=response[2],
        prompt_nll=prompt[0],
        num_prompt_tokens=prompt[1],
    )


def answer(index: int, text: str, stop_reason: Any = "end", reference: str | None = None) -> AnsweredItem:
    return AnsweredItem(
        index=index,
        instruction="Say it.",
        input="",
        reference=REFERENCES[index] if reference is None else reference,
        answer=text,
        stop_reason=stop_reason,
        response_nll=1.0,
        num_response_bytes=4,
        score=None,
        verdict=None,
        reason="",
    )


REFERENCES = {0: "Paris.", 1: "It is blue.", 2: "No", 3: "日本"}
LIKELIHOODS = [likelihood(0, (8.0, 2, 20), (3.0, 1)), likelihood(1, (1.0, 7, 16), (1.0, 7))]


def test_every_token_weighs_the_same_whichever_example_it_is_in() -> None:
    # the mean of the two examples' means would be (4 + 1/7) / 2
    found = measure(Measured(likelihoods=LIKELIHOODS))
    assert found.response_nll_per_token == pytest.approx(9 / 9)
    assert found.response_nll_per_byte == pytest.approx(9 / 36)
    assert found.prompt_nll_per_token == pytest.approx(4 / 8)


def test_without_answers_the_figures_about_answers_are_none() -> None:
    found = measure(Measured(likelihoods=LIKELIHOODS))
    assert (found.exact_match, found.stop_rate, found.length_ratio, found.judge) == (None, None, None, None)


def test_an_answer_is_exact_if_it_is_the_reference_but_for_white_space_around_it() -> None:
    answers = [answer(0, " Paris.\n"), answer(1, "it is blue."), answer(2, "No"), answer(3, "日 本")]
    assert measure(Measured(likelihoods=LIKELIHOODS, items=answers)).exact_match == 0.5


def test_an_answer_stops_by_itself_at_the_end_token_or_at_the_styles_own_tag() -> None:
    answers = [answer(0, "a"), answer(1, "b", "stop-string"), answer(2, "c", "length"), answer(3, "d", "length")]
    assert measure(Measured(likelihoods=LIKELIHOODS, items=answers)).stop_rate == 0.5


def test_the_length_ratio_is_of_all_characters_together() -> None:
    # 12 + 2 characters against 6 + 2
    answers = [answer(0, "twelve chars"), answer(3, "日本")]
    assert measure(Measured(likelihoods=LIKELIHOODS, items=answers)).length_ratio == pytest.approx(14 / 8)


def test_references_that_are_all_empty_have_no_length_ratio() -> None:
    found = measure(Measured(likelihoods=LIKELIHOODS, items=[answer(0, "", reference="")]))
    assert (found.exact_match, found.length_ratio) == (1.0, None)


def test_the_judges_summary_is_handed_on() -> None:
    judge = JudgeSummary(name="x", mean=50.0, ci95=None, num_scored=1, num_items=2)
    assert measure(Measured(likelihoods=LIKELIHOODS, judge=judge)).judge is judge


def test_prompts_of_a_single_token_have_no_prompt_likelihood() -> None:
    assert measure(Measured(likelihoods=[likelihood(0, (1.0, 1, 1), (0.0, 0))])).prompt_nll_per_token == 0.0


def test_one_more_entry_of_the_list_is_measured_and_written() -> None:
    brief = Yardstick(
        key="brief",
        label="Short answers",
        short_label="short %",
        unit="% of items",
        direction="higher",
        meaning="Answers of at most three characters.",
        score=lambda item: 100.0 * (len(item.answer) <= 3),
        is_share=True,
    )
    answers = [answer(0, "abc"), answer(1, "abcd"), answer(2, ""), answer(3, "abcdef")]
    found = measure(Measured(likelihoods=LIKELIHOODS, items=answers), (*YARDSTICKS, brief))
    assert (found.figure("brief"), found.figure("stop_rate"), found.figure("judge")) == (0.5, 1.0, None)
    summary = Summary(
        run="r", prompt="p", collate="c", model="m", data="d", seed=1, before=None, after=found, train=None
    )
    document = summary_document(summary)
    assert document["after"]["brief"] == 0.5
    assert "others" not in document["after"]


def test_a_figure_is_better_in_the_yardsticks_own_direction() -> None:
    by_key = {yardstick.key: yardstick for yardstick in YARDSTICKS}
    exact, nll, length, prompt = (
        by_key[key] for key in ("exact_match", "response_nll_per_byte", "length_ratio", "prompt_nll_per_token")
    )
    assert (exact.cost(0.75), nll.cost(0.75), length.cost(0.75), prompt.cost(0.75)) == (-0.75, 0.75, 0.25, None)
