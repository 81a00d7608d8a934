"""The claims of docs/explanation/judges.md, on answers with the scores of other graders."""

import json
import os
from pathlib import Path
from statistics import fmean

import pytest
from scipy import stats
from sftframe_plugins.judges.reference import grade

from sftframe import JudgeItem


def entries_of(name):
    folder = Path(os.environ.get("SFTFRAME_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
    path = folder / "judged" / name
    if not path.is_file():
        pytest.skip(f"the judged answers {name} are not in {folder}; SFTFRAME_TEST_DATA names the folder")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def judged():
    entries = entries_of("model-1.json")
    items = [
        JudgeItem(
            index=index,
            instruction=entry["instruction"],
            input=entry["input"],
            reference=entry["output"],
            answer=entry["model_response"],
        )
        for index, entry in enumerate(entries)
    ]
    return [grade(item)[0] for item in items], [entry["gpt4_score"] for entry in entries]


def test_scores_agree_with_gpt4_in_value(judged):
    assert stats.pearsonr(*judged).statistic > 0.92


def test_scores_agree_with_gpt4_in_rank(judged):
    assert stats.spearmanr(*judged).statistic > 0.90


def test_systems_of_different_wordiness_are_as_far_apart_as_people_say():
    entries = entries_of("natural-questions.json")
    systems = ("fid", "chatgpt", "newbing", "gpt4")  # in the order of people's labels
    people = [100 * fmean(entry[f"human_{name}"] for entry in entries) for name in systems]
    means = [fmean(graded(entry, f"answer_{name}") for entry in entries) for name in systems]
    assert means == sorted(means)
    assert [mean - means[0] for mean in means] == pytest.approx([share - people[0] for share in people], abs=5)


def test_awkward_answers_are_graded_more_like_people_than_by_chance():
    entries = entries_of("awkward.json")
    scores = [graded(entry, "model_response") for entry in entries]
    assert stats.pearsonr(scores, [entry["human_score"] for entry in entries]).statistic > 0.7


ANSWERS = Path(__file__).parent / "answers"


@pytest.mark.parametrize(("name", "least"), [("awkward", 0.83), ("awkward-later", 0.75)])
def test_own_awkward_answers_are_graded_like_people(name, least):
    """People's scores were written before the judge was run."""
    entries = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))
    scores = [graded(entry, "model_response") for entry in entries]
    assert stats.pearsonr(scores, [entry["human_score"] for entry in entries]).statistic > least


@pytest.mark.parametrize(("name", "lead"), [("students", 0.3), ("students-later", 0.05)])
def test_short_answers_of_students_are_graded_better_than_by_chrf(name, lead):
    from sacrebleu.metrics.chrf import CHRF

    entries = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))
    grades = [entry["teacher_score"] for entry in entries]
    chrf = CHRF(word_order=2)
    others = [chrf.sentence_score(entry["model_response"], [entry["output"]]).score for entry in entries]
    scores = [graded(entry, "model_response") for entry in entries]
    for measure in (stats.pearsonr, stats.spearmanr):
        assert measure(scores, grades).statistic > measure(others, grades).statistic + lead


def graded(entry, answer):
    item = JudgeItem(
        index=0, instruction=entry["instruction"], input=entry["input"], reference=entry["output"], answer=entry[answer]
    )
    return grade(item)[0]
