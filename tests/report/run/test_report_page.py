"""The report page: what is on it, in which order, and that data stay data."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from sftframe.records import Example, Response, Summary, Verdict
from sftframe.report import Curves, ReportInput, report_page

MakeReport = Callable[[int], ReportInput]
VOID = {"meta", "link", "input", "br"}
INLINE = {"a", "span", "strong", "em", "u", "code", "data"}


@dataclass(eq=False)
class Element:
    """One element of a parsed page."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, but for style and script; blocks stand apart."""
        return "".join(child if isinstance(child, str) else child._shown for child in self.children)

    @property
    def _shown(self) -> str:
        if self.tag in ("style", "script"):
            return ""
        return self.text if self.tag in INLINE else f"\n{self.text}\n"

    def all(self, tag: str | None = None, **attributes: str) -> Iterator[Element]:
        """Every element inside that fits, in the order of the page; `_` in a name stands for `-`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        for child in self.children:
            if isinstance(child, Element):
                if tag in (None, child.tag) and wanted.items() <= child.attributes.items():
                    yield child
                yield from child.all(tag, **attributes)

    def one(self, tag: str | None = None, **attributes: str) -> Element:
        """The only element inside that fits."""
        (found,) = self.all(tag, **attributes)
        return found


class Tree(HTMLParser):
    """Builds elements, and fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(element)
        if tag not in VOID:
            self.here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.here.tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def parse(page: str) -> Element:
    tree = Tree()
    tree.feed(page)
    tree.close()
    assert tree.here is tree.root, f"<{tree.here.tag}> is never closed"
    return tree.root


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def page(report_input: MakeReport) -> Element:
    return parse(report_page(report_input(42)))


def one_item_page(summary: Summary, **texts: str) -> Element:
    """A page with a single test item, where any of the texts may be given."""
    example = Example(
        instruction=texts.get("instruction", "Say yes."),
        input=texts.get("input", ""),
        output=texts.get("output", "yes"),
        index=3,
    )
    response = Response(index=3, text=texts.get("answer", "yes"), ids=(1,), stop_reason="end")
    verdict = Verdict(
        index=3, status="unparsable", score=None, reason=texts.get("reason", ""), raw=texts.get("raw", "")
    )
    return parse(
        report_page(ReportInput(summary=summary, examples=[example], responses=[response], verdicts=[verdict]))
    )


def test_the_sections_come_in_the_order_of_a_readers_questions(page: Element) -> None:
    sections = [section.attributes["id"] for section in page.one("main").all("section")]

    assert sections == ["result", "yardsticks", "loss", "answers", "tokens", "counted", "setup"]


def test_the_first_heading_is_the_result(page: Element) -> None:
    heading = page.one("h1").text

    assert heading.startswith("Fine-tuning gpt2-nano on starter with alpaca and mask-pad raised the reference judge's")
    assert "from 12.3 to 78.9 of 100" in heading


def test_the_table_shows_the_summarys_numbers(page: Element, summary: Summary) -> None:
    assert summary.before is not None
    assert summary.after is not None
    for key in ("response_nll_per_token", "response_nll_per_byte", "prompt_nll_per_token", "exact_match", "stop_rate"):
        values = [value.attributes["value"] for value in page.one("tr", data_yardstick=key).all("data")]
        assert [float(value) for value in values] == [getattr(summary.before, key), getattr(summary.after, key)]
    judge = squeezed(page.one("tr", data_yardstick="judge").text)
    assert "12.3" in judge
    assert "78.9" in judge
    assert "107 of 110 scored" in judge
    assert "95 % interval 72.5–85.4" in judge


def test_failures_of_the_judge_are_told_by_kind(page: Element) -> None:
    warning = squeezed(page.one(data_failures="after").text)

    assert warning.startswith("The judge failed on 1 of the answers after fine-tuning (1 unparsable).")
    assert not list(page.all(data_failures="before"))


