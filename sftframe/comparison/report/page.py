"""`report.html` of a comparison: one self-contained page, in the order of a reader's questions.

jinja2 escapes all text from data; the flipped items are JSON that cannot end its script element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sftframe.comparison.methods import comparison_facts, comparison_methods
from sftframe.comparison.report.arms import arm_rows, interval_text, ordered_tables, p_text, share_rows, spread_text
from sftframe.comparison.report.curves import (
    MAX_ROWS,
    ArmCurves,
    ArmLines,
    even_steps,
    lines_svg,
    loss_groups,
    validation_lines,
)
from sftframe.comparison.report.flip_data import flip_block
from sftframe.comparison.report.forest import forest_groups, forest_svg
from sftframe.comparison.report.gradients import Cosine, cosine_lines, cosine_rows
from sftframe.comparison.report.palette import look_of
from sftframe.comparison.report.setup import PAIRING, differing_entries, manifest_of, pairing_rows, run_rows
from sftframe.comparison.report.verdict import headline, notes
from sftframe.comparison.result import ComparisonResult
from sftframe.stages.report.rendering import render_page
from sftframe.stages.report.tokens import show_example

_WIDE, _NARROW, _SMALL = (9.0, 4.2), (4.6, 3.8), (4.6, 3.0)
"""Width and height of drawings in inches of 72 points."""
SECTIONS = {
    "differences": "Differences",
    "arms": "Arms",
    "curves": "The course of training",
    "counted": "Which tokens counted",
    "flips": "Items that changed",
    "tokens": "One example",
    "setup": "Set-up",
}
"""Heading by id of every section, in their order; the links at the top of the page have the same text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageInput:
    """The content of the page. Only the result is required; a section without data says so."""

    result: ComparisonResult
    title: str = "comparison"
    """Title of the page, for its head and the browser's tab."""
    failed_cells: Sequence[tuple[str, str]] = ()
    """Name and error of every run that is missing because it failed."""
    curves: Mapping[str, ArmCurves] = field(default_factory=dict)
    """By arm and seed, see `read_arm_curves`."""
    gradients: Sequence[Cosine] = ()
    command: str = ""
    """The command to repeat it."""
    token_examples: Mapping[str, Iterable[tuple[str, str, bool, float]]] = field(default_factory=dict)
    """By arm the tokens of one example: text, role label, whether it counts as a target, weight."""


def comparison_page(page: PageInput) -> str:
    """The page as HTML; the same input gives the same characters."""
    return render_page(_content(page), package=__package__ or "", styles=("comparison.css",), scripts=("flips.js",))


def _content(page: PageInput) -> dict[str, Any]:
    from markupsafe import Markup

    result = page.result
    flips = {name: len(found) for name, found in result.flips.items()}
    return {
        "sections": SECTIONS,
        "title": page.title,
        "result": result,
        "main": result.main,
        "headline": headline(result),
        "notes": notes(result, page.failed_cells),
        "arms": arm_rows(result),
        "tables": ordered_tables(result),
        "looks": [look_of(position) for position in range(len(result.arms))],
        "forest": forest_groups(result),
        "forest_charts": {
            "wide": Markup(forest_svg(result)),
            "narrow": Markup(forest_svg(result, is_narrow=True)),
        },
        "interval_text": interval_text,
        "p_text": p_text,
        "spread_text": spread_text,
        **_curves(page),
        **_gradients(page),
        "shares": share_rows(result),
        "num_flips": flips,
        "flip_block": Markup(flip_block(result)),
        "token_examples": {name: show_example(tokens) for name, tokens in page.token_examples.items()},
        "manifest": manifest_of(result),
        "differing_entries": differing_entries(result),
        "pairing_columns": PAIRING,
        "pairing": pairing_rows(result),
        "runs": run_rows(result),
        "command": page.command,
        "facts": comparison_facts(result),
        "methods": comparison_methods(result),
    }


def _curves(page: PageInput) -> dict[str, Any]:
    validation = validation_lines(page.result.arms, page.curves)
    groups = loss_groups(page.result.arms, page.curves)
    label = "response NLL, nats per byte"
    return {
        "validation": validation,
        "validation_steps": _shown_steps(validation),
        "validation_charts": _charts(validation, label, "validation"),
        "losses": groups,
        "loss_charts": [
            _drawn(group.arms, "training loss, nats per token", f"loss-{number}", _SMALL)
            for number, group in enumerate(groups)
        ],
    }


def _gradients(page: PageInput) -> dict[str, Any]:
    lines = cosine_lines(page.result, page.gradients)
    return {
        "cosines": lines,
        "cosine_rows": cosine_rows(lines, page.gradients),
        "cosine_charts": _charts(lines, "cosine of the gradients", "cosine"),
    }


def _charts(lines: Sequence[ArmLines], label: str, salt: str) -> dict[str, Any]:
    return {
        "wide": _drawn(lines, label, f"{salt}-wide", _WIDE),
        "narrow": _drawn(lines, label, f"{salt}-narrow", _NARROW),
    }


def _drawn(lines: Sequence[ArmLines], label: str, salt: str, size: tuple[float, float]) -> Any:
    from markupsafe import Markup

    return Markup(lines_svg(lines, label=label, salt=salt, width=size[0], height=size[1])) if lines else ""


def _shown_steps(lines: Sequence[ArmLines]) -> list[int]:
    return even_steps((step for line in lines for step in line.mean), MAX_ROWS)
