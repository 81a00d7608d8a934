import doctest
from pathlib import Path

import pytest
from sftframe_plugins.judges.ollama import OllamaOptions
from sftframe_plugins.judges.openai import OpenAIOptions

ROOT = Path(__file__).parents[3] / "docs"
DOCS = ROOT / "reference" / "judges.md"


@pytest.mark.parametrize(
    ("page", "num_examples"), [(DOCS, 9), (ROOT / "explanation/judges.md", 3), (ROOT / "plugins/judges.md", 6)]
)
def test_the_examples_of_the_docs_print_what_they_say(page, num_examples):
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted >= num_examples
    assert result.failed == 0


@pytest.mark.parametrize("name", ["reference", "ollama", "openai"])
def test_the_docs_have_a_section_per_judge(name):
    assert f"\n## `{name}`\n" in DOCS.read_text(encoding="utf-8")


def test_the_template_of_the_docs_is_one():
    from sftframe_plugins.judges.language_model import score_question

    _, _, example = (ROOT / "how-to/judge.md").read_text(encoding="utf-8").partition('```text title="strict.txt"\n')
    template, _, _ = example.partition("```")
    question = score_question(template)
    assert question.template.text.startswith("You are a strict examiner.")
    assert "\n---\n" in question.template.text


@pytest.mark.parametrize("options", [OllamaOptions, OpenAIOptions])
def test_the_docs_name_every_option(options):
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name in options.__dataclass_fields__ if f"`{name}`" not in text] == []