def test_the_counted_shares_are_those_of_the_summary(page: Element) -> None:
    rows = page.one("section", id="counted").all("tr")

    shares = {row.attributes["data-role"]: row.one("data").text for row in rows if "data-role" in row.attributes}
    assert shares == {
        "template": "96.1\xa0%",
        "instruction": "100.0\xa0%",
        "input": "100.0\xa0%",
        "response": "100.0\xa0%",
        "end": "100.0\xa0%",
        "padding": "0.0\xa0%",
    }


def test_every_test_item_is_listed_with_all_that_belongs_to_it(page: Element) -> None:
    items = [child for child in page.one("ol", id="answer-list").children if isinstance(child, Element)]

    assert len(items) == 42
    text = squeezed(page.one("li", id="item-937").text)
    assert "Turn the question into a statement." in text
    assert "Input Did the fox cross the river?" in text
    assert "Reference The fox crossed the river." in text
    assert "Before fine-tuning score 25" in text
    assert "cut off at the length limit" in text
    assert "After fine-tuning score 100 The fox crossed the river. stopped by the end token" in text
    assert "judge: equal to the reference" in text


def test_an_item_carries_what_the_script_filters_and_sorts_by(page: Element) -> None:
    attributes = page.one("li", id="item-937").attributes

    assert attributes["data-flags"].split() == ["exact", "changed"]
    assert (attributes["data-score"], attributes["data-change"]) == ("100.0", "75.0")
    assert page.one("li", id="item-943").attributes["data-score"] == ""


def test_the_filters_offered_are_those_that_items_carry(page: Element) -> None:
    offered = {radio.attributes["value"] for radio in page.all("input", name="answer-filter")}

    assert offered == {"all", "exact", "inexact", "changed", "worse", "cut", "failed"}
    carried = {flag for item in page.all("li") for flag in item.attributes.get("data-flags", "").split()}
    assert carried <= offered


def test_without_script_all_items_are_there_and_the_controls_are_not(page: Element) -> None:
    assert "hidden" in page.one(id="answer-controls").attributes
    assert "hidden" in page.one(id="theme").attributes
    assert not [item for item in page.one(id="answer-list").all("li") if "hidden" in item.attributes]


def test_every_id_that_the_script_asks_for_is_on_the_page(page: Element) -> None:
    (script,) = ["".join(map(str, element.children)) for element in page.all("script")]

    asked = set(re.findall(r'byId\("([^"]+)"\)', script))
    assert len(asked) >= 7
    assert asked <= {element.attributes["id"] for element in page.all() if "id" in element.attributes}


def test_no_id_is_used_twice_and_every_reference_has_its_target(page: Element) -> None:
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    references = [
        target
        for element in page.all()
        for name in ("aria-labelledby", "aria-controls", "for")
        if (target := element.attributes.get(name))
    ]
    links = [a.attributes["href"] for a in page.all("a")]

    assert len(ids) == len(set(ids))
    assert references
    assert set(references) <= set(ids)
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_the_page_loads_nothing(report_input: MakeReport) -> None:
    html = report_page(report_input(5))
    page = parse(html)

    for element in page.all():
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset", "data"):
            assert element.attributes.get(name, "#").startswith(("#", "data:,")), element
    assert not [e for e in page.all() if e.tag in ("img", "iframe", "object", "embed", "video", "audio", "form")]
    styles = "".join("".join(map(str, style.children)) for style in page.all("style"))
    assert "@import" not in styles
    assert "url(" not in styles
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"""https?://[^\s"'<]+""", html)) == namespaces


def test_the_policy_lets_the_pages_own_script_run_and_no_other(page: Element) -> None:
    (script,) = ["".join(map(str, element.children)) for element in page.all("script")]
    (policy,) = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy


@pytest.mark.parametrize("place", ["instruction", "input", "output", "answer", "reason", "raw"])
def test_markup_in_data_is_text(summary: Summary, place: str) -> None:
    hostile = "</script><script>alert(1)</script><b onclick='x'>&amp;\"{{ 7 * 7 }}"

    page = one_item_page(summary, **{place: hostile})

    assert hostile in page.text
    assert len(list(page.all("script"))) == 1
    assert not [element for element in page.all() if "onclick" in element.attributes]


