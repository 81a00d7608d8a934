"""The sentences about what would settle an open comparison."""

from __future__ import annotations

import pytest

from sftframe.analysis.pairs import Needed
from sftframe.analysis.verdicts import explain


def sentence(needed: Needed | None, margin: float | None = 1.0) -> str:
    return str(
        explain(
            verdict="cannot tell",
            names=("a", "b"),
            difference=0.5,
            interval=None,
            is_significant_alone=False,
            margin=margin,
            needed=needed,
            covers="items and seeds",
            unit="points",
        )
    )


@pytest.mark.parametrize(
    ("items", "seeds", "both", "words"),
    [
        (40, 3, None, "About 40 more items or 3 more seeds would settle it with a chance of 80%"),
        (40, None, None, "About 40 more items would settle it"),
        (None, 3, None, "About 3 more seeds would settle it"),
        (
            None,
            None,
            (40, 3),
            "Neither more items nor more seeds alone: about 40 more items together with 3 more seeds",
        ),
        (None, 30, (40, 3), "About 40 more items together with 3 more seeds, or 30 more seeds alone, would settle it"),
    ],
)
def test_each_way_out_is_named(items, seeds, both, words):
    needed = Needed(items=items, seeds=seeds, both=both, would_show="a difference", power=0.8)
    assert sentence(needed).startswith(f"Cannot tell b from a (+0.5 points). {words}")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ((10, 1), (1100, 7), "(from 10 and 1 to 1,100 and 7, depending on what is true)"),
        ((0, 1), (0, 7), "(from 1 to 7, depending on what is true)"),
        ((0, 1), None, "(from 1 to more than is in reach, depending on what is true)"),
    ],
)
def test_a_plan_is_told_with_its_range(low, high, words):
    needed = Needed(items=None, seeds=3, both=None, would_show="a difference", power=0.8, low=low, high=high)
    assert f"About 3 more seeds would settle it with a chance of 80% {words}: show" in sentence(needed)


def test_what_settles_is_said_and_that_without_a_margin_no_difference_is_never_settled():
    needed = Needed(items=None, seeds=3, both=None, would_show="a difference", power=0.8)
    assert sentence(needed).endswith(": show a difference, or that it is within ±1.")
    assert sentence(needed, margin=None).endswith(
        ": show a difference. If there is none, only a margin can settle it: say which difference matters to you."
    )


def test_no_way_out_is_said_and_a_margin_proposed_only_where_there_is_none():
    out_of_reach = "No number of items or seeds in reach would settle it with a chance of 80%: show a difference"
    assert sentence(None).endswith(f"{out_of_reach}, or that it is within ±1.")
    assert f"{out_of_reach}. If there is none, only a margin can settle it" in sentence(None, margin=None)


def test_with_one_seed_a_likelihood_is_of_the_run_and_not_of_its_answers():
    asked = {"names": ("a", "b"), "difference": -0.5, "interval": None, "is_significant_alone": True, "margin": None}
    told = explain(verdict="better", needed=None, covers="items", unit="nats per byte", is_about_answers=False, **asked)
    assert told.said == "The one run of b is better than that of a (-0.5 nats per byte)."
