"""A page on which people label answers: blind to the arm, by keyboard, without a network; it saves a CSV file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sftframe.analysis import DrawnItem
from sftframe.report.rendering import render_page

SECTIONS = {"result": "How to label", "answers": "Answers"}
STEPS = (("0", "wrong"), ("25", ""), ("50", "half"), ("75", ""), ("100", "right"))
"""Labels with their words; the keys 1 to 5 give them."""


def label_page(items: Sequence[DrawnItem], *, file_name: str) -> str:
    """The page as HTML; the same items give the same characters.

    Args:
        file_name: of the CSV file that the page saves.
    """
    ids = "".join(answer.id for item in items for answer in item.answers)
    content = {
        "sections": SECTIONS,
        "title": "people's labels",
        "items": items,
        "num_answers": sum(len(item.answers) for item in items),
        "steps": STEPS,
        "file_name": file_name,
        "page_id": hashlib.sha256(ids.encode()).hexdigest()[:16],
    }
    return render_page("labels.html.j2", content, styles=("labels.css",), scripts=("labels.js",))
