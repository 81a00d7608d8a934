"""Generated pages are those that the code gives now; every hook, public name and exit code stands in the reference."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import sftframe
from recipes.docs import markdown
from recipes.docs.__main__ import GENERATED
from recipes.docs.contract_pages import sorted_errors
from sftframe.registry import Seam


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str, root: Path) -> None:
    committed = (root / "docs" / name).read_text(encoding="utf-8")
    assert committed == GENERATED[name](), "run: python -m recipes.docs"


@pytest.mark.parametrize("name", ["reference/hooks.md", "plugins/README.md"])
def test_every_hook_has_a_heading_with_its_signature(name: str, root: Path) -> None:
    text = (root / "docs" / name).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ `(\w+\(\) -> .*)`$", text, flags=re.MULTILINE)
    wanted = [f"{seam.hook}() -> Iterable[type[{seam.base.__name__}]]" for seam in Seam]
    assert sorted(headings) == sorted(wanted)


def test_every_public_name_is_in_the_python_reference(root: Path) -> None:
    page = (root / "docs/reference/python.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: sftframe\.(\w+)$", page, flags=re.MULTILINE)) == sorted(sftframe.__all__)


def test_the_table_of_exit_codes_has_every_class_of_error(root: Path) -> None:
    page = (root / "docs/reference/errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert {"ConfigError", "Interrupted", "PartialError"} <= {name for _, name in rows}
    assert rows == [(str(error.exit_code), error.__name__) for error in sorted_errors()]


def test_the_configuration_page_names_settings_and_components(root: Path) -> None:
    page = (root / "docs/reference/configuration.md").read_text(encoding="utf-8")
    assert "| `lr` | number > 0 | `0.00005` |" in page or "| `lr` | number > 0 | `5e-05` |" in page
    assert "| `collate.weight` | number ≥ 0 and ≤ 1 | `0.1` |" in page


def test_every_dependency_has_its_reason(root: Path) -> None:
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", project, flags=re.DOTALL | re.MULTILINE)
    assert block is not None
    names = set(re.findall(r'"([a-z0-9-]+)', block[1]))
    reasons = (root / "docs/reference/dependencies.md").read_text(encoding="utf-8")
    assert names == set(re.findall(r"^\| ([a-z0-9-]+) \|", reasons, flags=re.MULTILINE)) - {"package"}


def test_the_readme_stays_short(root: Path) -> None:
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "recipes/README.md", "benchmarks/README.md"])
def test_links_outside_the_site_lead_to_files(name: str, root: Path) -> None:
    page = root / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_the_examples_of_the_tables_hold() -> None:
    assert doctest.testmod(markdown) == (0, 2)
