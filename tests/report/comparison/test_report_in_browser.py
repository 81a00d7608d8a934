"""The page in a real browser: Debian's Chromium, driven by Playwright. Skipped where either is missing."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sftframe.analysis import ComparisonResult, FlippedItem
from sftframe.records import AnsweredItem, Turn
from sftframe.report import PageInput, comparison_page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is in [dev]")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH")

WIDTHS, SCHEMES = (360, 1600), ("light", "dark")
NUM_FLIPS = 5000
TIMEOUT_MS = 180_000
"""Of anything that the browser is asked; a busy machine may take its time."""
Make = Callable[..., ComparisonResult]
MakePage = Callable[[ComparisonResult], PageInput]


@dataclass
class Opened:
    """A page in a tab, and all that it said or asked for."""

    tab: Any
    heard: list[str] = field(default_factory=list)

    def rows(self) -> list[str]:
        """Indices of the items that are shown."""
        return [str(text) for text in self.tab.locator("#flip-rows th").all_inner_texts()]

    @property
    def status(self) -> str:
        return str(self.tab.locator("#flip-status").inner_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=TIMEOUT_MS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(
    make_result: Make, page_with_all: MakePage, hostile: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A report with every hostile text everywhere, and five thousand items for one pair."""
    names = {"mask-pad": f"mask-pad {hostile[0]}", "mask-instruction": "mask-instruction " + " ".join(hostile)}
    result = make_result(names=names)
    (candidate,) = result.flips
    flips = {candidate: tuple(flip(number, hostile) for number in range(NUM_FLIPS)), "the other": (flip(3, hostile),)}
    page = page_with_all(dataclasses.replace(result, flips=flips))
    errors = [("phi3 · seed 8", text) for text in hostile]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(comparison_page(dataclasses.replace(page, failed_cells=errors)), encoding="utf-8")
    return path


