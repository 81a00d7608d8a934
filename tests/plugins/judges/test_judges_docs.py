import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs" / "judges.md"


def test_the_examples_of_the_docs_print_what_they_say():
    result = doctest.testfile(str(DOCS), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0


@pytest.mark.parametrize("name", ["reference", "ollama"])
def test_the_docs_have_a_section_per_judge(name):
    assert f"\n## `{name}`\n" in DOCS.read_text(encoding="utf-8")
