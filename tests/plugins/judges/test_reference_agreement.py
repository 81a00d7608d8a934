"""The claim of docs/explanation/judges.md, on the chapter's 100 answers with GPT-4's scores."""

import json
import os
from pathlib import Path

import pytest
from scipy import stats
from sftframe_plugins.judges.reference import grade

from sftframe import JudgeItem


@pytest.fixture(scope="module")
def judged():
    folder = Path(os.environ.get("SFTFRAME_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
    path = folder / "judged" / "model-1.json"
    if not path.is_file():
        pytest.skip(f"the chapter's judged answers are not in {folder}; SFTFRAME_TEST_DATA names the folder")
    entries = json.loads(path.read_text(encoding="utf-8"))
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
    assert stats.pearsonr(*judged).statistic > 0.89


def test_scores_agree_with_gpt4_in_rank(judged):
    assert stats.spearmanr(*judged).statistic > 0.87