def flip(number: int, hostile: tuple[str, ...]) -> FlippedItem:
    """Differences go from -40 to +40; so an item of every 81 has the largest."""
    text = hostile[number % len(hostile)]
    difference = float(number % 81 - 40)
    one = AnsweredItem(
        index=number,
        instruction=f"Question {number}? {text}",
        input=text if number % 2 else "",
        turns=(Turn(instruction=f"Earlier {text}", output="Zanzibar."),) * 2 if number == 81 else (),
        reference=f"reference {number} {text}",
        answer="line\n" * 20 if number == 7 else f"before {text}",
        stop_reason="end",
        response_nll=1.0,
        num_response_bytes=9,
        score=50.0,
        verdict="ok",
        reason="",
    )
    return FlippedItem(
        baseline=one,
        candidate=replace(one, answer=f"after {text}", score=50.0 + difference),
        seed=1,
        baseline_scores=(50.0, None),
        candidate_scores=(50.0 + difference, None),
        difference=difference,
    )


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Callable[..., Opened]]:
    """`opened(width=360, scheme="dark")`: the page in a new window that reports whatever it says or asks for."""
    contexts = []

    def open_page(width: int = 1600, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        found = Opened(context.new_page())
        found.tab.on("console", lambda message: found.heard.append(f"console: {message.text}"))
        found.tab.on("pageerror", lambda error: found.heard.append(f"error: {error}"))
        found.tab.on("request", lambda request: found.heard.append(f"request: {request.url}"))
        found.tab.goto(page_file.as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()


def test_the_page_opens_without_errors_or_requests_and_runs_nothing_of_the_data(opened: Any, page_file: Path) -> None:
    page = opened()
    assert page.heard == [f"request: {page_file.as_uri()}"]
    assert page.tab.evaluate("window.hacked") is None
    assert page.tab.locator("main img").count() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_stands_out_of_the_window(opened: Any, width: int, scheme: str) -> None:
    page = opened(width, scheme)
    assert page.tab.evaluate("document.documentElement.scrollWidth") == width
    cut = page.tab.evaluate("""() => [...document.querySelectorAll("main *")]
        .filter((element) => !element.closest(".scroll, .scroll-x, svg, pre"))
        .filter((element) => { const box = element.getBoundingClientRect();
            return box.width > 1 && box.height > 1 && (box.right > innerWidth + 1 || box.left < -1); })
        .map((element) => element.outerHTML.slice(0, 80))""")
    assert cut == []


def test_what_was_said_before_a_question_opens_and_is_searched(opened: Any, hostile: tuple[str, ...]) -> None:
    page = opened()
    page.tab.fill("#flip-search", "zanzibar")
    assert page.rows() == ["81"]
    before = page.tab.locator("#flip-rows details.input").first
    assert before.locator("> summary").inner_text() == "Before it: 4 messages"
    before.locator("> summary").click()
    said = before.locator("> div").all_inner_texts()
    assert [text.split()[0] for text in said] == ["User", "Assistant", "User", "Assistant"]
    assert "Zanzibar." in said[1]
    assert page.tab.evaluate("window.hacked") is None


def test_nothing_is_cut_off_in_print(opened: Any) -> None:
    page = opened(690, "dark")  # A4 without its margins
    page.tab.emulate_media(media="print")
    assert page.tab.locator(".scroll-x, .scroll").count() > 3
    cut = page.tab.evaluate("""() => [...document.querySelectorAll("main table *")]
        .filter((element) => { const box = element.getBoundingClientRect();
            return box.width > 1 && box.height > 1 && box.right > innerWidth + 1; })
        .map((element) => element.outerHTML.slice(0, 80))""")
    assert cut == []
    assert page.tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_a_table_that_scrolls_has_a_shadow_at_its_edge(opened: Any) -> None:
    page = opened(360)
    table = page.tab.locator("#differences .scroll-x")
    assert table.evaluate("(box) => box.scrollWidth > box.clientWidth")
    layers = table.evaluate("(box) => getComputedStyle(box).backgroundAttachment").split(", ")
    assert layers == ["local", "local", "scroll", "scroll"]


def test_five_thousand_items_are_shown_bit_by_bit_and_searched_at_once(opened: Any) -> None:
    page = opened()
    assert page.status == "5,000 of 5,000 items match, 25 shown"
    page.tab.locator("#flip-more").click()
    assert page.status == "5,000 of 5,000 items match, 125 shown"
    found = page.tab.evaluate("""() => {
        const search = document.getElementById("flip-search");
        search.value = "question 4321";
        search.dispatchEvent(new Event("input"));
        return [...document.querySelectorAll("#flip-rows th")].map((cell) => cell.innerText); }""")
    assert found == ["4321"], "shown before the browser does anything else"


def test_the_search_takes_words_in_any_order_and_says_when_nothing_fits(opened: Any) -> None:
    page = opened()
    page.tab.locator("#flip-search").fill("  AFTER 4321 question")
    assert page.rows() == ["4321"]
    page.tab.locator("#flip-search").fill("nowhere to be found")
    assert page.rows() == []
    assert page.status == "0 of 5,000 items match, 0 shown"


def test_the_largest_differences_come_first_and_headers_turn_the_order(opened: Any) -> None:
    page = opened()
    header = page.tab.locator('th[data-sort="difference"]')
    item = page.tab.locator('th[data-sort="index"]')
    assert (header.get_attribute("aria-sort"), item.get_attribute("aria-sort")) == ("other", "none")
    assert page.rows()[:3] == ["0", "80", "81"]
    header.get_by_role("button").click()
    assert (header.get_attribute("aria-sort"), page.rows()[:2]) == ("descending", ["80", "161"])
    header.get_by_role("button").click()
    assert (header.get_attribute("aria-sort"), page.rows()[:2]) == ("ascending", ["0", "81"])
    item.get_by_role("button").click()
    assert (item.get_attribute("aria-sort"), page.rows()[:2]) == ("ascending", ["0", "1"])
    item.get_by_role("button").click()
    assert (item.get_attribute("aria-sort"), page.rows()[:2]) == ("descending", ["4999", "4998"])
    assert header.get_attribute("aria-sort") == "none"


def test_only_better_or_only_worse_items_are_shown_on_request(opened: Any) -> None:
    page = opened()
    for choice, word in (("Better", "better"), ("Worse", "worse")):
        page.tab.get_by_label(choice, exact=True).check()
        assert set(page.tab.locator("#flip-rows small").all_inner_texts()) == {word}


def test_another_pair_shows_its_own_items(opened: Any) -> None:
    page = opened()
    page.tab.locator("#flip-pair").select_option("1")
    assert page.status == "1 of 1 items match, 1 shown"
    assert page.tab.locator("#flip-candidate").inner_text() == "the other"


def test_an_answer_is_shown_as_it_is_written(opened: Any, hostile: tuple[str, ...]) -> None:
    page = opened()
    page.tab.locator("#flip-search").fill("question 8?")
    row = page.tab.locator("#flip-rows tr").first
    assert hostile[0] in row.inner_text()
    assert "score 50.0 · –" in row.inner_text()


def test_an_answer_of_many_lines_is_folded(opened: Any) -> None:
    page = opened()
    page.tab.locator("#flip-search").fill("line")
    folded = page.tab.locator("#flip-rows details")
    assert page.rows() == ["7"]
    assert "all 21 lines" in folded.locator("summary").inner_text()
    assert not folded.locator("div.text").is_visible()
    folded.locator("summary").click()
    assert folded.locator("div.text").is_visible()


def test_the_switch_turns_light_to_dark_and_back(opened: Any) -> None:
    page = opened(scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.chart text')).fill"
    light = (page.tab.evaluate(ground), page.tab.evaluate(ink))
    page.tab.locator("#theme").click()
    dark = (page.tab.evaluate(ground), page.tab.evaluate(ink))
    page.tab.locator("#theme").click()
    assert (page.tab.evaluate(ground), page.tab.evaluate(ink)) == light
    assert light[0] == "rgb(246, 247, 249)"
    assert dark[0] == "rgb(20, 23, 27)"
    assert light[1] != dark[1]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(opened: Any, width: int) -> None:
    page = opened(width)
    wanted = {"theme", "flip-search", "flip-pair", "Item", "Difference", "flip-more"}
    reached = set()
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        name, outline = page.tab.evaluate("""() => { const here = document.activeElement;
            const ring = here.type === "radio" ? here.closest("label") : here;
            return [here.id || here.textContent.trim(), getComputedStyle(ring).outlineStyle]; }""")
        assert outline != "none", f"{name} has no visible focus"
        reached.add(name)
        if wanted <= reached:
            break
    assert wanted <= reached


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_and_drawings_stand_out_from_their_ground(opened: Any, scheme: str) -> None:
    page = opened(scheme=scheme)
    ratios = page.tab.evaluate("""() => {
        const canvas = document.createElement("canvas").getContext("2d");
        const shine = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
                .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = shine(getComputedStyle(document.querySelector("section")).backgroundColor);
        const ratio = (colour) => { const [a, b] = [shine(colour), ground].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05); };
        const of = (selector, property) => ratio(getComputedStyle(document.querySelector(selector))[property]);
        return { text: of("h1", "color"), soft: of("figcaption", "color"), chart: of(".chart text", "fill"),
            better: of(".better", "color"), line: of(".swatch line", "stroke") }; }""")
    # WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what must be made out in a drawing
    assert {name: ratio for name, ratio in ratios.items() if ratio < (3 if name == "line" else 4.5)} == {}
