"""The forest plot: its rows, and what is written and coloured in its drawing."""

from __future__ import annotations

import dataclasses
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from sftframe.analysis import ComparisonResult, compare
from sftframe.report.comparison_charts import forest_groups, forest_svg

Make = Callable[..., ComparisonResult]
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def grid(make_result: Make) -> ComparisonResult:
    """Two prompts by two masks."""
    pairs = {
        prompt: make_result(names={"mask-pad": f"{prompt} a", "mask-instruction": f"{prompt} b"}) for prompt in "xy"
    }
    arms = [arm for pair in pairs.values() for arm in pair.arms]
    settings = {arm.name: {"prompt.name": arm.name[0], "collate.name": arm.name[2]} for arm in arms}
    return compare(arms, settings=settings)


def test_the_axes_come_first_and_then_every_arm(grid: ComparisonResult) -> None:
    groups = forest_groups(grid)
    assert [group.title for group in groups] == [
        "prompt, averaged over 2 arms each",
        "collate, averaged over 2 arms each",
        "arms against x a",
    ]
    assert [row.label for row in groups[1].rows] == ["b instead of a"]
    assert [row.label for row in groups[2].rows] == ["x b", "y a", "y b"]


@pytest.mark.parametrize("is_narrow", [False, True])
def test_every_row_is_written_in_the_drawing(grid: ComparisonResult, is_narrow: bool) -> None:
    written = texts(forest_svg(grid, is_narrow=is_narrow))
    assert {"x b", "y a", "y b", "b instead of a", "arms against x a"} <= set(written)
    assert any(text.startswith("difference in points of 100") for text in written)


def test_the_drawing_names_colours_by_property_so_that_it_follows_the_scheme(result: ComparisonResult) -> None:
    settled = dataclasses.replace(result.main.table.comparisons[0], verdict="worse")
    table = dataclasses.replace(result.main.table, comparisons=(settled,))
    svg = forest_svg(dataclasses.replace(result, main=dataclasses.replace(result.main, table=table)))
    assert "var(--chart-worse, #a83a08)" in svg
    assert "var(--chart-ink, #333333)" in svg
    assert "var(--chart-band, " in svg


def dots(svg: str) -> int:
    return sum("var(--chart-seed" in (use.get("style") or "") for use in ElementTree.fromstring(svg).iter(f"{SVG}use"))


@pytest.mark.parametrize("is_narrow", [False, True])
def test_every_seed_is_a_dot_of_its_row(result: ComparisonResult, make_result: Make, is_narrow: bool) -> None:
    assert dots(forest_svg(result, is_narrow=is_narrow)) == 2
    assert dots(forest_svg(make_result(seeds=[1]), is_narrow=is_narrow)) == 0


def test_a_row_has_its_effect_and_its_seeds(result: ComparisonResult) -> None:
    (row,) = forest_groups(result)[-1].rows
    assert row.effect == "17.5 points of 100 more: a mean of 64.9 instead of 47.4"
    assert row.by_seed == ((1, pytest.approx(17.5)), (2, pytest.approx(17.5)))


def test_a_name_of_any_kind_is_drawn_without_a_warning(make_result: Make) -> None:
    named = make_result(names={"mask-instruction": "😀 <b> $x^2$ \x1b " + "long " * 30})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (label,) = [text for text in texts(forest_svg(named)) if text.startswith("😀")]
    assert label.startswith("😀 <b> $x^2$ ␛ long long")
    assert label.endswith("…")
    assert len(label) == 48


def test_a_difference_without_an_interval_is_a_mark_alone(result: ComparisonResult) -> None:
    bare = dataclasses.replace(result.main.table.comparisons[0], interval=None, verdict="cannot tell")
    table = dataclasses.replace(result.main.table, comparisons=(bare,))
    alone = dataclasses.replace(result, main=dataclasses.replace(result.main, table=table))
    svg = ElementTree.fromstring(forest_svg(alone))
    drawn = [path.get("style", "") for path in svg.iter(f"{SVG}path")]
    assert not [style for style in drawn if "stroke-width: 2.4" in style]