def test_markup_in_a_runs_set_up_is_text(report_input: MakeReport, summary: Summary) -> None:
    hostile = "<img src=x>'\"&"
    report = dataclasses.replace(
        report_input(1),
        summary=dataclasses.replace(summary, run=hostile, data=hostile, collate=hostile),
        manifest={hostile: {hostile: hostile}},
        config_toml=hostile,
        token_examples=[[(hostile, "response", True, 1.0)]],
    )

    page = parse(report_page(report))

    assert not list(page.all("img"))
    assert page.one("title").text.startswith(hostile)
    assert hostile in page.one("section", id="tokens").text


def test_what_cannot_be_seen_or_written_is_shown_as_something(summary: Summary) -> None:
    page = one_item_page(summary, answer="a\x00b\x1b[31m", output="\ud83d half a pair")

    text = page.one("li", id="item-3").text
    assert "a␀b␛[31m" in text
    assert "\ufffd half a pair" in text


def test_an_empty_answer_is_called_empty(summary: Summary) -> None:
    assert "After fine-tuning empty" in squeezed(one_item_page(summary, answer=" \n").one("li", id="item-3").text)


def test_a_long_answer_is_folded_and_complete(summary: Summary) -> None:
    answer = "word " * 200

    folded = one_item_page(summary, answer=answer).one("li", id="item-3").one("details", class_="long")

    assert "all 1,000 characters" in folded.one("summary").text
    assert folded.one("div").text == answer


def test_tokens_are_shown_by_role_with_counted_targets_marked(report_input: MakeReport) -> None:
    tokens = [
        ("Say", "instruction", False, 0.0),
        (" it", "instruction", True, 0.1),
        (":\n", "template", False, 0.0),
        ("yes", "response", True, 1.0),
        ("<|endoftext|>", "end", True, 1.0),
        ("<|endoftext|>", "padding", False, 0.0),
    ]

    page = parse(report_page(dataclasses.replace(report_input(1), token_examples=[tokens])))

    table = page.one("section", id="tokens").one("table")
    assert table.one("caption").text == "5 tokens and 1 of padding, 3 counted"
    rows = [row for row in table.all("tr") if "data-role" in row.attributes]
    assert [squeezed(row.text) for row in rows] == [
        "instruction Say it 1 of 2 weight 0.1",
        "template :⏎ 0 of 1",
        "response yes 1 of 1",
        "end <|endoftext|> 1 of 1",
        "padding <|endoftext|> 0 of 1",
    ]
    marked = {
        span.text: span.attributes["class"] for span in rows[0].all("span") if "token" in span.attributes["class"]
    }
    assert marked == {"Say": "token", " it": "token counted weighted"}


def test_the_set_up_has_versions_hashes_command_and_configuration(page: Element) -> None:
    setup = page.one("section", id="setup")
    text = squeezed(setup.text)

    assert "torch 2.7.0" in text
    assert "5f2d9c1e" * 8 in text
    assert "prompt.id sftframe:prompts" in text
    assert (
        "sftframe run --config runs/2024-05-17-alpaca-mask-pad/config.toml --out runs/2024-05-17-alpaca-mask-pad-again"
        in text
    )
    assert 'name = "alpaca"\n\n[train]' in setup.one("details").text


def test_long_lists_of_a_manifest_are_cut_and_nested_ones_taken_apart(report_input: MakeReport) -> None:
    manifest = {"template": {"prompt_ids": [[1, 2], list(range(40))], "stop_strings": []}}

    text = squeezed(
        parse(report_page(dataclasses.replace(report_input(1), manifest=manifest))).one("section", id="setup").text
    )

    assert "prompt_ids[0] 1, 2" in text
    assert "prompt_ids[1] 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (40 in all)" in text
    assert "stop_strings none" in text


def test_lengths_are_shown_once(report_input: MakeReport) -> None:
    report = report_input(1)
    with_lengths = dataclasses.replace(report, manifest={"lengths": {"longest": 131}})

    for shown in (report, with_lengths):
        captions = [caption.text for caption in parse(report_page(shown)).all("caption")]
        assert captions.count("lengths") == 1


