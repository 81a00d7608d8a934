"""The sentence that says what a run achieved."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable

import pytest

from sftframe.records import JudgeSummary, Summary, Verdict, Yardsticks
from sftframe.report import ReportInput, report_page
from sftframe.report.run_page import outcome
from sftframe.report.run_tables import paired_change


def verdicts(*scores: float | None) -> list[Verdict]:
    """One verdict per score, None = the judge failed."""
    return [
        Verdict(index=index, status="error" if score is None else "ok", score=score)
        for index, score in enumerate(scores)
    ]


def judged(summary: Summary, *, before: JudgeSummary | None, after: JudgeSummary | None) -> Summary:
    """The summary with other judges."""
    assert summary.before is not None
    assert summary.after is not None
    return dataclasses.replace(
        summary,
        before=dataclasses.replace(summary.before, judge=before),
        after=dataclasses.replace(summary.after, judge=after),
    )


def reference(mean: float | None, num_scored: int = 4, num_items: int = 4) -> JudgeSummary:
    return JudgeSummary(name="reference", mean=mean, ci95=None, num_scored=num_scored, num_items=num_items)


WHAT = "gpt2-nano on starter with alpaca and mask-pad"


def test_a_clear_gain_is_called_raised(summary: Summary) -> None:
    run = judged(summary, before=reference(11.5), after=reference(81.5))

    result = outcome(run, paired_change(verdicts(10, 11, 12, 13), verdicts(80, 81, 82, 83)))

    assert result.sentence == (
        f"Fine-tuning {WHAT} raised the reference judge's mean from 11.5 to 81.5 of 100 (4 of 4 scored)."
    )
    assert "+70.0 points, 95 % interval +70.0 to +70.0, on the 4 items scored both times" in result.notes[0]
    assert "4 better, 0 the same, 0 worse" in result.notes[0]


def test_a_clear_loss_is_called_lowered(summary: Summary) -> None:
    run = judged(summary, before=reference(81.5), after=reference(11.5))

    sentence = outcome(run, paired_change(verdicts(80, 81, 82, 83), verdicts(10, 11, 12, 13))).sentence

    assert "lowered the reference judge's mean from 81.5 to 11.5" in sentence


def test_a_difference_within_its_interval_is_not_called_a_result(summary: Summary) -> None:
    # differences +30, -20, +10, -10: mean 2.5, standard deviation 22.17, t(3) = 3.182: 2.5 ± 35.3
    run = judged(summary, before=reference(50.0), after=reference(52.5))

    result = outcome(run, paired_change(verdicts(50, 50, 50, 50), verdicts(80, 30, 60, 40)))

    assert result.sentence == (
        f"Whether fine-tuning {WHAT} changed the reference judge's mean cannot be told from 4 items: "
        "50.0 before, 52.5 after, of 100 (4 of 4 scored)."
    )
    assert "+2.5 points, 95 % interval −32.8 to +37.8" in result.notes[0]


def test_different_denominators_are_both_given(summary: Summary) -> None:
    run = judged(summary, before=reference(10.0, 3), after=reference(90.0, 4))

    sentence = outcome(run, paired_change(verdicts(10, 10, 10, None), verdicts(90, 90, 90, 90))).sentence

    assert sentence.endswith("(3 of 4 scored before, 4 of 4 scored after).")


def test_scores_that_all_stayed_did_not_move(summary: Summary) -> None:
    run = judged(summary, before=reference(50.0), after=reference(50.0))

    sentence = outcome(run, paired_change(verdicts(50, 50), verdicts(50, 50))).sentence

    assert "did not move the reference judge's mean from 50.0 to 50.0" in sentence


def test_one_item_proves_nothing(summary: Summary) -> None:
    run = judged(summary, before=reference(0.0, 1, 1), after=reference(100.0, 1, 1))

    assert "cannot be told from 1 item:" in outcome(run, paired_change(verdicts(0), verdicts(100))).sentence


def test_means_that_the_items_scored_both_times_contradict_are_no_result(summary: Summary) -> None:
    # the two hard items failed before: the mean falls although every item scored both times rose
    run = judged(summary, before=reference(60.5, 2), after=reference(40.75))

    sentence = outcome(run, paired_change(verdicts(60, 61, None, None), verdicts(70, 71, 10, 12))).sentence

    assert sentence.startswith("Whether fine-tuning")


def test_the_judge_goes_by_its_name_without_version_or_digest(summary: Summary) -> None:
    judge = JudgeSummary(name="ollama:llama3@365c0bd3c000", mean=50.0, ci95=None, num_scored=4, num_items=4)

    assert "the ollama judge's mean" in outcome(judged(summary, before=judge, after=judge), None).sentence


def test_without_verdict_files_the_means_speak_for_themselves(summary: Summary) -> None:
    result = outcome(summary, None)

    assert "raised the reference judge's mean from 12.3 to 78.9 of 100" in result.sentence
    assert not any("Item by item" in note for note in result.notes)


def test_without_a_measurement_before_nothing_is_said_to_have_changed(summary: Summary) -> None:
    result = outcome(dataclasses.replace(summary, before=None), None)

    assert result.sentence == (
        f"After fine-tuning, {WHAT} has a mean of 78.9 of 100 from the reference judge (107 of 110 scored)."
    )
    assert "untuned model was not measured" in result.notes[0]


def test_scores_of_two_judges_are_not_compared(summary: Summary) -> None:
    other = JudgeSummary(name="ollama llama3", mean=95.0, ci95=None, num_scored=4, num_items=4)

    result = outcome(
        judged(summary, before=other, after=reference(50.0)), paired_change(verdicts(95, 95), verdicts(50, 50))
    )

    assert result.sentence.startswith("After fine-tuning, ")
    assert "scored by another judge (ollama llama3)" in result.notes[0]


def test_an_untuned_model_without_scores_is_not_compared(summary: Summary) -> None:
    result = outcome(judged(summary, before=reference(None, 0), after=reference(50.0)), None)

    assert "have no scores" in result.notes[0]


@pytest.mark.parametrize(
    ("judge", "note"),
    [
        (None, "No judge has scored the answers."),
        (reference(None, 0, 110), "The reference judge could score none of the 110 answers."),
    ],
)
def test_without_scores_the_likelihood_is_the_result(summary: Summary, judge: JudgeSummary | None, note: str) -> None:
    result = outcome(judged(summary, before=judge, after=judge), None)

    assert result.sentence == f"Fine-tuning {WHAT} lowered the response NLL from 3.413 to 0.406 nats per token."
    assert result.notes[0] == note


def test_likelihood_alone_after_training_is_stated_as_it_is(summary: Summary) -> None:
    after = Yardsticks(response_nll_per_token=0.5, response_nll_per_byte=0.1, prompt_nll_per_token=1.0)

    result = outcome(dataclasses.replace(summary, before=None, after=after), None)

    assert result.sentence == f"After fine-tuning, {WHAT} has a response NLL of 0.500 nats per token."


def test_a_run_that_was_not_evaluated_has_no_result(summary: Summary) -> None:
    sentence = outcome(dataclasses.replace(summary, after=None), None).sentence

    assert sentence == f"{WHAT} has not been evaluated after fine-tuning: there is no result yet."


def test_every_comparison_says_that_one_seed_is_no_proof(summary: Summary) -> None:
    assert "one run with one seed" in outcome(summary, None).notes[-1]


def test_families_without_a_name_are_noted_unless_a_group_is_named_or_ruled_out(
    report_input: Callable[[int], ReportInput],
) -> None:
    report = report_input(70)  # seven questions, ten times each
    page = html.unescape(report_page(report))
    assert "70 of the 70 test questions look alike in 7 families (the largest has 10, such as" in page
    assert "with them as groups the 95 % interval of the change would be" in page
    assert "--set data.group=FIELD" in page
    ruled_out = dataclasses.replace(report, config_toml=f"{report.config_toml}[data]\ngroup = false\n")
    assert "look alike" not in report_page(ruled_out)
    named = dataclasses.replace(
        report, examples=[dataclasses.replace(example, group="g") for example in report.examples]
    )
    assert "look alike" not in report_page(named)
