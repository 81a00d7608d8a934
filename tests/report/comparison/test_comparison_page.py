"""The page of a comparison: what is on it, in which order, and that data stay data."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from sftframe.analysis import ComparisonResult
from sftframe.report import PageInput, comparison_page

Outlines = Callable[[str], Any]
Make = Callable[..., ComparisonResult]


@pytest.fixture(scope="module")
def html(full: PageInput) -> str:
    return comparison_page(full)


@pytest.fixture(scope="module")
def page(html: str, outline: Outlines) -> Any:
    return outline(html)


def test_the_sections_come_in_the_order_of_a_readers_questions(page: Any) -> None:
    sections = page.attributes("section", "id")
    assert sections == ["result", "differences", "arms", "costs", "curves", "counted", "flips", "tokens", "setup"]
    assert page.attributes("a", "href") == ["#result", *(f"#{section}" for section in sections[1:])]


def test_the_first_heading_is_the_verdict(html: str, full: PageInput) -> None:
    (heading,) = re.findall(r"<h1[^>]*>(.*?)</h1>", html)
    assert heading == full.result.sentence


def test_headings_leave_no_level_out(page: Any) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_differences_stand_in_a_table_beside_their_drawing(page: Any) -> None:
    # mean differences by hand: (60-40 + 75-60 + 80-50 + 55-30 + 70-55 + 45-45) / 6 = 105 / 6
    assert "mask-instruction 17.5 points of 100 more: a mean of 64.9 instead of 47.4 +17.5" in page.text
    assert "5 / 0 / 1" in page.text
    assert page.attributes("data", "value")[0] == "17.5"
    # the seeds add the same to both arms, so no difference changes between seeds
    assert "seeds 0 %, items 100 %, single answers 0 %" in page.text


def test_every_seeds_difference_is_in_the_table_of_differences(page: Any) -> None:
    assert "+17.5 +17.5 · +17.5" in page.text


def test_the_questions_that_follow_a_verdict_are_answered_below_it(page: Any) -> None:
    # means by hand: 280 / 6 and 385 / 6, and half a point per seed for three of six items: 1.5 seeds on average
    assert (
        "How large With collate mask-instruction 17.5 points of 100 more: a mean of 64.9 instead of 47.4. Of 6 items, "
        "averaged over the seeds, 5 are better, 0 worse and 1 the same. The difference has this direction in 2 of 2 "
        "seeds." in page.text
    )
    assert (
        "How sure The uncertainty comes from items (100%). 6 more items would narrow the interval to about" in page.text
    )


def test_what_the_runs_cost_is_told_by_arm_and_by_run(result: ComparisonResult, outline: Outlines) -> None:
    trained = {"steps": 60, "tokens_seen": 1000, "seconds": 90.0}
    arms = tuple(
        dataclasses.replace(
            arm, runs={seed: dataclasses.replace(run, summary={"train": trained}) for seed, run in arm.runs.items()}
        )
        for arm in result.arms
    )
    text = outline(comparison_page(PageInput(result=dataclasses.replace(result, arms=arms)))).text
    assert (
        "What it cost 4 runs: 6 min 0 s of training (1 min 30 s a run), 240 steps, 4,000 tokens; 24 answers judged"
        in text
    )
    assert "mask-instruction 2 120 2,000 12 3 min 0 s 1 min 30 s" in text
    assert "all arms 4 240 4,000 24 6 min 0 s 1 min 30 s" in text
    assert "mask-instruction 2 60 1,000 6 1 min 30 s" in text  # its second seed


def test_costs_that_nobody_recorded_are_not_made_up(page: Any) -> None:
    assert "No run recorded what its training cost." in page.text
    assert "What it cost" not in page.text


def test_every_seeds_mean_is_in_the_table_of_arms(page: Any) -> None:
    # mask-pad: 280 / 6 plus half a point per seed for the three items of odd index
    assert "47.4 47.2 · 47.7" in page.text


def test_training_losses_stand_apart_by_mask_and_are_said_not_to_compare(page: Any) -> None:
    assert "The losses of different drawings do not compare" in page.text
    captions = [name for name in page.attributes("figcaption", "id") if name.startswith("loss-caption")]
    assert captions == ["loss-caption-1", "loss-caption-2"]
    assert "Training loss under mask-instruction , running mean" in page.text


def test_counted_shares_and_gradients_are_told_per_arm(page: Any) -> None:
    assert "mask-instruction 0.0 % 100.0 %" in page.text
    assert "1 0.490 × 1.25" in page.text


def test_pairing_hashes_are_short_with_the_whole_at_hand(page: Any) -> None:
    whole = page.attributes("code", "title")
    assert "1" * 64 in whole
    assert "11111111" in page.words
    assert "1" * 64 not in page.words


def test_the_set_up_tells_how_to_do_it_again(page: Any) -> None:
    assert "sftframe ablate --config ablations/1/ablation.toml --out ablations/1-again" in page.text
    assert "runs/mask-instruction/seed-2" in page.text


def test_no_id_is_used_twice_and_every_reference_has_its_target(page: Any) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    named = ("aria-labelledby", "aria-describedby", "aria-controls", "for")
    references = {attributes[name] for _, attributes in page.elements for name in named if name in attributes}
    assert len(ids) == len(set(ids))
    assert references
    assert references <= set(ids)


def test_every_table_has_a_name_and_every_drawing_a_description(page: Any) -> None:
    tables = [attributes for tag, attributes in page.elements if tag == "table"]
    captions = sum(tag == "caption" for tag, _ in page.elements)
    assert len(tables) == captions + sum("aria-labelledby" in table for table in tables)
    drawings = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
    assert len(drawings) == 8
    assert all({"aria-label", "aria-describedby"} <= set(drawing) for drawing in drawings)


def test_the_page_loads_nothing_and_runs_its_own_script_only(html: str, page: Any) -> None:
    policy = page.attributes("meta", "content")[0]
    assert policy.startswith("default-src 'none';")
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    addresses = set(re.findall(r'https?://[^"\s]+', html))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_every_id_that_the_script_asks_for_is_on_the_page(html: str, page: Any) -> None:
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    asked = set(re.findall(r'byId\("([^"]+)"\)', html)) | set(re.findall(r'"(flip-[a-z]+)"', html))
    assert len(asked) >= 8
    assert asked <= ids


def test_names_titles_and_errors_are_text(make_result: Make, outline: Outlines, hostile: tuple[str, ...]) -> None:
    everything = " ".join(hostile)
    named = make_result(names={"mask-pad": everything})
    page = PageInput(result=named, title=everything, failed_cells=[(everything, everything)], command=everything)
    parsed = outline(comparison_page(page))
    assert sum(tag == "script" for tag, _ in parsed.elements) == 2
    assert not [tag for tag, attributes in parsed.elements if tag == "img" or "onerror" in attributes]
    assert "\x1b" not in parsed.text
    assert "␛[31mred␇" in parsed.text


def several_of(pair: ComparisonResult, *kinds: str, **changes: Any) -> ComparisonResult:
    """A comparison of several arms with these verdicts."""
    several = tuple(dataclasses.replace(pair.main.table.comparisons[0], verdict=kind, **changes) for kind in kinds)
    table = dataclasses.replace(pair.main.table, comparisons=several)
    return dataclasses.replace(pair, main=dataclasses.replace(pair.main, table=table))


def test_what_would_settle_a_comparison_stands_below_the_verdict(make_result: Make, outline: Outlines) -> None:
    plan = "About 3 more seeds would settle it."
    is_open = several_of(make_result(), "cannot tell", comments=(plan,))
    text = outline(comparison_page(PageInput(result=is_open))).text
    sentence, remedy = is_open.sentence, "Add 3 seeds with: sftframe ablate …"
    assert text.index(sentence) < text.index(f"What would settle it {plan}")
    text = outline(comparison_page(PageInput(result=dataclasses.replace(is_open, remedy=remedy)))).text
    assert f"{plan} What to do {remedy}" in text


def test_of_many_comparisons_the_headline_counts_and_a_list_has_each(make_result: Make, outline: Outlines) -> None:
    many = several_of(make_result(), "cannot tell", "equivalent", "better", "cannot tell")
    parsed = outline(comparison_page(PageInput(result=many)))
    assert "of 4 arms compared with collate mask-pad, 1 is better (" in parsed.text
    assert parsed.text.count("It cannot be told whether collate mask-instruction is better or worse than") == 2


def test_one_seed_failed_cells_and_what_is_not_paired_are_said_below_the_verdict(
    make_result: Make, outline: Outlines
) -> None:
    single = dataclasses.replace(
        make_result(seeds=[7]), notes=("not paired: within seed 7, b has other batches than a",)
    )
    text = outline(comparison_page(PageInput(result=single, failed_cells=[("phi3 · seed 8", "out of memory")]))).text
    assert "Failed and left out: phi3 · seed 8: out of memory." in text
    assert "Not paired: within seed 7, b has other batches than a." in text
    assert "One seed (7): it is not known how much of a difference is the luck of training." in text


def test_a_note_that_begins_with_an_arms_name_keeps_it(result: ComparisonResult, outline: Outlines) -> None:
    noted = dataclasses.replace(result, notes=("mask-pad and mask-instruction: 4 answers differ", "not paired"))
    text = outline(comparison_page(PageInput(result=noted))).text
    assert "mask-pad and mask-instruction: 4 answers differ. Not paired." in text


def test_many_runs_that_failed_in_the_same_way_are_one_line(result: ComparisonResult, outline: Outlines) -> None:
    failed = [(f"phi3 · seed {seed}", "it is not complete") for seed in range(1, 20)]
    text = outline(comparison_page(PageInput(result=result, failed_cells=failed))).text
    assert "phi3 · seed 3, phi3 · seed 4 and 15 more: it is not complete." in text
    assert text.count("Failed and left out") == 1


def test_a_result_alone_makes_a_page_that_says_what_is_missing(result: ComparisonResult, outline: Outlines) -> None:
    text = outline(comparison_page(PageInput(result=result))).text
    assert "No run was evaluated during training." in text
    assert "No step was recorded." in text
    assert "No example was handed to this report" in text
    assert "Do the arms pull" not in text


def test_arms_that_answer_alike_have_no_list_of_items(result: ComparisonResult, outline: Outlines) -> None:
    alike = dataclasses.replace(result, flips=dict.fromkeys(result.flips, ()))
    parsed = outline(comparison_page(PageInput(result=alike)))
    assert "No item has another score in one arm than in the baseline." in parsed.text
    assert "flip-data" not in parsed.attributes("script", "id")


def test_what_is_not_the_same_in_all_runs_is_told(result: ComparisonResult, outline: Outlines) -> None:
    first, second = result.arms
    other = dataclasses.replace(
        second.runs[2], manifest={**second.runs[2].manifest, "machine": {"cpu": "slow", "swap": 1}}
    )
    mixed = dataclasses.replace(result, arms=(first, dataclasses.replace(second, runs={**second.runs, 2: other})))
    text = outline(comparison_page(PageInput(result=mixed))).text
    assert "Not the same in all runs: 2 machine.cpu: a fast one, slow machine.swap: 1 or nothing" in text


def test_the_same_comparison_gives_the_same_page(html: str, full: PageInput) -> None:
    assert comparison_page(full) == html


def test_the_links_at_the_top_have_the_texts_of_the_headings(full: PageInput) -> None:
    html = comparison_page(full)
    links = dict(re.findall(r'<a href="#(\w+)">([^<]+)</a>', html.split("<nav", 1)[1].split("</nav>", 1)[0]))
    headings = dict(re.findall(r'<h2 id="(\w+)-title">([^<]+)</h2>', html))
    assert len(links) == 8
    assert links == headings
