"""The sentences about what would settle an open comparison."""

from __future__ import annotations

import pytest

from sftframe.analysis.pairs import Needed
from sftframe.analysis.verdicts import explain


def sentence(needed: Needed | None, margin: float | None = 1.0) -> str:
    return explain(
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


@pytest.mark.parametrize(
    ("items", "seeds", "both", "words"),
    [
        (40, 3, None, "About 40 more items or 3 more seeds would settle it with a chance of 80%"),
        (40, None, None, "About 40 more items would settle it"),
        (None, 3, None, "3 more seeds would settle it"),
        (
            None,
            None,
            (40, 3),
            "Neither more items nor more seeds alone: about 40 more items together with 3 more seeds",
        ),
    ],
)
def test_each_way_out_is_named(items, seeds, both, words):
    needed = Needed(items=items, seeds=seeds, both=both, would_show="a difference", power=0.8)
    assert sentence(needed).startswith(f"Cannot tell b from a (+0.5 points). {words}")


def test_no_way_out_is_said_and_a_margin_proposed_only_where_there_is_none():
    assert sentence(None).endswith(
        "No number of items or seeds in reach would settle it, if the difference is as small as it looks."
    )
    assert sentence(None, margin=None).endswith(
        "say which difference matters (a margin) to ask for equivalence instead."
    )
