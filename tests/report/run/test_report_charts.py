"""The loss chart as PNG and as SVG."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import matplotlib
import pytest

from sftframe.report import Curves, loss_chart, read_curves
from sftframe.report.curves import MAX_POINTS, loss_svg, thinned

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def curves(metrics_lines: Lines) -> Curves:
    return read_curves(metrics_lines(60, 10))


def texts(svg: str) -> list[str]:
    """What is written in a drawing."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_png_has_the_promised_size(curves: Curves) -> None:
    png = loss_chart(curves, collate="mask-pad")

    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (1350, 780)


@pytest.mark.parametrize(("num_steps", "eval_every"), [(0, 0), (1, 0), (1, 1), (3, 0), (51, 17)])
def test_short_runs_are_drawn_too(metrics_lines: Lines, num_steps: int, eval_every: int) -> None:
    assert loss_chart(read_curves(metrics_lines(num_steps, eval_every)), collate="pad-only").startswith(b"\x89PNG")


def test_a_run_that_was_never_trained_says_so() -> None:
    assert "no step was recorded" in texts(loss_svg(Curves(), "mask-pad"))


def test_a_loss_that_is_not_finite_leaves_a_gap(metrics_lines: Lines) -> None:
    lines = metrics_lines(5)
    lines[2]["loss"] = float("nan")

    assert loss_chart(read_curves(lines), collate="mask-pad").startswith(b"\x89PNG")


def test_the_drawing_names_strategy_curves_and_both_axes(curves: Curves) -> None:
    written = texts(loss_svg(curves, "prompt-weight"))

    assert "Loss, collate strategy prompt-weight" in written
    assert any("only with the same mask" in text for text in written)
    assert {"optimizer steps", "tokens seen"} <= set(written)
    assert {"train, each step", "train, mean of 5 steps", "validation", "validation, response only"} <= set(written)


def test_up_to_fifty_steps_there_is_one_train_line_and_no_mean(metrics_lines: Lines) -> None:
    written = texts(loss_svg(read_curves(metrics_lines(50)), "mask-pad"))

    assert "train" in written
    assert not any("mean" in text for text in written)


def test_every_number_of_tokens_stands_above_the_step_that_saw_it(metrics_lines: Lines) -> None:
    # 20 steps of 450 tokens, then 20 of 1,350: 6,000 tokens are seen by step 13 1/3, 18,000 by step 26 2/3
    lines = metrics_lines(40)
    for line in lines:
        line["tokens_seen"] = 450 * line["step"] + 900 * max(0, line["step"] - 20)

    places = {
        element.text: float(element.attrib["x"])
        for element in ElementTree.fromstring(loss_svg(read_curves(lines), "mask-pad")).iter()
        if "x" in element.attrib
    }

    per_step = (places["36"] - places["0"]) / 36
    assert places["6k"] - places["0"] == pytest.approx(40 / 3 * per_step, abs=0.01)
    assert places["18k"] - places["0"] == pytest.approx(80 / 3 * per_step, abs=0.01)


def test_a_narrow_drawing_is_narrower(curves: Curves) -> None:
    wide, narrow = (
        float(ElementTree.fromstring(loss_svg(curves, "mask-pad", is_narrow=is_narrow)).attrib["viewBox"].split()[2])
        for is_narrow in (False, True)
    )

    assert narrow < wide / 1.5


def test_the_same_curves_give_the_same_characters_and_two_layouts_share_no_id(curves: Curves) -> None:
    wide, narrow = loss_svg(curves, "mask-pad"), loss_svg(curves, "mask-pad", is_narrow=True)

    assert wide == loss_svg(curves, "mask-pad")
    ids = [{e.attrib["id"] for e in ElementTree.fromstring(svg).iter() if "id" in e.attrib} for svg in (wide, narrow)]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_every_colour_of_the_drawing_can_be_set_by_the_page(curves: Curves) -> None:
    svg = loss_svg(curves, "mask-pad")

    assert "var(--chart-train, #0072b2)" in svg
    named = svg.count("#0072b2") + svg.count("#333333") + svg.count("#d55e00") + svg.count("#009e73")
    assert named == svg.count("var(--chart-") - svg.count("var(--chart-grid")


def test_a_strategy_with_a_strange_name_is_written_as_it_is(curves: Curves) -> None:
    assert "Loss, collate strategy $x$ <b>&" in texts(loss_svg(curves, "$x$ <b>&"))


def test_matplotlibs_settings_are_left_as_they_were(curves: Curves) -> None:
    before = dict(matplotlib.rcParams)

    loss_chart(curves, collate="mask-pad")
    loss_svg(curves, "mask-pad")

    assert dict(matplotlib.rcParams) == before


def test_a_long_run_is_drawn_with_fewer_points_that_keep_its_peaks() -> None:
    losses = [1.0] * 40_000
    losses[12_345], losses[30_001] = 7.0, 0.1

    steps, kept = thinned(range(1, 40_001), losses)

    assert len(kept) <= MAX_POINTS
    assert dict(zip(steps, kept, strict=True))[12_346] == 7.0
    assert dict(zip(steps, kept, strict=True))[30_002] == 0.1
    assert steps == sorted(steps)


@pytest.mark.parametrize(("last", "is_logarithmic"), [(0.1, True), (9.0, False), (0.0, False)])
def test_a_loss_that_falls_far_has_a_logarithmic_axis_that_says_so(
    metrics_lines: Lines, last: float, is_logarithmic: bool
) -> None:
    lines = metrics_lines(40)
    for line in lines:
        line["loss"] = 13.0 + (last - 13.0) * (line["step"] - 1) / 39

    written = texts(loss_svg(read_curves(lines), "mask-pad"))

    assert ("loss, nats per token (logarithmic axis)" in written) is is_logarithmic
    assert ("loss, nats per token" in written) is not is_logarithmic
    assert ({"0.1", "0.2", "0.5", "1", "2", "5", "10"} <= set(written)) is is_logarithmic