def test_tables_are_captioned_and_their_headers_scoped(page: Element) -> None:
    tables = list(page.all("table"))

    assert len(tables) > 6
    assert all(next(table.all("caption")).text.strip() for table in tables)
    assert {header.attributes.get("scope") for header in page.all("th")} == {"row", "col"}


def test_a_keyboard_reaches_the_result_first_and_landmarks_have_names(page: Element) -> None:
    first = next(page.one("body").all("a"))

    assert (first.attributes["class"], first.attributes["href"]) == ("skip", "#result")
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("nav").attributes["aria-label"]
    assert all("aria-labelledby" in section.attributes for section in page.all("section"))
    assert all("aria-labelledby" in chart.attributes for chart in page.all(role="img"))


def test_a_summary_alone_makes_a_page_that_says_what_is_missing(summary: Summary) -> None:
    bare = dataclasses.replace(summary, before=None, after=None, train=None, length_report={})

    text = squeezed(parse(report_page(ReportInput(summary=bare))).text)

    assert "has not been evaluated after fine-tuning" in text
    assert "No step was recorded." in text
    assert "No test item is on record." in text
    assert "No example was handed to this report" in text
    assert "This run has not been trained" in text


def test_answers_without_verdicts_are_listed_as_not_judged(report_input: MakeReport) -> None:
    report = dataclasses.replace(report_input(7), verdicts=(), verdicts_before=())

    text = squeezed(parse(report_page(report)).one("li", id="item-937").text)

    assert text.count("not judged") == 2
    assert "score" not in text


def test_items_without_answers_say_so(report_input: MakeReport) -> None:
    report = dataclasses.replace(report_input(7), responses=(), responses_before=())

    assert squeezed(parse(report_page(report)).one("li", id="item-937").text).count("no answer recorded") == 2


def test_a_run_of_one_step_without_evaluation_is_reported(report_input: MakeReport) -> None:
    report = report_input(1)
    curves = Curves(steps=report.curves.steps[:1])

    loss = parse(report_page(dataclasses.replace(report, curves=curves))).one("section", id="loss")

    assert "this run was not evaluated during training" in loss.one("caption").text
    assert [row.one("th").text for row in loss.one("tbody").all("tr")] == ["1"]


def test_one_validation_answer_is_shown_as_it_changed(page: Element) -> None:
    samples = [squeezed(sample.text) for sample in page.one("ol", class_="samples").all("li")]

    assert samples[0] == "Step 0, example 1046 The opposite of the list is the list of the list."
    assert samples[-1] == "Step 234, example 1046 The plural of goose is geese."


def test_the_same_run_gives_the_same_page(report_input: MakeReport) -> None:
    assert report_page(report_input(3)) == report_page(report_input(3))


def test_a_thousand_items_stay_under_three_megabytes(report_input: MakeReport) -> None:
    num_bytes = len(report_page(report_input(1000)).encode())

    assert num_bytes < 3_000_000, f"{num_bytes:,} bytes"


def test_every_link_at_the_top_has_the_text_of_the_heading_that_it_leads_to(page: Element) -> None:
    links = {link.attributes["href"][1:]: link.text.strip() for link in page.one("nav").all("a")}

    assert list(links) == ["yardsticks", "loss", "answers", "tokens", "counted", "setup"]
    assert {name: page.one("h2", id=f"{name}-title").text.strip() for name in links} == links


def test_keys_of_a_manifest_are_shown_in_words_and_unknown_ones_as_they_are(report_input: MakeReport) -> None:
    manifest = {"machine": {"spin_count": "71", "memory_bytes": 5, "warp_cores": 3}, "settings": {"train.max_steps": 9}}

    setup = parse(report_page(dataclasses.replace(report_input(1), manifest=manifest))).one("section", id="setup")
    rows = {row.text.strip() for row in setup.all("th")}

    assert {"rounds that an idle thread waits (GOMP_SPINCOUNT)", "memory, bytes", "warp_cores"} <= rows
    assert {"train.max_steps"} <= rows
    assert not {"spin_count", "memory_bytes"} & rows
