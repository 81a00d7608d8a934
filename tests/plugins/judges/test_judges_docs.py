import doctest
import textwrap
from pathlib import Path

import pytest
from sftframe_plugins.judges.ollama import OllamaOptions
from sftframe_plugins.judges.openai import OpenAIOptions

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "judges.md"


def test_the_examples_of_the_docs_print_what_they_say():
    result = doctest.testfile(str(DOCS), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0


@pytest.mark.parametrize("name", ["reference", "ollama", "openai"])
def test_the_docs_have_a_section_per_judge(name):
    assert f"\n## `{name}`\n" in DOCS.read_text(encoding="utf-8")


def test_the_template_of_the_docs_is_one():
    from sftframe_plugins.judges.language_model import score_question

    _, _, example = DOCS.read_text(encoding="utf-8").partition("the whole text is the user's message.\n\n")
    template, _, _ = example.partition("\n\n`template`")
    question = score_question(textwrap.dedent(template))
    assert question.template.text.startswith("You are a strict examiner.")
    assert "\n---\n" in question.template.text


@pytest.mark.parametrize("options", [OllamaOptions, OpenAIOptions])
def test_the_docs_name_every_option(options):
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name in options.__dataclass_fields__ if f"`{name}`" not in text] == []
