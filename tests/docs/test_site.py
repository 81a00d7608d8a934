"""The site builds without a warning, loads nothing from another server, and can be read and searched from a disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipes.docs.moved_pages import address


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. `--strict` makes every warning an error."""
    pytest.importorskip("mkdocs", reason="needs the extra `docs`")
    pytest.importorskip("mkdocstrings", reason="needs the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_nothing_is_loaded_from_another_server(site: Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b[^>]*\bhref=\"(?:https?:)?//"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert [page.name for page in pages if loading.search(page.read_text(encoding="utf-8"))] == []


def test_style_sheets_load_nothing_from_another_server(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    loading = re.compile(r"@import\s+(?:url\()?[\"']?(?:https?:)?//|url\([\"']?(?:https?:)?//")
    assert [sheet.name for sheet in sheets if loading.search(sheet.read_text(encoding="utf-8"))] == []


def test_the_python_reference_has_signatures_and_docstrings(site: Path) -> None:
    page = (site / "reference/python.html").read_text(encoding="utf-8")
    assert 'id="sftframe.PromptStyle' in page or 'id="sftframe.plugins.interfaces.PromptStyle' in page
    assert "How an example is written out for the model" in page


def test_every_moved_page_and_heading_is_where_the_old_address_leads(site: Path, root: Path) -> None:
    moved = _moved(root)
    assert {"judges.md", "gpu.md", "statistics.md"} <= set(moved)
    for old, new in moved.items():
        page, _, heading = address(new).partition("#")
        assert (site / address(old).partition("#")[0]).is_file(), old
        assert not heading or f'id="{heading}"' in (site / page).read_text(encoding="utf-8"), (old, new)


def _moved(root: Path) -> dict[str, str]:
    yaml = pytest.importorskip("yaml", reason="needs the extra `docs`")
    moved: dict[str, str] = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))["extra"]["moved"]
    return moved


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    """A tab of the system's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is in [dev]")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=TIMEOUT_MS)
        opened = browser.new_page(viewport={"width": 360, "height": 900})
        opened.set_default_timeout(TIMEOUT_MS)
        yield opened
        browser.close()


TIMEOUT_MS = 180_000
"""Of anything that the browser is asked; a busy machine may take its time."""
_PARTED_WORDS = """() => {
    const parted = [];
    for (const cell of document.querySelectorAll("article th, article td:first-child")) {
        const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) for (const word of texts.currentNode.data.matchAll(/\\w+/g)) {
            const range = document.createRange();
            range.setStart(texts.currentNode, word.index);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1) parted.push(word[0]);
        }
    }
    return parted;
}"""


@pytest.mark.parametrize("opened", ["reference/hooks.html", "reference/configuration.html", "plugins/index.html"])
def test_heads_and_names_in_tables_are_not_broken_inside_words(site: Path, tab: Any, opened: str) -> None:
    tab.goto((site / opened).as_uri())
    tab.set_viewport_size({"width": 360, "height": 900})
    assert tab.locator("article th").count() >= 2
    assert tab.evaluate(_PARTED_WORDS) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gpu.html", "explanation/devices.html"),
        ("gpu.html#threads-and-neighbours-on-a-cpu", "explanation/devices.html#threads-and-neighbours-on-a-cpu"),
        ("gpu.html#measuring-it", "how-to/gpu.html#measure-it"),
    ],
)
def test_a_browser_that_opens_an_old_address_gets_the_new_page(site: Path, tab: Any, old: str, new: str) -> None:
    tab.goto(f"{site.as_uri()}/{old}")
    tab.wait_for_url(f"{site.as_uri()}/{new}")
    assert tab.locator("article h1").count() == 1


def test_pages_opened_from_a_disk_have_the_index_and_the_worker_that_search_needs(site: Path) -> None:
    assert (site / "search/search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    for page, shim in (("index.html", "assets/iframe-worker.js"), ("how-to/gpu.html", "../assets/iframe-worker.js")):
        assert f'<script src="{shim}"></script>' in (site / page).read_text(encoding="utf-8")
        assert "window.Worker=" in (site / page).parent.joinpath(shim).read_text(encoding="utf-8")


def test_the_picture_of_the_data_flow_has_no_ground_and_brings_its_own_contrast(root: Path) -> None:
    picture = (root / "docs/assets/data-flow.svg").read_text(encoding="utf-8")
    assert '<rect width="' not in picture, "a ground"
    fills = set(re.findall(r'<rect [^>]*fill="(#[0-9a-f]{6})"', picture))
    lines = set(re.findall(r'stroke="(#[0-9a-f]{6})"', picture))
    assert set(re.findall(r'<text [^>]*fill="([^"]+)"', picture)) == {"#fff"}
    # WCAG 2.2: 4.5 to 1 for text; the boxes and arrows on a white page and on the dark theme's ground
    assert len(fills) == 2
    assert all(_contrast(fill, "#ffffff") >= 4.5 for fill in fills)
    assert lines
    assert all(_contrast(colour, ground) >= 2.5 for colour in fills | lines for ground in ("#ffffff", "#1e2129"))


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((light(one), light(other)))
    return (lighter + 0.05) / (darker + 0.05)
