"""The page on which people label answers: what it holds, and its work in Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sftframe.analysis import DrawnItem
from sftframe.analysis.label_files import DrawnAnswer, read_labels
from sftframe.report import label_page

CHROMIUM = shutil.which("chromium")
TIMEOUT_MS = 180_000
HOSTILE = (
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 2">',
    "\x00\x1b[31mred",
    "\u202eright to left",
    "half a pair \ud800",
    "=1+1\n" + "a long word " * 40,
)


def drawn(number: int) -> DrawnItem:
    text = HOSTILE[number % len(HOSTILE)]
    answers = tuple(
        DrawnAnswer(
            id=f"a{number}{side}",
            before=(("System", text), ("User", "Hello.")) if number == 4 else (),
            question=f"Question {number}? {text}",
            input=text if number % 2 else "",
            reference=f"reference {text}",
            answer="" if number == 3 else f"{side} {text}",
        )
        for side in "xy"[: 1 + number % 2]
    )
    return DrawnItem(index=number, stratum="1", probability=0.25, answers=answers)


ITEMS = [drawn(number) for number in range(12)]
IDS = [answer.id for item in ITEMS for answer in item.answers]


def test_every_text_is_escaped_and_nothing_is_loaded() -> None:
    page = label_page(ITEMS, file_name="labels.csv")
    assert "<img" not in page
    assert page.count("<script") == 1
    assert "\x1b" not in page
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert [found for found in IDS if f'data-id="{found}"' not in page] == []
    assert page == label_page(ITEMS, file_name="labels.csv")


def test_what_was_said_before_stands_above_the_answers() -> None:
    page = label_page(ITEMS, file_name="labels.csv")
    assert page.count('<span class="label">System</span>') == 1
    assert '<span class="label">User</span><bdi>Hello.</bdi>' in page


def test_the_page_does_not_say_which_arm_an_answer_is_of() -> None:
    page = label_page(ITEMS, file_name="labels.csv")
    assert page.count("<legend>Answer 1</legend>") == page.count("<legend>Answer 2</legend>") == 6
    assert page.count("<legend>Answer</legend>") == 6


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is in [dev]")
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=TIMEOUT_MS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.html"
    path.write_text(label_page(ITEMS, file_name="labels.csv"), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """The page in a new window without any memory, and what it said or asked for."""
    contexts = []

    def open_page(width: int = 1600, scheme: str = "light", **more: Any) -> tuple[Any, list[str]]:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        tab, heard = context.new_page(), []
        tab.on("console", lambda message: heard.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
        tab.on("request", lambda request: heard.append(f"request: {request.url}"))
        tab.goto(page_file.as_uri())
        return tab, heard

    yield open_page
    for context in contexts:
        context.close()


def test_nothing_of_the_data_runs_and_nothing_is_asked_for(opened: Any, page_file: Path) -> None:
    tab, heard = opened()
    assert heard == [f"request: {page_file.as_uri()}"]
    assert tab.evaluate("window.hacked") is None
    assert "<script>window.hacked = 1</script>" in tab.inner_text("#answers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_it_fits_narrow_and_wide_windows_and_can_be_read(opened: Any, width: int, scheme: str) -> None:
    tab, _ = opened(width, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    colours = tab.evaluate("(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))")
    dark = [sum(map(int, re.findall(r"\d+", colour)[:3])) < 300 for colour in colours]
    assert dark == ([True, False] if scheme == "light" else [False, True])
    box = tab.locator(".steps label").first.bounding_box()
    assert box["height"] >= 40  # a finger hits it


def test_all_answers_are_labelled_by_keyboard_and_saved_for_reading(opened: Any, tmp_path: Path) -> None:
    tab, _ = opened()
    tab.fill("#person", 'Ann "the eye"')
    tab.evaluate("document.activeElement.blur()")
    for key in ("5", "1", "3"):
        tab.keyboard.press(key)
    assert tab.inner_text("#status") == f"3 of {len(IDS)} labelled"
    for key in ("k", "k", "x"):  # back over the third and to the second, whose label goes
        tab.keyboard.press(key)
    assert tab.inner_text("#status") == f"2 of {len(IDS)} labelled"
    tab.keyboard.press("n")
    assert tab.locator(".answer.is-current").get_attribute("data-id") == IDS[3]
    with tab.expect_download() as waiting:
        tab.click("#save")
    assert waiting.value.suggested_filename == "labels.csv"
    path = tmp_path / "labels.csv"
    waiting.value.save_as(path)
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    assert [row["id"] for row in rows] == IDS
    assert [row["label"] for row in rows[:4]] == ["100", "", "50", ""]
    assert {row["person"] for row in rows} == {'Ann "the eye"'}
    found = read_labels(path)
    assert found.labels == {IDS[0]: 100, IDS[2]: 50}
    assert found.probability == dict.fromkeys(IDS, 0.25)


def test_progress_is_kept_in_the_browser(opened: Any) -> None:
    tab, _ = opened()
    tab.fill("#person", "Bob")
    tab.locator(".answer").nth(4).locator("label").nth(3).click()
    tab.reload()
    assert tab.input_value("#person") == "Bob"
    assert tab.inner_text("#status") == f"1 of {len(IDS)} labelled"
    assert tab.locator(".answer").nth(4).locator("input:checked").get_attribute("value") == "75"
    assert opened()[0].inner_text("#status") == f"0 of {len(IDS)} labelled"  # another browser has its own


def test_damaged_memory_is_no_obstacle(opened: Any) -> None:
    tab, heard = opened()
    key = f"sftframe-labels-{tab.get_attribute('#answers', 'data-page')}"
    for kept in ("{", "3", "null", '{"person": 5, "labels": {"a0x": "7", "nobody": "100"}}'):
        tab.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [key, kept])
        tab.reload()
        assert tab.inner_text("#status").startswith(f"0 of {len(IDS)} labelled")
    assert [line for line in heard if line.startswith("error")] == []


def test_keys_in_the_name_are_no_labels_and_tab_and_arrows_work(opened: Any) -> None:
    tab, _ = opened()
    tab.click("#person")
    tab.keyboard.type("J15")
    assert (tab.input_value("#person"), tab.inner_text("#status")) == ("J15", f"0 of {len(IDS)} labelled")
    tab.locator(".answer input").first.focus()
    tab.keyboard.press("Space")
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".answer").first.locator("input:checked").get_attribute("value") == "25"


def test_without_its_script_the_page_points_to_the_table(opened: Any) -> None:
    tab, _ = opened(java_script_enabled=False)
    assert tab.locator("noscript .warning").is_visible()
    assert tab.locator("#labelling").is_hidden()
