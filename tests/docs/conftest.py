"""The pages of the documentation, and the code blocks in them with what the page says about running each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]*?) -->\n)?"
    r"```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<code>.*?)^```$",
    flags=re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of code."""

    page: str
    language: str
    title: str
    """Name of the file that it shows, if it is one."""
    marker: str
    """The comment on the line before it: `run`, or `not run: REASON`."""
    code: str


def pages() -> list[str]:
    """Paths of all pages from the root, README first."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """A page's fenced blocks, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page=page, **{key: value or "" for key, value in found.groupdict().items()})
        for found in _BLOCK.finditer(text)
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`page` stands for every page; `python_page` and `run_page` for those with such blocks."""
    wanted: dict[str, Callable[[Block], bool]] = {
        "page": lambda block: True,
        "python_page": lambda block: block.language == "python" and not block.marker.startswith("not run"),
        "run_page": lambda block: block.language in ("bash", "console") and block.marker == "run",
    }
    for name, is_wanted in wanted.items():
        if name in metafunc.fixturenames:
            chosen = [page for page in pages() if name == "page" or any(map(is_wanted, blocks(page)))]
            metafunc.parametrize(name, chosen)


@pytest.fixture(name="blocks")
def _blocks() -> Callable[[str], list[Block]]:
    return blocks


@pytest.fixture
def root() -> Path:
    """The repository's root."""
    return ROOT
