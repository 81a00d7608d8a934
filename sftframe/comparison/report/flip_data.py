"""The flipped items as JSON inside the page; its script makes rows of them. No text in it can end the script
element."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from sftframe.comparison.flips import FlippedItem
from sftframe.comparison.result import ComparisonResult
from sftframe.visible import visible

_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def flip_block(result: ComparisonResult) -> str:
    """What the script reads.

    `texts`: every different text once, others refer to it by position; `items`: question, input and reference by index;
    `pairs`: one per candidate, with a row per flipped item.
    """
    texts: dict[str, int] = {}

    def known(text: str) -> int:
        return texts.setdefault(visible(text), len(texts))

    items = {
        flip.index: [known(flip.instruction), known(flip.input), known(flip.reference)]
        for flips in result.flips.values()
        for flip in flips
    }
    pairs = [
        {"candidate": visible(name), "rows": [_row(flip, known) for flip in flips]}
        for name, flips in result.flips.items()
    ]
    yardstick = result.main.yardstick
    return script_json(
        {
            "digits": min(yardstick.digits, 2),
            "direction": {"higher": 1, "lower": -1, "none": 0}[yardstick.direction],
            "items": items,
            "pairs": pairs,
            "texts": [*texts],
        }
    )


def script_json(document: object) -> str:
    r"""JSON that may stand inside a `<script>` element.

    >>> script_json({"answer": "</script>"})
    '{"answer":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPES)


def _row(flip: FlippedItem, known: Callable[[str], int]) -> list[Any]:
    """Index, difference, scores and answers of both, and the seed of the answers."""
    return [
        flip.index,
        _finite([flip.difference])[0],
        _finite(flip.baseline_scores),
        _finite(flip.candidate_scores),
        known(flip.baseline_answer),
        known(flip.candidate_answer),
        flip.seed,
    ]


def _finite(scores: Iterable[float | None]) -> list[float | None]:
    """JSON knows no infinity."""
    return [score if score is not None and math.isfinite(score) else None for score in scores]
